"""The gRPC side of the control API: requests are read, checked, and turned into transactions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

from msgspec.structs import replace

from covey.errors import InvalidArgument, Unavailable
from covey.model.objects import Cluster, JoinSecrets, Node, RootCa, Task
from covey.model.specs import ClusterSpec, NodeSpec
from covey.model.states import NodeRole
from covey.v1 import control_pb2 as pb
from covey.v1 import objects_pb2
from covey.wire.codec import from_message, to_message
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control
from manager.control import clusters, nodes, validate
from manager.control.lookup import find_node
from manager.control.networks.server import FollowedBy, NetworkServer
from manager.control.paging import pages
from manager.control.services.server import ResolveImage, ServiceServer
from manager.roles.seam import Group, facts_of
from manager.store.driver import Store
from manager.store.view import BY_NODE, BY_SERVICE

log = logging.getLogger(__name__)

JoinToken = Callable[[NodeRole, bool], Awaitable[str]]


class ControlServer:
    """Serves `covey.v1.Control`.

    `resolve_image` asks a registry for a digest; `join_token` gives (and may first replace) a token.
    `group` is asked whether it can do without a manager; None where no Raft group keeps the log.
    `node_id` is this manager's; a history says on which host somebody was root. `followed` says what the dispatcher
    has heard of a network's nodes.
    """

    def __init__(
        self,
        store: Store,
        dice: Random,
        resolve_image: ResolveImage,
        join_token: JoinToken,
        group: Group | None = None,
        node_id: str = "",
        followed: FollowedBy = lambda _: None,
    ) -> None:
        self._store = store
        self._dice = dice
        self._services = ServiceServer(store, dice, resolve_image, node_id)
        self._networks = NetworkServer(store, dice, followed)
        self._join_token = join_token
        self._group = group

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [
            *self._services.bindings(),
            *self._networks.bindings(),
            bind(Control.get_cluster, self._get_cluster),
            bind(Control.update_cluster, self._update_cluster),
            bind(Control.get_join_token, self._get_join_token),
            bind(Control.list_nodes, self._list_nodes),
            bind(Control.get_node, self._get_node),
            bind(Control.update_node, self._update_node),
            bind(Control.remove_node, self._remove_node),
            bind(Control.list_tasks, self._list_tasks),
        ]

    async def _get_cluster(self, request: pb.GetClusterRequest, caller: Caller) -> pb.GetClusterResponse:
        cluster = next(iter(self._store.all(Cluster)), None)
        if cluster is None:
            raise Unavailable("the cluster is still being set up; try again in a moment")
        root = RootCa(certificate_pem=cluster.root_ca.certificate_pem, digest=cluster.root_ca.digest)
        shown = replace(cluster, root_ca=root, join_secrets=JoinSecrets())
        return pb.GetClusterResponse(cluster=to_message(shown, objects_pb2.Cluster))

    async def _update_cluster(
        self, request: pb.UpdateClusterRequest, caller: Caller
    ) -> pb.UpdateClusterResponse:
        spec = from_message(request.spec, ClusterSpec)
        await self._store.update(lambda draft: clusters.update_cluster(draft, request.version, spec))
        log.info("%s changed the settings of the cluster", caller)
        return pb.UpdateClusterResponse()

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

    # --- tasks ---

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
