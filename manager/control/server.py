"""The gRPC side of the control API: requests are read, checked, and turned into transactions."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import TypeVar

from msgspec.structs import replace

from covey import limits
from covey.errors import InvalidArgument, NotFound, Refused, Unavailable
from covey.model import reference
from covey.model.objects import Cluster, Endpoint, JoinSecrets, Network, Node, RootCa, Service, Task
from covey.model.specs import NetworkSpec, NodeSpec, RegistryAuth, ServiceSpec
from covey.model.states import NodeRole
from covey.v1 import control_pb2 as pb
from covey.v1 import objects_pb2
from covey.wire.codec import from_message, to_message
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control
from manager.control import networks, nodes, services, validate
from manager.control.lookup import find_network, find_node, find_service
from manager.roles.seam import Group, facts_of
from manager.store.driver import Store
from manager.store.view import BY_NETWORK, BY_NODE, BY_SERVICE
from manager.store.watch import Lagged

log = logging.getLogger(__name__)

T = TypeVar("T")
ResolveImage = Callable[[reference.Reference, RegistryAuth | None], Awaitable[str]]
JoinToken = Callable[[NodeRole, bool], Awaitable[str]]


def pages(items: Sequence[T]) -> Iterable[Sequence[T]]:
    """Cut a list into pages; an empty one is one empty page."""
    for start in range(0, max(len(items), 1), limits.page_items_max):
        yield items[start : start + limits.page_items_max]


class ControlServer:
    """Serves `covey.v1.Control`.

    `resolve_image` asks a registry for a digest; `join_token` gives (and may first replace) a token.
    `group` is asked whether it can do without a manager; None where no Raft group keeps the log.
    """

    def __init__(
        self,
        store: Store,
        dice: Random,
        resolve_image: ResolveImage,
        join_token: JoinToken,
        group: Group | None = None,
    ) -> None:
        self._store = store
        self._dice = dice
        self._resolve_image = resolve_image
        self._join_token = join_token
        self._group = group

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [
            bind(Control.get_cluster, self._get_cluster),
            bind(Control.get_join_token, self._get_join_token),
            bind(Control.list_nodes, self._list_nodes),
            bind(Control.get_node, self._get_node),
            bind(Control.update_node, self._update_node),
            bind(Control.remove_node, self._remove_node),
            bind(Control.create_service, self._create_service),
            bind(Control.list_services, self._list_services),
            bind(Control.get_service, self._get_service),
            bind(Control.update_service, self._update_service),
            bind(Control.remove_service, self._remove_service),
            bind(Control.list_revisions, self._list_revisions),
            bind(Control.watch_service, self._watch_service),
            bind(Control.list_tasks, self._list_tasks),
            bind(Control.create_network, self._create_network),
            bind(Control.list_networks, self._list_networks),
            bind(Control.get_network, self._get_network),
            bind(Control.remove_network, self._remove_network),
        ]

    async def _get_cluster(self, request: pb.GetClusterRequest, caller: Caller) -> pb.GetClusterResponse:
        cluster = next(iter(self._store.all(Cluster)), None)
        if cluster is None:
            raise Unavailable("the cluster is still being set up; try again in a moment")
        root = RootCa(certificate_pem=cluster.root_ca.certificate_pem, digest=cluster.root_ca.digest)
        shown = replace(cluster, root_ca=root, join_secrets=JoinSecrets())
        return pb.GetClusterResponse(cluster=to_message(shown, objects_pb2.Cluster))

    async def _get_join_token(
        self, request: pb.GetJoinTokenRequest, caller: Caller
    ) -> pb.GetJoinTokenResponse:
        try:
            role = NodeRole(request.role)
        except ValueError:
            raise InvalidArgument(f"role {request.role} is unknown; use worker or manager") from None
        token = await self._join_token(role, request.rotate)
        return pb.GetJoinTokenResponse(token=token)

    # --- nodes ---

    async def _list_nodes(
        self, request: pb.ListNodesRequest, caller: Caller
    ) -> AsyncIterator[pb.ListNodesResponse]:
        for page in pages([to_message(node, objects_pb2.Node) for node in self._store.all(Node)]):
            yield pb.ListNodesResponse(nodes=page)

    async def _get_node(self, request: pb.GetNodeRequest, caller: Caller) -> pb.GetNodeResponse:
        return pb.GetNodeResponse(node=to_message(find_node(self._store, request.node), objects_pb2.Node))

    async def _update_node(self, request: pb.UpdateNodeRequest, caller: Caller) -> pb.UpdateNodeResponse:
        spec = from_message(request.spec, NodeSpec)
        validate.check_node(spec)
        group = facts_of(self._group) if self._group is not None else None
        node = await self._store.update(
            lambda draft: nodes.update_node(draft, request.node_id, request.version, spec, group)
        )
        return pb.UpdateNodeResponse(node=to_message(node, objects_pb2.Node))

    async def _remove_node(self, request: pb.RemoveNodeRequest, caller: Caller) -> pb.RemoveNodeResponse:
        await self._store.update(lambda draft: nodes.remove_node(draft, request.node_id, request.force))
        return pb.RemoveNodeResponse()

    # --- services ---

    async def _create_service(
        self, request: pb.CreateServiceRequest, caller: Caller
    ) -> pb.CreateServiceResponse:
        spec = from_message(request.spec, ServiceSpec)
        validate.check_service(spec, self._vxlan_port())
        spec, warnings = await self._pin_image(spec, request.resolve_image)
        service = await self._store.update(lambda draft: services.create_service(draft, spec, self._dice))
        log.info("%s created service %s (%s)", caller, spec.name, service.id)
        return pb.CreateServiceResponse(service_id=service.id, warnings=warnings)

    async def _update_service(
        self, request: pb.UpdateServiceRequest, caller: Caller
    ) -> pb.UpdateServiceResponse:
        spec = from_message(request.spec, ServiceSpec)
        validate.check_service(spec, self._vxlan_port())
        spec = services.with_credentials(self._store, request.service_id, spec)
        spec, warnings = await self._pin_image(spec, request.resolve_image)
        await self._store.update(
            lambda draft: services.update_service(
                draft, request.service_id, request.version, spec, self._dice
            )
        )
        log.info("%s updated service %s", caller, spec.name)
        return pb.UpdateServiceResponse(warnings=warnings)

    def _vxlan_port(self) -> int:
        return next((cluster.spec.vxlan_port for cluster in self._store.all(Cluster)), limits.vxlan_port)

    async def _pin_image(self, spec: ServiceSpec, resolve: bool) -> tuple[ServiceSpec, list[str]]:
        """Turn the image's tag into a digest, so that every node runs the same; or warn that it stays one."""
        container = spec.task.container
        image = reference.parse(container.image)
        digest, warnings = image.digest or container.image_digest, list[str]()
        if resolve and not image.digest:
            try:
                digest = await self._resolve_image(image, container.registry_auth)
            except (Refused, Unavailable) as error:
                digest = ""
                warnings.append(
                    f"{error}. Nodes will pull it by its tag, and may come to run different images."
                )
        container = replace(container, image_digest=digest)
        return replace(spec, task=replace(spec.task, container=container)), warnings

    async def _remove_service(
        self, request: pb.RemoveServiceRequest, caller: Caller
    ) -> pb.RemoveServiceResponse:
        await self._store.update(lambda draft: services.remove_service(draft, request.service_id))
        log.info("%s removed service %s", caller, request.service_id)
        return pb.RemoveServiceResponse()

    async def _get_service(self, request: pb.GetServiceRequest, caller: Caller) -> pb.GetServiceResponse:
        service = find_service(self._store, request.service)
        return pb.GetServiceResponse(detail=services.describe(self._store, service))

    async def _list_services(
        self, request: pb.ListServicesRequest, caller: Caller
    ) -> AsyncIterator[pb.ListServicesResponse]:
        # One that is being removed has given up its name already, and is no longer found by it either.
        present = [service for service in self._store.all(Service) if not service.pending_delete]
        listed = [services.describe(self._store, service) for service in present]
        for page in pages(listed):
            yield pb.ListServicesResponse(services=page)

    async def _list_revisions(
        self, request: pb.ListRevisionsRequest, caller: Caller
    ) -> AsyncIterator[pb.ListRevisionsResponse]:
        for page in pages(services.revisions(self._store, request.service_id)):
            yield pb.ListRevisionsResponse(revisions=page)

    async def _watch_service(
        self, request: pb.WatchServiceRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchServiceResponse]:
        if self._store.get(Service, request.service_id) is None:
            raise NotFound(f"there is no service {request.service_id!r}")
        watch = self._store.watch()
        try:
            touched, pause_s, lost = True, limits.watch_batch_ms / 1000, 0
            while (service := self._store.get(Service, request.service_id)) is not None:
                if touched:
                    begun_s = time.monotonic()
                    yield await self._progress(service)
                    # What belongs together gathers meanwhile; and a service of thousands of tasks, whose
                    # every moment is megabytes, must not keep the manager from its work.
                    spent_s = time.monotonic() - begun_s
                    pause_s = max(limits.watch_batch_ms / 1000, spent_s * limits.watch_rest_factor)
                try:
                    async with asyncio.timeout(limits.leader_missed_ms / 2000):
                        commits = await watch.batch()
                except TimeoutError:
                    # In silence, see whether there would be news: nothing comes to a manager that is cut off.
                    touched, lost = False, 0 if self._store.standing.leader or caller.stale else lost + 1
                    if lost > 1:
                        raise Unavailable(
                            "this manager hears of no leader any more, so it hears of no changes; ask another one"
                        ) from None
                    continue
                except Lagged:
                    watch.close()
                    watch, touched = self._store.watch(), True
                    continue
                if not commits:
                    raise Unavailable("this manager is stopping; ask again")
                await asyncio.sleep(pause_s)
                changes = [change for commit in commits for change in commit.changes]
                touched = any(_concerns(change.before or change.after, service.id) for change in changes)
        finally:
            watch.close()

    async def _progress(self, service: Service) -> pb.WatchServiceResponse:
        """Give one moment; of many tasks the messages are made by and by, as they stood at the start."""
        tasks = self._store.find(Task, BY_SERVICE, service.id)
        response = pb.WatchServiceResponse(detail=services.describe(self._store, service))
        for page in pages(tasks):
            response.tasks.extend([to_message(task, objects_pb2.Task) for task in page])
            await asyncio.sleep(0)
        return response

    async def _list_tasks(
        self, request: pb.ListTasksRequest, caller: Caller
    ) -> AsyncIterator[pb.ListTasksResponse]:
        if request.service_id:
            tasks = self._store.find(Task, BY_SERVICE, request.service_id)
        elif request.node_id:
            tasks = self._store.find(Task, BY_NODE, request.node_id)
        else:
            tasks = list(self._store.all(Task))
        wanted = [task for task in tasks if request.node_id in ("", task.node_id)]
        for page in pages(wanted):
            yield pb.ListTasksResponse(tasks=[to_message(task, objects_pb2.Task) for task in page])
            await asyncio.sleep(0)  # there may be many thousands, and heartbeats do not wait

    # --- networks ---

    async def _create_network(
        self, request: pb.CreateNetworkRequest, caller: Caller
    ) -> pb.CreateNetworkResponse:
        spec = from_message(request.spec, NetworkSpec)
        validate.check_network(spec)
        network = await self._store.update(lambda draft: networks.create_network(draft, spec, self._dice))
        log.info("%s created network %s (%s)", caller, spec.name, network.id)
        return pb.CreateNetworkResponse(network_id=network.id)

    async def _list_networks(
        self, request: pb.ListNetworksRequest, caller: Caller
    ) -> AsyncIterator[pb.ListNetworksResponse]:
        for page in pages([to_message(network, objects_pb2.Network) for network in self._store.all(Network)]):
            yield pb.ListNetworksResponse(networks=page)

    async def _get_network(self, request: pb.GetNetworkRequest, caller: Caller) -> pb.GetNetworkResponse:
        network = find_network(self._store, request.network)
        endpoints = self._store.find(Endpoint, BY_NETWORK, network.id)
        return pb.GetNetworkResponse(
            network=to_message(network, objects_pb2.Network),
            endpoints=[to_message(endpoint, objects_pb2.Endpoint) for endpoint in endpoints],
        )

    async def _remove_network(
        self, request: pb.RemoveNetworkRequest, caller: Caller
    ) -> pb.RemoveNetworkResponse:
        await self._store.update(lambda draft: networks.remove_network(draft, request.network_id))
        log.info("%s removed network %s", caller, request.network_id)
        return pb.RemoveNetworkResponse()


def _concerns(item: object, service_id: str) -> bool:
    """Tell whether a changed object is the service, or one of its tasks."""
    match item:
        case Service(id=id) if id == service_id:
            return True
        case Task(service_id=id) if id == service_id:
            return True
        case _:
            return False
