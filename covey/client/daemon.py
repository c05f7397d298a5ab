"""coveyd's own service: joining a host to a cluster and taking it out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from covey import limits
from covey.model.objects import Part
from covey.model.states import Availability, NodeRole
from covey.v1 import node_pb2 as pb
from covey.v1 import types_pb2
from covey.wire.client import Channel, connect_unix
from covey.wire.codec import from_message
from covey.wire.services import NodeDaemon

from .host import Host


class Initialised(Part, frozen=True):
    """A new cluster, and the token with which workers join it."""

    cluster_id: str = ""
    node_id: str = ""
    worker_token: str = ""


class StoreOptions(Part, frozen=True):
    """An etcd cluster that is to keep the desired state; files by their absolute paths on coveyd's host."""

    url: str
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    username: str = ""
    password_file: str = ""
    prefix: str = ""


class Joined(Part, frozen=True):
    """This host as a node; the token decided the role."""

    cluster_id: str = ""
    node_id: str = ""
    role: NodeRole = NodeRole.WORKER


class NodeOfCluster(Part, frozen=True):
    """This host in its cluster."""

    cluster_id: str = ""
    node_id: str = ""


class ProcessInfo(Part, frozen=True):
    """One process that coveyd supervises."""

    name: str = ""
    running: bool = False
    pid: int = 0
    restarts: int = 0
    last_error: str = ""


class DaemonInfo(Part, frozen=True):
    """What coveyd says of itself; the ids are empty while the host is in no cluster.

    `under_way` names the operation that is under way (a join), if there is one.
    """

    version: str = ""
    node_id: str = ""
    cluster_id: str = ""
    node_name: str = ""
    role: NodeRole = NodeRole.WORKER
    managers: tuple[str, ...] = ()
    advertise_address: str = ""
    processes: tuple[ProcessInfo, ...] = ()
    under_way: str = ""


class DaemonClient:
    """Typed calls to the coveyd of one host."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def init(
        self,
        *,
        advertise_address: str = "",
        data_address: str = "",
        address_pools: Sequence[str] = (),
        subnet_prefix_length: int = 0,
        vxlan_port: int = 0,
        availability: Availability = Availability.ACTIVE,
        store: StoreOptions | None = None,
    ) -> Initialised:
        """Make a cluster with this host as its first manager. Empty values take their defaults."""
        request = pb.InitRequest(
            advertise_address=advertise_address,
            data_address=data_address,
            address_pools=address_pools,
            subnet_prefix_length=subnet_prefix_length,
            vxlan_port=vxlan_port,
            availability=types_pb2.Availability.Name(availability),
            store=None if store is None else pb.StoreOptions(**msgspec.structs.asdict(store)),
        )
        answer = await self._channel.call(NodeDaemon.init, request, timeout_s=limits.membership_timeout_s)
        return from_message(answer, Initialised)

    async def join(
        self,
        token: str,
        address: str,
        *,
        advertise_address: str = "",
        data_address: str = "",
        availability: Availability = Availability.ACTIVE,
    ) -> Joined:
        """Join the cluster of the manager at `address` (host or host:port)."""
        request = pb.JoinRequest(
            token=token,
            address=address,
            advertise_address=advertise_address,
            data_address=data_address,
            availability=types_pb2.Availability.Name(availability),
        )
        answer = await self._channel.call(NodeDaemon.join, request, timeout_s=limits.membership_timeout_s)
        return from_message(answer, Joined)

    async def force_new_cluster(self, *, advertise_address: str = "") -> NodeOfCluster:
        """Make this manager the only one of its cluster, with all the state it has."""
        request = pb.ForceNewClusterRequest(advertise_address=advertise_address)
        method = NodeDaemon.force_new_cluster
        answer = await self._channel.call(method, request, timeout_s=limits.membership_timeout_s)
        return from_message(answer, NodeOfCluster)

    async def restore(
        self, path: Path, *, advertise_address: str = "", data_address: str = ""
    ) -> NodeOfCluster:
        """Make this host, which is in no cluster, the only manager of the one that was backed up to `path`."""
        request = pb.RestoreRequest(
            path=str(path), advertise_address=advertise_address, data_address=data_address
        )
        answer = await self._channel.call(NodeDaemon.restore, request, timeout_s=limits.membership_timeout_s)
        return from_message(answer, NodeOfCluster)

    async def set_address(self, *, advertise_address: str = "", data_address: str = "") -> None:
        """Change the addresses other nodes reach this one by; empty ones stay."""
        request = pb.SetAddressRequest(advertise_address=advertise_address, data_address=data_address)
        await self._channel.call(NodeDaemon.set_address, request, timeout_s=limits.membership_timeout_s)

    async def leave(self, force: bool = False) -> None:
        """Take this host out of its cluster, and stop what it runs for it."""
        request = pb.LeaveRequest(force=force)
        await self._channel.call(NodeDaemon.leave, request, timeout_s=limits.membership_timeout_s)

    async def info(self) -> DaemonInfo:
        """Return what coveyd says of itself."""
        answer = await self._channel.call(NodeDaemon.info, pb.InfoRequest())
        return from_message(answer, DaemonInfo)


@asynccontextmanager
async def connect_daemon(host: Host) -> AsyncIterator[DaemonClient]:
    """Connect to the coveyd on `host`; raises Unavailable with the remedy if there is none."""
    host.check_daemon()
    async with connect_unix(host.daemon_socket) as channel:
        yield DaemonClient(channel)
