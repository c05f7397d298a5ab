"""`Raft.JoinRaft`: a manager's process becomes a member of the group, or tells its new address."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from covey import limits
from covey.errors import FailedPrecondition, InvalidArgument, Unavailable
from covey.identity import NodeIdentity
from covey.v1 import control_pb2, raft_pb2
from covey.wire.client import connect_control
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control, Raft
from manager.raft.entry import Member, Membership
from manager.store.view import View

from . import quorum
from .admission import check_address, check_caller, check_id, check_unused, next_step
from .seam import Group

log = logging.getLogger(__name__)

Dial = Callable[[str, str], Awaitable[None]]
"""Reach the manager at an address and see that it is the node meant; raises `Unavailable` with the reason."""


class JoinServer:
    """Serves `Raft.JoinRaft` on the leader; the other managers forward it there."""

    def __init__(self, store: View, group: Group, cluster_id: str, dial: Dial) -> None:
        self._store = store
        self._group = group
        self._cluster_id = cluster_id
        self._dial = dial

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [bind(Raft.join_raft, self.join)]

    async def join(self, request: raft_pb2.JoinRaftRequest, caller: Caller) -> raft_pb2.JoinRaftResponse:
        """Let the calling node's manager in as a learner, under the id and address it names."""
        if request.cluster_id != self._cluster_id:
            raise InvalidArgument(
                f"cluster_id: {request.cluster_id!r} is another cluster than this one ({self._cluster_id}); "
                "is the address of a manager wrong?"
            )
        node = check_caller(self._store, caller.node_id)
        check_address(request.address)
        candidate = Member(request.raft_id, node.id, request.address, voter=False)
        check_id(self._group.membership, candidate.id, node.id)
        check_unused(self._group.membership, node.id, request.address, quorum.reachable(self._group.status()))
        try:
            async with asyncio.timeout(limits.join_timeout_s):
                if next_step(self._group.membership, candidate, self._answering(), self._group.status().id):
                    await self._dial(request.address, node.id)
                membership = await self._take_steps(candidate)
        except TimeoutError:
            raise Unavailable(
                f"manager {node.id} could not be let in within {limits.join_timeout_s:g} s; it asks again"
            ) from None
        return raft_pb2.JoinRaftResponse(membership=msgspec.msgpack.encode(membership))

    def _answering(self) -> frozenset[int]:
        return quorum.present(self._group.status())

    async def _take_steps(self, candidate: Member) -> Membership:
        """Change the membership step by step; one that is under way already is waited for."""
        deadline_s = time.monotonic() + limits.membership_change_timeout_s
        while True:
            present = self._group.membership
            wanted = next_step(present, candidate, self._answering(), self._group.status().id)
            if wanted is None and present == self._group.committed_membership:
                return present
            try:
                if wanted is not None:
                    await self._group.change(wanted)
                    log.info(
                        "member %s (node %s) is at %s", candidate.id, candidate.node_id, candidate.address
                    )
                    continue
            except FailedPrecondition:
                if time.monotonic() >= deadline_s:
                    raise
            await asyncio.sleep(limits.membership_change_retry_ms / 1000)


def dial_back(identity: Callable[[], NodeIdentity]) -> Dial:
    """Make the dial that joining needs: by mutual TLS, asking who answers."""

    async def dial(address: str, node_id: str) -> None:
        request = control_pb2.GetClusterStatusRequest(local=True)
        async with connect_control(address, identity()) as channel:
            try:
                told = await channel.call(Control.get_cluster_status, request, limits.join_dial_timeout_s)
            except Unavailable as error:
                raise Unavailable(
                    f"{address}, where node {node_id} wants to be reached, cannot be reached from here: {error}; "
                    "open port 2377/tcp to this host, or give another address with --advertise-addr"
                ) from error
        if told.answered_by != node_id:
            raise FailedPrecondition(
                f"at {address} node {told.answered_by} answers, not {node_id}; give this host's own address with "
                "--advertise-addr"
            )

    return dial
