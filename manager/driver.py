"""One manager: opens the log and the store, serves its three listeners, and leads while it leads."""

import asyncio
import logging
from collections.abc import Iterable
from random import SystemRandom
from typing import Any

from covey import limits
from covey.errors import Bug
from covey.identity import NodeIdentity
from covey.identity import store as identity_store
from covey.io import registry
from covey.model import reference
from covey.model.address import join_host_port
from covey.model.node_config import NodeConfig
from covey.model.objects import Cluster, Node
from covey.model.specs import RegistryAuth
from covey.model.states import NodeRole
from covey.v1.dispatcher_pb2 import Redirect
from covey.wire import server as wire
from covey.wire.service import Binding, Method
from covey.wire.services import Raft
from covey.wire.tls import LoadIdentity
from manager.allocator.allocator import Allocator
from manager.audit.server import AuditServer
from manager.backup.server import BackupServer
from manager.ca import AuthorityServer, join_token, rotate_token
from manager.ca.admission import the_cluster
from manager.control.server import ControlServer
from manager.dispatcher.driver import Dispatcher
from manager.dispatcher.server import DispatcherServer
from manager.forwarding import Forwarding, Leader
from manager.founding.aside import put_aside
from manager.founding.driver import write_content
from manager.keeping import Elsewhere, Keeping, open_kept
from manager.leader.driver import lead
from manager.leader.machine import Leader as Planner
from manager.leadership import while_leading
from manager.logs.server import LogsServer
from manager.raft.seam import Removed
from manager.roles.driver import run_roles
from manager.status.server import StatusServer, ask_by
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.seam import Standing
from manager.tunnels import run_turns

log = logging.getLogger(__name__)


async def run(config: NodeConfig, stop: asyncio.Event) -> None:
    """Be a manager until `stop` is set, or until something breaks that only a new start can mend."""
    try:
        await _run(config, stop)
    except* Removed:
        # Its id can never come back. The next start, if there is one, begins empty and asks to be let in.
        log.warning("what this manager kept is in %s now", put_aside(config.state))
        raise


async def _run(config: NodeConfig, stop: asyncio.Event) -> None:
    def identity() -> NodeIdentity:
        """Read this node's certificate, which may have been renewed since."""
        found = identity_store.load(config.identity_dir)
        if found is None:
            raise Bug(f"{config.identity_dir}: a manager runs without a certificate")
        return found

    kept = await open_kept(config, identity)
    store = await Store.start(kept.log)
    try:
        await kept.check_current(store)
        await _Manager(config, kept, store, identity).serve(stop)
    finally:
        await store.close()


