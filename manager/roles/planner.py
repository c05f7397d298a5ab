"""The next steps towards the managers people want. Pure: it reads, and returns actions as data.

Whatever it is fed, no action leaves fewer voters that answer than a majority; what would is not planned, and
`Plan.waiting` says why. It plans one change of the group at a time, and the next once that is committed.
"""

from collections.abc import Iterator

from msgspec import Struct

from covey import limits
from covey.model.objects import Node
from covey.model.states import NodeRole
from manager.raft.entry import Member
from manager.raft.ready import PeerStatus
from manager.store.view import View

from . import quorum
from .seam import Facts


class SetRole(Struct, frozen=True):
    """Write what a node is from now on."""

    node_id: str
    role: NodeRole
    reason: str


class RemoveMember(Struct, frozen=True):
    """Take a member out of the group."""

    id: int
    reason: str


class PromoteLearner(Struct, frozen=True):
    """Give a learner its vote."""

    id: int
    reason: str


class TransferLeadership(Struct, frozen=True):
    """Hand leadership to another voter."""

    to: int
    reason: str


Change = RemoveMember | PromoteLearner | TransferLeadership


class Plan(Struct, frozen=True):
    """What is to be done now, and what has to wait, a sentence each."""

    roles: tuple[SetRole, ...] = ()
    change: Change | None = None
    waiting: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Tell whether everything is as wished."""
        return not (self.roles or self.change or self.waiting)


def plan(view: View, facts: Facts | None) -> Plan:
    """Plan the next steps. `facts` is None where no Raft group keeps the log: roles are all there is then."""
    roles = tuple(_roles(view, facts))
    if facts is None or not quorum.leads(facts.status):
        return Plan(roles)
    if facts.membership != facts.committed:
        return Plan(roles, waiting=("a change of the managers is being committed",))
    waiting: list[str] = []
    for step in (*_departures(view, facts), *_promotions(view, facts)):
        if not isinstance(step, str):
            return Plan(roles, step, tuple(waiting))
        waiting.append(step)
    return Plan(roles, None, tuple(waiting))


def _roles(view: View, facts: Facts | None) -> Iterator[SetRole]:
    """A node is a manager as soon as it is to be one, and a worker once it has no part in the group."""
    members = () if facts is None else (*facts.membership.members, *facts.committed.members)
    placed = {member.node_id for member in members}
    managers = sum(node.role is NodeRole.MANAGER for node in view.all(Node))
    for node in view.all(Node):
        if node.role is node.spec.role:
            continue
        if node.spec.role is NodeRole.MANAGER:
            yield SetRole(node.id, NodeRole.MANAGER, "it was promoted")
        elif node.id not in placed and managers > 1:
            managers -= 1
            yield SetRole(node.id, NodeRole.WORKER, "it was demoted, and is no member of the group")


def _departures(view: View, facts: Facts) -> Iterator[Change | str]:
    """Members that are to go: those that do not answer first, since the group is safer without them."""
    answering = quorum.present(facts.status)
    leaving = {member.id: reason for member, reason in _unwanted(view, facts)}
    for id in sorted(leaving, key=lambda id: (id in answering, id in facts.membership.voters, id)):
        reason = leaving[id]
        if not quorum.can_remove(facts.membership, id, answering):
            yield f"{_name(view, facts, id)} is to go ({reason}), but the rest would have no majority that answers"
        elif id != facts.status.id:
            yield RemoveMember(id, reason)
        elif (heir := _heir(facts, leaving)) is not None:
            yield TransferLeadership(heir, f"{_name(view, facts, id)} is to go ({reason})")
        else:
            yield f"{_name(view, facts, id)} is to go ({reason}), and waits for a manager to lead in its place"


def _unwanted(view: View, facts: Facts) -> Iterator[tuple[Member, str]]:
    silence = {facts.status.id: 0} | {peer.id: peer.silent_ticks for peer in facts.status.peers}
    for member in facts.membership.members:
        node = view.get(Node, member.node_id)
        if node is None:
            yield member, "its node was removed from the cluster"
        elif node.spec.role is NodeRole.WORKER:
            yield member, "its node was demoted"
        else:
            mine = silence.get(member.id, 0)
            newer = [each.id for each in facts.membership.members if each.node_id == member.node_id]
            if any(silence.get(id, 0) <= quorum.SILENT_TICKS_MAX < mine for id in newer):
                yield member, "its node joined again under a new id"


def _heir(facts: Facts, leaving: dict[int, str]) -> int | None:
    """The voter that would lead soonest: it stays, answers, and lacks least (thesis 3.10)."""
    fit = [
        peer
        for peer in facts.status.peers
        if peer.id in facts.membership.voters and peer.id not in leaving and _is_close(peer, facts)
    ]
    return max(fit, key=lambda peer: (peer.match, -peer.silent_ticks, -peer.id)).id if fit else None


def _promotions(view: View, facts: Facts) -> Iterator[Change | str]:
    """Learners that have caught up may vote (thesis 4.2.1)."""
    leaving = {member.id for member, _ in _unwanted(view, facts)}
    peers = {peer.id: peer for peer in facts.status.peers}
    for member in facts.membership.members:
        if member.voter or member.id in leaving:
            continue
        peer = peers.get(member.id)
        if peer is not None and _is_close(peer, facts):
            yield PromoteLearner(member.id, "it has caught up")
        elif peer is not None and peer.silent_ticks <= quorum.SILENT_TICKS_MAX:
            behind = facts.status.commit - peer.match
            yield f"{_name(view, facts, member.id)} is catching up: {behind} entries behind"
        else:
            yield f"{_name(view, facts, member.id)} has joined, and does not answer"


def _is_close(peer: PeerStatus, facts: Facts) -> bool:
    near = peer.match + limits.raft_caught_up_entries >= facts.status.commit
    return near and not peer.snapshotting and peer.match > 0 and peer.silent_ticks <= quorum.SILENT_TICKS_MAX


def _name(view: View, facts: Facts, id: int) -> str:
    member = facts.membership.get(id)
    assert member is not None, "asked for members only"
    node = view.get(Node, member.node_id)
    return (
        (node.description.hostname or node.id) if node is not None else f"{member.node_id} ({member.address})"
    )
