"""The managers and how they do. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from covey import limits
from covey.model.objects import Node
from covey.model.states import NodeRole
from manager.raft.entry import Member
from manager.roles import quorum
from manager.roles.seam import Facts
from manager.store.log.seam import Standing
from manager.store.view import View


class Reachability(IntEnum):
    """Whether a manager answers; the numbers are those on the wire."""

    UNKNOWN = 0
    UNREACHABLE = 1
    REACHABLE = 2


class Manager(Struct, frozen=True):
    """One manager, or a node that is to be one. `raft_id` is 0 while it has not joined the group."""

    node_id: str
    hostname: str = ""
    address: str = ""
    raft_id: int = 0
    leader: bool = False
    voter: bool = False
    reachability: Reachability = Reachability.UNKNOWN
    silent_ms: int = -1
    behind_entries: int = -1
    departs: bool = False

    def __str__(self) -> str:
        """Name it for people."""
        name = self.hostname or self.node_id
        return f"{name} ({self.address})" if self.address else name


class ClusterFacts(Struct, frozen=True):
    """What there is to say of a cluster. `store` is "raft" or "etcd"; `answered_by` a node id."""

    managers: tuple[Manager, ...]
    answered_by: str
    store: str = "raft"

    @property
    def voters(self) -> tuple[Manager, ...]:
        """Those whose majority decides."""
        return tuple(manager for manager in self.managers if manager.voter)

    @property
    def leader(self) -> Manager | None:
        """Who leads, if that is known."""
        return next((manager for manager in self.managers if manager.leader), None)

    @property
    def has_quorum(self) -> bool:
        """Tell whether a majority is known to answer."""
        if self.store != "raft":
            return self.leader is not None
        answering = [each for each in self.voters if each.reachability is Reachability.REACHABLE]
        return 2 * len(answering) > len(self.voters)


def managers_of(
    view: View,
    facts: Facts | None,
    standing: Standing,
    own_id: str,
    alive: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Manager, ...]:
    """Put the managers together from what one of them knows, by name.

    `alive` gives the addresses of those that answer, by node id, where no Raft group keeps the log.
    """
    members = () if facts is None else facts.membership.members
    found = [_member(view, facts, standing, own_id, member) for member in members if facts is not None]
    placed = {member.node_id for member in members}
    for node in view.all(Node):
        if node.role is NodeRole.MANAGER and node.id not in placed:
            leads = bool(standing.leader) and standing.leader == node.id
            answers = facts is None and (leads or node.id == own_id or node.id in alive)
            silent = Reachability.UNREACHABLE if alive else Reachability.UNKNOWN
            found.append(
                Manager(
                    node.id,
                    node.description.hostname,
                    standing.address if leads else alive.get(node.id, ""),
                    leader=leads,
                    voter=facts is None,
                    reachability=Reachability.REACHABLE if answers else silent,
                    departs=node.spec.role is NodeRole.WORKER,
                )
            )
    return tuple(sorted(found, key=lambda manager: (manager.hostname, manager.node_id)))


def _member(view: View, facts: Facts, standing: Standing, own_id: str, member: Member) -> Manager:
    node = view.get(Node, member.node_id)
    manager = Manager(
        member.node_id,
        node.description.hostname if node is not None else "",
        member.address,
        member.id,
        leader=standing.leader == member.node_id,
        voter=member.voter,
        departs=node is None or node.spec.role is NodeRole.WORKER,
    )
    if member.node_id == own_id:
        behind = 0 if standing.leads else -1
        return replace(manager, reachability=Reachability.REACHABLE, silent_ms=0, behind_entries=behind)
    peer = next((peer for peer in facts.status.peers if peer.id == member.id), None)
    if peer is None or not quorum.leads(facts.status):
        return manager
    answers = member.id in quorum.reachable(facts.status)
    return replace(
        manager,
        reachability=Reachability.REACHABLE if answers else Reachability.UNREACHABLE,
        silent_ms=peer.silent_ticks * limits.raft_tick_ms,
        behind_entries=max(facts.status.last_index - peer.match, 0),
    )


def asked(managers: Iterable[Manager], answers: Mapping[str, bool]) -> Iterator[Manager]:
    """Add what asking each of them has shown; `answers` is by node id."""
    for manager in managers:
        if manager.node_id in answers:
            answered = answers[manager.node_id]
            reachability = Reachability.REACHABLE if answered else Reachability.UNREACHABLE
            manager = replace(manager, reachability=reachability)
        yield manager
