"""One manager: opens the store, starts its parts, serves its three listeners."""

import asyncio
import logging
from pathlib import Path
from random import SystemRandom
from typing import Any

from covey import limits
from covey.errors import Bug, FailedPrecondition
from covey.identity import NodeIdentity
from covey.identity import store as identity_store
from covey.io import registry
from covey.model import bootstrap, reference
from covey.model.address import join_host_port
from covey.model.node_config import NodeConfig
from covey.model.objects import Cluster, Node
from covey.model.specs import RegistryAuth
from covey.model.states import NodeRole
from covey.wire import server as wire
from covey.wire.service import Method
from manager.backup.server import BackupServer
from manager.ca import AuthorityServer, join_token, rotate_token
from manager.ca.admission import the_cluster
from manager.control.server import ControlServer
from manager.dispatcher.driver import Dispatcher
from manager.dispatcher.server import DispatcherServer
from manager.leader.driver import lead
from manager.logs.server import LogsServer
from manager.status.server import StatusServer, ask_by
from manager.store.draft import Draft
from manager.store.driver import Store

log = logging.getLogger(__name__)


async def run(config: NodeConfig, stop: asyncio.Event) -> None:
    """Be a manager until `stop` is set, or until something breaks that only a new start can mend."""
    store = await Store.open(config.state, config.cluster_id)
    try:
        await _write_first_content(store, config)
        await _Manager(config, store).serve(stop)
    finally:
        await store.close()


async def _write_first_content(store: Store, config: NodeConfig) -> None:
    """Give a new store what `covey init` decided; then that file has done its work."""
    path = bootstrap.path_in(config.state)
    first = bootstrap.load(path)
    if first is not None:

        def write(draft: Draft) -> None:
            if not any(True for _ in draft.all(Cluster)):
                for item in (first.cluster, first.node, first.ingress):
                    draft.put(item)

        await store.update(write)
        path.unlink()
    if store.get(Cluster, config.cluster_id) is None:
        remedy = "restore a backup, or `covey leave --force` and join again"
        raise FailedPrecondition(
            f"{config.state}/manager knows nothing of cluster {config.cluster_id}; {remedy}"
        )


class _Manager:
    """The parts of one manager, wired together."""

    def __init__(self, config: NodeConfig, store: Store) -> None:
        self._config = config
        self._store = store
        self._dice = SystemRandom()
        self._identity_dir: Path = config.identity_dir
        cluster = the_cluster(store)
        self._dispatcher = Dispatcher(store, self._managers, cluster.spec.vxlan_port)
        self._authority = AuthorityServer(store, self._managers)
        self._logs = LogsServer(store, self._dispatcher.tell, self._dispatcher.session_of, self._dice)
        self._status = StatusServer(store, config.node_id, None, ask_by(self._identity), lambda: 0)
        self._backup = BackupServer(store)
        self._control = ControlServer(store, self._dice, self._resolve_image, self._join_token)

    def _managers(self) -> tuple[str, ...]:
        """Return the control addresses of all managers."""
        return (join_host_port(self._config.advertise_address, limits.control_port),)

    async def _resolve_image(self, image: reference.Reference, auth: RegistryAuth | None) -> str:
        insecure, most_s = self._config.insecure_registries, limits.image_resolve_timeout_s
        return await registry.resolve_digest(image, insecure=insecure, auth=auth, timeout_s=most_s)

    async def _join_token(self, role: NodeRole, rotate: bool) -> str:
        def change(draft: Draft) -> Cluster:
            cluster = the_cluster(draft)
            if rotate:
                cluster = rotate_token(cluster, role, self._dice)
                draft.put(cluster)
            return cluster

        return str(join_token(await self._store.update(change), role))

    def _identity(self) -> NodeIdentity:
        """Read this node's certificate, which may have been renewed since."""
        identity = identity_store.load(self._identity_dir)
        if identity is None:
            raise Bug(f"{self._identity_dir}: a manager runs without a certificate")
        return identity

    def _role_of(self, node_id: str, method: Method[Any, Any]) -> NodeRole | None:
        node = self._store.get(Node, node_id)
        return node.role if node is not None else None

    async def serve(self, stop: asyncio.Event) -> None:
        """Run the parts and the listeners until told to stop."""
        people = [
            *self._control.bindings(),
            *self._status.bindings(),
            *self._backup.bindings(),
            *self._logs.reader_bindings(),
        ]
        agents = [
            *DispatcherServer(self._dispatcher, self._dice).bindings(),
            *self._logs.broker_bindings(),
            *self._authority.control_bindings(),
        ]
        host = self._config.listen_address
        servers: list[wire.Server] = []
        try:
            async with asyncio.TaskGroup() as parts:
                running = [
                    parts.create_task(lead(self._store, self._dice), name="leader"),
                    parts.create_task(self._dispatcher.run(), name="dispatcher"),
                    parts.create_task(self._store.stopped(), name="store"),
                ]
                control = join_host_port(host, limits.control_port)
                joining = join_host_port(host, limits.bootstrap_port)
                servers.append(
                    await wire.serve_control(control, people + agents, self._identity, self._role_of)
                )
                bindings = self._authority.bootstrap_bindings()
                servers.append(await wire.serve_bootstrap(joining, bindings, self._identity))
                servers.append(await wire.serve_unix(self._config.manager_socket, people))
                log.info("serving on %s", ", ".join(server.address for server in servers))
                await stop.wait()
                for part in running:
                    part.cancel()
        finally:
            for server in servers:
                await server.stop(limits.server_stop_grace_s)