class _Manager:
    """The parts of one manager, wired together."""

    def __init__(
        self, config: NodeConfig, kept: Keeping | Elsewhere, store: Store, identity: LoadIdentity
    ) -> None:
        self._config = config
        self._kept = kept
        self._store = store
        self._identity = identity
        self._dice = SystemRandom()
        self._dispatcher: Dispatcher | None = None  # while this manager leads
        self._authority = AuthorityServer(store, kept.managers, kept.store_access)
        self._logs = LogsServer(store, self._tell, self._session_of, self._dice)
        self._leader = Leader(store, lambda: self._dispatcher is not None, identity, kept.silent_ms)
        self._planner: Planner | None = None  # the leader's, once it has read everything
        self._audit = AuditServer(store, lambda: self._dispatcher, self._allocator, self._dice)
        self._forwarding = Forwarding(store, self._leader, kept.silent_ms)

    # --- what the listeners serve ---

    def _for_people(self) -> list[Binding]:
        status = StatusServer(
            self._store,
            self._config.node_id,
            self._kept.group,
            ask_by(self._identity),
            self._kept.silent_ms,
            lambda: self._kept.kept_out_by,
            self._kept.alive,
            lambda: self._audit.last,
        )
        control = ControlServer(
            self._store,
            self._dice,
            self._resolve_image,
            self._join_token,
            self._kept.group,
            self._config.node_id,
            lambda network_id: self._dispatcher.followed(network_id) if self._dispatcher else None,
        )
        bindings = [*control.bindings(), *status.bindings(), *BackupServer(self._store).bindings()]
        bindings += self._audit.bindings()
        return self._forwarding.wrap([*bindings, *self._logs.reader_bindings()])

    def _for_nodes(self) -> list[Binding]:
        dispatching = DispatcherServer(
            lambda: self._dispatcher, self._elsewhere, self._dice, self._audit.answered
        )
        bindings = [
            *dispatching.bindings(),
            *self._logs.broker_bindings(),
            *self._authority.control_bindings(),
        ]
        # Those who join come to the bootstrap port of any manager, and are passed on to this one of the leader.
        return self._forwarding.wrap([*bindings, *self._kept.bindings(self._store), *self._joining()])

    def _joining(self) -> list[Binding]:
        return self._authority.bootstrap_bindings()

    async def _listen(self, servers: list[wire.Server]) -> None:
        host = self._config.listen_address
        people = self._for_people()
        control = join_host_port(host, limits.control_port)
        bindings = people + self._for_nodes()
        servers.append(await wire.serve_control(control, bindings, self._identity, self._role_of))
        joining = self._forwarding.wrap(self._joining(), self._authority.pace)
        address = join_host_port(host, limits.bootstrap_port)
        servers.append(await wire.serve_bootstrap(address, joining, self._identity))
        servers.append(await wire.serve_unix(self._config.manager_socket, people))
        log.info("serving on %s", ", ".join(server.address for server in servers))

    def _role_of(self, node_id: str, method: Method[Any, Any]) -> NodeRole | None:
        """Say what the store knows of a caller; where it cannot know, certificates decide.

        Raft knows its members itself, and this manager may only learn through them who is one. A manager that has
        just joined knows nobody.
        """
        if method in (Raft.replicate, Raft.send_snapshot):
            return NodeRole.MANAGER
        if self._store.get(Cluster, self._config.cluster_id) is None:
            return NodeRole.MANAGER
        node = self._store.get(Node, node_id)
        return node.role if node is not None else None

    async def _resolve_image(
        self, image: reference.Reference, auth: RegistryAuth | None
    ) -> registry.Resolved:
        insecure, most_s = self._config.insecure_registries, limits.image_resolve_timeout_s
        return await registry.resolve(image, insecure=insecure, auth=auth, timeout_s=most_s)

    async def _join_token(self, role: NodeRole, rotate: bool) -> str:
        await self._store.barrier()  # a token may just have been replaced through another manager

        def change(draft: Draft) -> Cluster:
            cluster = the_cluster(draft)
            if rotate:
                cluster = rotate_token(cluster, role, self._dice)
                draft.put(cluster)
            return cluster

        return str(join_token(await self._store.update(change), role))

    # --- what only the leader does ---

    async def _lead(self, standing: Standing) -> None:
        await write_content(self._store, self._config.state, self._kept.mode)
        cluster = the_cluster(self._store)
        dispatcher = Dispatcher(self._store, self._kept.managers, cluster.spec.vxlan_port)
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(dispatcher.run(), name="dispatcher")
                parts.create_task(lead(self._store, self._dice, self._planning), name="planners")
                parts.create_task(run_roles(self._store, self._kept.group), name="roles")
                parts.create_task(run_turns(self._store), name="turns of keys")
                parts.create_task(self._audit.periodic(), name="audits")
                parts.create_task(self._kept.watch_current(self._store), name="epoch")
                self._dispatcher = dispatcher  # from here on this manager takes what only a leader may
        finally:
            self._dispatcher = self._planner = None
            dispatcher.send_elsewhere(self._elsewhere())
            self._logs.step_down()

    def _planning(self, planner: Planner) -> None:
        self._planner = planner

    def _allocator(self) -> Allocator | None:
        return self._planner.allocator if self._planner is not None else None

    def _elsewhere(self) -> Redirect:
        standing = self._store.standing
        leader = "" if standing.leads else standing.address
        return Redirect(leader=leader, managers=self._kept.managers())

    def _tell(self, node_id: str, message: Any) -> bool:
        return self._dispatcher is not None and self._dispatcher.tell(node_id, message)

    def _session_of(self, node_id: str) -> str:
        return self._dispatcher.session_of(node_id) if self._dispatcher is not None else ""

    # --- all of it ---

    async def serve(self, stop: asyncio.Event) -> None:
        """Run the parts and the listeners until told to stop."""
        servers: list[wire.Server] = []
        try:
            async with asyncio.TaskGroup() as parts:
                running = [
                    parts.create_task(self._store.stopped(), name="store"),
                    parts.create_task(self._kept.watch_leader(), name="contact"),
                    parts.create_task(while_leading(self._store, self._lead), name="leadership"),
                ]
                await self._listen(servers)
                running.append(parts.create_task(self._kept.take_part(), name="membership"))
                await stop.wait()
                await self._kept.hand_over()
                for part in running:
                    part.cancel()
        finally:
            await _stop(servers)
            await self._leader.close()


async def _stop(servers: Iterable[wire.Server]) -> None:
    await asyncio.gather(*(server.stop(limits.server_stop_grace_s) for server in servers))
