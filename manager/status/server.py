"""`Control.GetClusterStatus`: gathers the facts, with short waits, and answers whatever the others do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from covey import limits
from covey.errors import CoveyError, Unavailable
from covey.identity import NodeIdentity
from covey.model.objects import AuditSummary, Cluster
from covey.v1 import control_pb2 as pb
from covey.v1 import objects_pb2
from covey.wire.client import connect_control
from covey.wire.codec import to_message
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control
from manager.roles.seam import Group, facts_of
from manager.store.driver import Store

from .advice import advise
from .facts import ClusterFacts, Manager, Reachability, asked, managers_of

Ask = Callable[[str, bool], Awaitable[pb.GetClusterStatusResponse]]
"""Ask the manager at an address; with True, for what it knows itself. Raises the errors of the wire."""


class StatusServer:
    """Serves `Control.GetClusterStatus`.

    `group` is None where no Raft group keeps the log. `leader_silent_ms` says how long ago this manager last
    heard from the leader (0 on the leader, -1: never); `kept_out_by` why the others have not let it in yet;
    `alive` gives the addresses of the managers that answer, by node id, where there is no group; `audit` what this
    manager found in its last one, while it leads.
    """

    def __init__(
        self,
        store: Store,
        node_id: str,
        group: Group | None,
        ask: Ask,
        leader_silent_ms: Callable[[], int],
        kept_out_by: Callable[[], str] = lambda: "",
        alive: Callable[[], Mapping[str, str]] = dict,
        audit: Callable[[], AuditSummary] = AuditSummary,
    ) -> None:
        self._store = store
        self._node_id = node_id
        self._group = group
        self._ask = ask
        self._leader_silent_ms = leader_silent_ms
        self._kept_out_by = kept_out_by
        self._alive = alive
        self._audit = audit

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [bind(Control.get_cluster_status, self.status)]

    async def status(
        self, request: pb.GetClusterStatusRequest, caller: Caller
    ) -> pb.GetClusterStatusResponse:
        """Say how the cluster stands."""
        standing = self._store.standing
        group = facts_of(self._group) if self._group is not None else None
        managers = managers_of(self._store, group, standing, self._node_id, self._alive())
        audit = to_message(self._audit(), objects_pb2.AuditSummary) if standing.leads else None
        if not request.local and self._group is not None and not standing.leads:
            managers, audit = await self._with_others(managers, standing.address)
        facts = ClusterFacts(managers, self._node_id, "raft" if self._group is not None else "etcd")
        cluster = next(iter(self._store.all(Cluster)), None)
        return pb.GetClusterStatusResponse(
            managers=[_message(manager) for manager in managers],
            answered_by=self._node_id,
            has_quorum=facts.has_quorum,
            term=standing.term,
            applied_index=self._store.index,
            leader_silent_ms=0 if standing.leads else self._leader_silent_ms(),
            epoch=cluster.epoch if cluster is not None else 0,
            store=facts.store,
            advice=advise(facts, self._kept_out_by()),
            audit=audit,
        )

    async def _with_others(
        self, managers: tuple[Manager, ...], leader: str
    ) -> tuple[tuple[Manager, ...], objects_pb2.AuditSummary | None]:
        """Take the leader's word for how the others do; if there is none, ask each whether it is there."""
        if leader:
            try:
                told = await self._ask(leader, True)
            except CoveyError:
                pass
            else:
                if any(manager.leader and manager.node_id == told.answered_by for manager in told.managers):
                    return tuple(_manager(message) for message in told.managers), told.audit
        others = [manager for manager in managers if manager.address and manager.node_id != self._node_id]
        answers = await asyncio.gather(*(self._answers(manager.address) for manager in others))
        known = dict(zip((other.node_id for other in others), answers, strict=True))
        return tuple(asked(managers, known)), None

    async def _answers(self, address: str) -> bool:
        try:
            await self._ask(address, True)
        except Unavailable:
            return False
        except CoveyError:
            return True  # it is there, and refuses us
        return True


def ask_by(identity: Callable[[], NodeIdentity]) -> Ask:
    """Make the way to ask another manager, with this node's certificate."""

    async def ask(address: str, local: bool) -> pb.GetClusterStatusResponse:
        request = pb.GetClusterStatusRequest(local=local)
        async with connect_control(address, identity()) as channel:
            return await channel.call(Control.get_cluster_status, request, limits.status_ask_timeout_s)

    return ask


def _message(manager: Manager) -> pb.ManagerStatus:
    return pb.ManagerStatus(
        node_id=manager.node_id,
        hostname=manager.hostname,
        address=manager.address,
        leader=manager.leader,
        voter=manager.voter,
        reachability=pb.Reachability.Name(manager.reachability),
        behind_entries=manager.behind_entries,
        raft_id=manager.raft_id,
        silent_ms=manager.silent_ms,
        departs=manager.departs,
    )


def _manager(message: pb.ManagerStatus) -> Manager:
    return Manager(
        message.node_id,
        message.hostname,
        message.address,
        message.raft_id,
        message.leader,
        message.voter,
        Reachability(message.reachability),
        message.silent_ms,
        message.behind_entries,
        message.departs,
    )
