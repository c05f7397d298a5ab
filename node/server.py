"""The NodeDaemon service on `RUN/covey.sock`: requests in, `Daemon` operations out."""

from importlib.metadata import version
from pathlib import Path

from covey.errors import InvalidArgument
from covey.model.states import Availability, NodeRole
from covey.v1 import node_pb2, types_pb2
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import NodeDaemon

from . import managing
from .daemon import Daemon
from .founding import cluster_spec
from .storing import made_access
from .supervisor import Child, State


class DaemonServer:
    """Translates; decides nothing."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def bindings(self) -> list[Binding]:
        """What the local socket serves."""
        return [
            bind(NodeDaemon.init, self.init),
            bind(NodeDaemon.join, self.join),
            bind(NodeDaemon.leave, self.leave),
            bind(NodeDaemon.info, self.info),
            bind(NodeDaemon.force_new_cluster, self.force_new_cluster),
            bind(NodeDaemon.restore, self.restore),
            bind(NodeDaemon.set_address, self.set_address),
            bind(NodeDaemon.follow_membership, self.follow_membership),
        ]

    async def init(self, request: node_pb2.InitRequest, caller: Caller) -> node_pb2.InitResponse:
        """Make a cluster with this host as its manager."""
        spec = cluster_spec(request.address_pools, request.subnet_prefix_length, request.vxlan_port)
        availability = _availability(request.availability)
        access = made_access(request.store) if request.HasField("store") else None
        token = await self._daemon.exclusively(
            "an init",
            lambda: self._daemon.init(
                spec, request.advertise_address, request.data_address, availability, access
            ),
        )
        node_id, cluster_id, _ = self._ids()
        return node_pb2.InitResponse(cluster_id=cluster_id, node_id=node_id, worker_token=token)

    async def join(self, request: node_pb2.JoinRequest, caller: Caller) -> node_pb2.JoinResponse:
        """Make this host a node of a cluster."""
        availability = _availability(request.availability)
        joined = await self._daemon.exclusively(
            "a join",
            lambda: self._daemon.join(
                request.token, request.address, request.advertise_address, request.data_address, availability
            ),
        )
        identity = joined.identity
        role = types_pb2.NodeRole.Name(identity.role)
        return node_pb2.JoinResponse(cluster_id=identity.cluster_id, node_id=identity.node_id, role=role)

    async def leave(self, request: node_pb2.LeaveRequest, caller: Caller) -> node_pb2.LeaveResponse:
        """Make this node a host of no cluster."""
        await self._daemon.exclusively("a leave", lambda: managing.leave(self._daemon, request.force))
        return node_pb2.LeaveResponse()

    async def info(self, request: node_pb2.InfoRequest, caller: Caller) -> node_pb2.InfoResponse:
        """Say what this host is, and how its processes stand."""
        node_id, cluster_id, role = self._ids()
        known = self._daemon.member[0] if self._daemon.member else None
        return node_pb2.InfoResponse(
            version=version("covey"),
            node_id=node_id,
            cluster_id=cluster_id,
            node_name=self._daemon.settings.node_name,
            role=types_pb2.NodeRole.Name(role),
            managers=known.managers if known else (),
            advertise_address=known.advertise_address if known else "",
            processes=[_process(child) for child in self._daemon.processes.children()],
            under_way=self._daemon.under_way,
        )

    async def force_new_cluster(
        self, request: node_pb2.ForceNewClusterRequest, caller: Caller
    ) -> node_pb2.ForceNewClusterResponse:
        """Make this manager the only one of its cluster."""
        await self._daemon.exclusively(
            "the making of a new cluster",
            lambda: managing.force_new_cluster(self._daemon, request.advertise_address),
        )
        node_id, cluster_id, _ = self._ids()
        return node_pb2.ForceNewClusterResponse(cluster_id=cluster_id, node_id=node_id)

    async def restore(self, request: node_pb2.RestoreRequest, caller: Caller) -> node_pb2.RestoreResponse:
        """Make this host the only manager of a cluster that was backed up."""
        await self._daemon.exclusively(
            "a restore",
            lambda: managing.restore(
                self._daemon, Path(request.path), request.advertise_address, request.data_address
            ),
        )
        node_id, cluster_id, _ = self._ids()
        return node_pb2.RestoreResponse(cluster_id=cluster_id, node_id=node_id)

    async def set_address(
        self, request: node_pb2.SetAddressRequest, caller: Caller
    ) -> node_pb2.SetAddressResponse:
        """Change the addresses this node is reached at."""
        await self._daemon.exclusively(
            "a change of addresses",
            lambda: managing.set_address(self._daemon, request.advertise_address, request.data_address),
        )
        return node_pb2.SetAddressResponse()

    async def follow_membership(
        self, request: node_pb2.FollowMembershipRequest, caller: Caller
    ) -> node_pb2.FollowMembershipResponse:
        """Make this node what the managers say it is to be."""
        role, managers = NodeRole(request.role), tuple(request.managers)
        await self._daemon.exclusively(
            "a change of this node's role", lambda: managing.follow_membership(self._daemon, role, managers)
        )
        return node_pb2.FollowMembershipResponse()

    def _ids(self) -> tuple[str, str, int]:
        if self._daemon.member is None:
            return "", "", 0
        identity = self._daemon.member[1].identity
        return identity.node_id, identity.cluster_id, identity.role


def _process(child: Child) -> node_pb2.ProcessInfo:
    return node_pb2.ProcessInfo(
        name=child.name,
        running=child.state is State.RUNNING,
        pid=child.pid,
        restarts=child.restarts,
        last_error=child.last_error,
    )


def _availability(number: int) -> Availability:
    try:
        return Availability(number)
    except ValueError:
        raise InvalidArgument(f"--availability {number} is unknown; use active, pause or drain") from None
