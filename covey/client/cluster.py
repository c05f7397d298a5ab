"""A manager's control and log services."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from covey import limits
from covey.errors import FailedPrecondition, Unavailable
from covey.model.audit import AuditReport
from covey.model.objects import Cluster, Network, Node, Revision, Task
from covey.model.specs import ClusterSpec, NetworkSpec, NodeSpec, ServiceSpec
from covey.model.states import NodeRole
from covey.v1 import control_pb2 as pb
from covey.v1 import dispatcher_pb2, logs_pb2, specs_pb2, types_pb2
from covey.wire.client import Channel, Request, Response, connect_unix
from covey.wire.codec import from_message, to_message
from covey.wire.metadata import Metadata, said_by, stale_reads
from covey.wire.service import ServerStream, Unary
from covey.wire.services import Control, Logs

from .daemon import connect_daemon
from .host import Host
from .pages import joined
from .patience import NOT_DONE, patiently
from .views import (
    AuditedNode,
    ClusterAudit,
    ClusterStatus,
    Explanation,
    LogLine,
    LogOptions,
    NetworkDetail,
    NetworkTruth,
    Plan,
    Progress,
    ServiceDetail,
)


class ClusterClient:
    """Typed calls to one manager. Lists come whole; what can go on without end is an async iterator."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def _read(self, method: Unary[Request, Response], request: Request) -> Response:
        return await patiently(lambda: self._channel.call(method, request))

    async def _change(self, method: Unary[Request, Response], request: Request) -> Response:
        return await patiently(lambda: self._channel.call(method, request), NOT_DONE)

    async def _pages(self, method: ServerStream[Request, Response], request: Request) -> list[Response]:
        async def whole() -> list[Response]:
            async with aclosing(self._channel.stream(method, request)) as pages:
                return [page async for page in pages]

        return await patiently(whole)

    async def cluster(self) -> Cluster:
        """Return the cluster, without keys and secrets."""
        answer = await self._read(Control.get_cluster, pb.GetClusterRequest())
        return from_message(answer.cluster, Cluster)

    async def update_cluster(self, version: int, spec: ClusterSpec) -> None:
        """Replace the cluster's settings; raises Conflict if they changed since `version`."""
        request = pb.UpdateClusterRequest(version=version, spec=to_message(spec, specs_pb2.ClusterSpec))
        await self._change(Control.update_cluster, request)

    async def status(self, local: bool = False) -> ClusterStatus:
        """Return how the managers stand; with `local` as far as this one knows itself, without asking on."""
        request = pb.GetClusterStatusRequest(local=local)
        answer = await self._channel.call(Control.get_cluster_status, request, limits.status_timeout_s)
        return from_message(answer, ClusterStatus)

    async def backup(self) -> AsyncGenerator[bytes, None]:
        """Yield a backup of the whole cluster in pieces. It holds the cluster's keys."""
        async with aclosing(self._channel.stream(Control.backup, pb.BackupRequest())) as pieces:
            async for piece in pieces:
                yield piece.data

    async def audit(self, nodes: Sequence[str] = (), *, repair: bool = False) -> ClusterAudit:
        """Have nodes (none given: all) and managers audited; with `repair`, nodes put right what they may."""
        found: list[AuditedNode] = []
        managers: AuditReport | None = None
        request = pb.AuditClusterRequest(nodes=nodes, repair=repair)
        async with aclosing(self._channel.stream(Control.audit_cluster, request)) as answers:
            async for answer in answers:
                found += [from_message(each, AuditedNode) for each in answer.nodes]
                if answer.HasField("managers"):
                    managers = from_message(answer.managers, AuditReport)
        return ClusterAudit(tuple(sorted(found, key=lambda each: (each.hostname, each.node_id))), managers)

    async def join_token(self, role: NodeRole, rotate: bool = False) -> str:
        """Return the token that lets a host join with `role`; `rotate` replaces it first."""
        request = pb.GetJoinTokenRequest(role=types_pb2.NodeRole.Name(role), rotate=rotate)
        return (await self._change(Control.get_join_token, request)).token

    async def nodes(self) -> list[Node]:
        """Return all nodes."""
        found = list[Node]()
        for page in await self._pages(Control.list_nodes, pb.ListNodesRequest()):
            found += [from_message(node, Node) for node in page.nodes]
        return found

    async def get_node(self, node: str) -> Node:
        """Return a node by id, unambiguous prefix of an id, or hostname."""
        answer = await self._read(Control.get_node, pb.GetNodeRequest(node=node))
        return from_message(answer.node, Node)

    async def update_node(self, node_id: str, version: int, spec: NodeSpec) -> Node:
        """Replace a node's spec; raises Conflict if the node changed since `version`."""
        request = pb.UpdateNodeRequest(
            node_id=node_id, version=version, spec=to_message(spec, specs_pb2.NodeSpec)
        )
        return from_message((await self._change(Control.update_node, request)).node, Node)

    async def remove_node(self, node_id: str, force: bool = False) -> None:
        """Remove a node that is down, or with `force` any worker."""
        await self._change(Control.remove_node, pb.RemoveNodeRequest(node_id=node_id, force=force))

    async def create_service(
        self, spec: ServiceSpec, resolve_image: bool = True
    ) -> tuple[str, Sequence[str]]:
        """Create a service; returns its id and the manager's warnings."""
        request = pb.CreateServiceRequest(
            spec=to_message(spec, specs_pb2.ServiceSpec), resolve_image=resolve_image
        )
        answer = await self._change(Control.create_service, request)
        return answer.service_id, list(answer.warnings)

    async def services(self) -> list[ServiceDetail]:
        """Return all services."""
        found = list[ServiceDetail]()
        for page in await self._pages(Control.list_services, pb.ListServicesRequest()):
            found += [from_message(detail, ServiceDetail) for detail in page.services]
        return found

    async def get_service(self, service: str) -> ServiceDetail:
        """Return a service by id, unambiguous prefix of an id, or name."""
        answer = await self._read(Control.get_service, pb.GetServiceRequest(service=service))
        return from_message(answer.detail, ServiceDetail)

    async def update_service(
        self,
        service_id: str,
        version: int,
        spec: ServiceSpec,
        resolve_image: bool = False,
        *,
        force: bool = False,
    ) -> Sequence[str]:
        """Replace a service's spec; returns warnings, raises Conflict if it changed since `version`.

        `force` replaces all tasks. Without it and with nothing changed, a paused rollout goes on.
        """
        request = pb.UpdateServiceRequest(
            service_id=service_id,
            version=version,
            spec=to_message(spec, specs_pb2.ServiceSpec),
            resolve_image=resolve_image,
            force=force,
        )
        return list((await self._change(Control.update_service, request)).warnings)

    async def roll_back_service(self, service_id: str, version: int, revision: int = 0) -> int:
        """Bring a revision back, by its number or (0) the one before; returns which it is."""
        request = pb.RollBackServiceRequest(service_id=service_id, version=version, revision=revision)
        return (await self._change(Control.roll_back_service, request)).revision

    async def stop_service(self, service_id: str) -> None:
        """Have a service's tasks stopped; all else that it is stays."""
        await self._change(Control.stop_service, pb.StopServiceRequest(service_id=service_id))

    async def start_service(self, service_id: str) -> None:
        """Give a stopped service its tasks again."""
        await self._change(Control.start_service, pb.StartServiceRequest(service_id=service_id))

    async def plan_service(
        self,
        spec: ServiceSpec,
        service_id: str = "",
        version: int = 0,
        resolve_image: bool = False,
        *,
        force: bool = False,
    ) -> Plan:
        """Return what would come of creating a service, or of updating the one given; nothing changes."""
        request = pb.PlanServiceRequest(
            service_id=service_id,
            version=version,
            spec=to_message(spec, specs_pb2.ServiceSpec),
            resolve_image=resolve_image,
            force=force,
        )
        answer = await self._read(Control.plan_service, request)
        return from_message(answer, Plan)

    async def plan_rollback(self, service_id: str, version: int, revision: int = 0) -> Plan:
        """Return what would come of a rollback, to a revision by its number or (0) the one before."""
        request = pb.PlanServiceRequest(
            service_id=service_id, version=version, roll_back=True, revision=revision
        )
        answer = await self._read(Control.plan_service, request)
        return from_message(answer, Plan)

    async def explain(self, target: str) -> Explanation:
        """Return why a service's tasks, or one task, are where they are, or are not."""
        request = pb.ExplainServiceRequest(target=target)
        answer = await self._read(Control.explain_service, request)
        return from_message(answer, Explanation)

    async def remove_service(self, service_id: str) -> None:
        """Have a service's tasks stopped and the service removed."""
        await self._change(Control.remove_service, pb.RemoveServiceRequest(service_id=service_id))

    async def revisions(self, service_id: str) -> list[Revision]:
        """Return what is kept of a service's history, oldest first."""
        request = pb.ListRevisionsRequest(service_id=service_id)
        found = list[Revision]()
        for page in await self._pages(Control.list_revisions, request):
            found += [from_message(revision, Revision) for revision in page.revisions]
        return found

    async def watch_service(self, service_id: str) -> AsyncGenerator[Progress, None]:
        """Yield the service and its tasks now and after every change, until the service is gone."""
        request = pb.WatchServiceRequest(service_id=service_id)
        async with aclosing(self._channel.stream(Control.watch_service, request)) as answers:
            async for answer in answers:
                yield from_message(answer, Progress)

    async def tasks(self, service_id: str = "", node_id: str = "") -> list[Task]:
        """Return tasks, those of one service or node if asked."""
        request = pb.ListTasksRequest(service_id=service_id, node_id=node_id)
        found = list[Task]()
        for page in await self._pages(Control.list_tasks, request):
            found += [from_message(task, Task) for task in page.tasks]
        return found

    async def create_network(self, spec: NetworkSpec) -> str:
        """Create a network; returns its id."""
        request = pb.CreateNetworkRequest(spec=to_message(spec, specs_pb2.NetworkSpec))
        return (await self._change(Control.create_network, request)).network_id

    async def networks(self) -> list[Network]:
        """Return all networks."""
        found = list[Network]()
        for page in await self._pages(Control.list_networks, pb.ListNetworksRequest()):
            found += [from_message(network, Network) for network in page.networks]
        return found

    async def get_network(self, network: str) -> NetworkDetail:
        """Return a network by id, unambiguous prefix of an id, or name."""
        found = await self._pages(Control.get_network, pb.GetNetworkRequest(network=network))
        pages = [from_message(page, NetworkDetail) for page in found]
        return NetworkDetail(pages[0].network, tuple(each for page in pages for each in page.endpoints))

    async def inspect_network(self, network: str) -> NetworkTruth:
        """Return what is true of a network now, as its nodes tell the leader."""
        found = await self._pages(Control.inspect_network, pb.InspectNetworkRequest(network=network))
        return joined([from_message(page, NetworkTruth) for page in found])

    async def remove_network(self, network_id: str) -> None:
        """Remove a network that nothing uses."""
        await self._change(Control.remove_network, pb.RemoveNetworkRequest(network_id=network_id))

    async def logs(
        self, options: LogOptions, service_id: str = "", task_id: str = ""
    ) -> AsyncGenerator[LogLine | str, None]:
        """Yield log lines of a service or a task as they come; a string is a warning about missing ones."""
        request = logs_pb2.ReadLogsRequest(
            service_id=service_id,
            task_id=task_id,
            options=dispatcher_pb2.LogOptions(
                follow=options.follow,
                tail=options.tail,
                since_ns=options.since_ns,
                no_stdout=options.no_stdout,
                no_stderr=options.no_stderr,
            ),
        )
        async with aclosing(self._channel.stream(Logs.read_logs, request)) as answers:
            async for answer in answers:
                for warning in answer.warnings:
                    yield warning
                for record in answer.records:
                    stderr = record.stream == logs_pb2.LOG_STREAM_STDERR
                    yield LogLine(record.task_id, record.node_id, record.at_ns, stderr, record.data)


