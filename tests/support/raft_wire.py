"""A member on a real port: gRPC over mTLS, whatever disk."""

from dataclasses import dataclass

from covey import errors
from covey.identity import NodeIdentity, read_peer
from covey.model.states import NodeRole
from covey.v1.raft_pb2 import JoinRaftRequest, JoinRaftResponse
from covey.wire.server import Server, serve_control
from covey.wire.service import Caller
from manager.raft.client import GrpcTransport
from manager.raft.driver import Replica
from manager.raft.entry import Member, Membership
from manager.raft.seam import Disk
from manager.raft.server import RaftServer

NOBODY_KNOWN = Membership()


@dataclass
class Wired:
    """A member, its port and its certificate."""

    cluster_id: str
    identity: NodeIdentity
    server: Server | None = None
    replica: Replica | None = None
    address: str = ""
    transport: GrpcTransport | None = None

    @property
    def node_id(self) -> str:
        return read_peer(self.identity.certificate_pem).identity.node_id

    @property
    def member(self) -> Member:
        """The member as the others should know it."""
        assert self.replica is not None
        return self.replica.own

    async def listen(self, address: str = "127.0.0.1:0") -> None:
        """Take a port, before the member runs: others must know where it will be."""
        self.transport = GrpcTransport(self.cluster_id, lambda: self.identity)

        async def join(request: JoinRaftRequest, caller: Caller) -> JoinRaftResponse:
            raise errors.FailedPrecondition("nobody joins here")

        bindings = RaftServer(self.transport, join).bindings()
        self.server = await serve_control(
            address, bindings, lambda: self.identity, lambda node_id, method: NodeRole.MANAGER
        )
        self.address = self.server.address

    async def start(
        self, disk: Disk, *, founding: bool = False, introduced: Membership = NOBODY_KNOWN
    ) -> Replica:
        """Run the member on its port."""
        assert self.transport is not None
        self.replica = await Replica.start(
            disk,
            self.transport,
            node_id=self.node_id,
            address=self.address,
            founding=founding,
            introduced=introduced,
        )
        return self.replica

    async def stop(self) -> None:
        """Stop both."""
        if self.replica is not None:
            await self.replica.stop()
        if self.server is not None:
            await self.server.stop(0.2)


def joined(membership: Membership, member: Member) -> Membership:
    """Give the membership with a member added or changed."""
    others = [other for other in membership.members if other.id != member.id]
    return Membership(tuple(sorted((*others, member), key=lambda each: each.id)), removed=membership.removed)


def without(membership: Membership, id: int) -> Membership:
    """Give the membership with a member taken out."""
    return Membership(tuple(m for m in membership.members if m.id != id), membership.removed)