@asynccontextmanager
async def connect(host: Host) -> AsyncIterator[ClusterClient]:
    """Connect to the manager on `host`; raises FailedPrecondition if there is none, with the remedy.

    One that is just being started is waited for.
    """
    try:
        host.check_manager()
    except FailedPrecondition as refusal:
        await _manager_returns(host, refusal)
    async with connect_unix(host.manager_socket) as channel:
        sent = stale_reads().sent if host.stale is not None else ()
        beside = Metadata((*said_by(host.user), *sent))
        try:
            yield ClusterClient(channel.beside(beside))
        finally:
            if host.stale is not None:
                host.stale.age_ms = beside.age_ms


async def _manager_returns(host: Host, refusal: FailedPrecondition) -> None:
    """Wait a little for a manager that coveyd is to run here; raise `refusal` if it is not to."""
    try:
        async with asyncio.timeout(limits.status_timeout_s), connect_daemon(host) as daemon:
            told = await daemon.info()
    except (TimeoutError, Unavailable):
        raise refusal from None

    async def check() -> None:
        try:
            host.check_manager()
        except FailedPrecondition as error:
            if told.role is not NodeRole.MANAGER:
                raise
            died = [process.last_error for process in told.processes if process.name == "manager"]
            why = f" (it {died[0]})" if any(died) else ""
            raise Unavailable(
                f"the manager on this node does not answer{why}: coveyd starts it again and again, and its log "
                "says what is wrong; `covey info` shows its processes"
            ) from error

    await patiently(check)
