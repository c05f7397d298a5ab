"""The managers as a host sees them that joins, renews or changes its role: real certificates, no group."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from msgspec.structs import replace

from covey.identity import new_key
from covey.model.objects import Node
from covey.model.states import Availability, NodeRole
from covey.wire.server import serve_bootstrap, serve_control
from manager.ca import AuthorityServer, join_token
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import FakeLog
from node.founding import cluster_spec, found_cluster


class Authority(threading.Thread):
    """A manager's bootstrap port on loopback, with a loop of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        made = found_cluster(
            cluster_spec((), 0, 0), new_key(), "m1", Availability.ACTIVE, Random(7), time.time_ns()
        )
        self.first, self.identity = made.bootstrap, made.identity
        self.token = str(join_token(self.first.cluster, NodeRole.WORKER))
        self.address = ""
        self.workers: list[str] = []
        self.ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._ending = asyncio.Event()

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self.join(30)

    def make(self, node_id: str, role: NodeRole) -> None:
        """Settle what a node is, as the leader does once its manager has joined or left the others."""

        def change(draft: Draft) -> None:
            node = draft.get(Node, node_id)
            assert node is not None
            draft.put(replace(node, role=role, spec=replace(node.spec, role=role)))

        asyncio.run_coroutine_threadsafe(self._store.update(change), self._loop).result(30)

    @property
    def managers(self) -> tuple[str, ...]:
        return tuple(self._managers)

    async def _serve(self) -> None:
        self._store = store = await Store.start(FakeLog())

        def begin(draft: Draft) -> None:
            for item in (self.first.cluster, self.first.node, self.first.ingress):
                draft.put(item)

        await store.update(begin)
        self._managers = managers = list[str]()
        authority = AuthorityServer(store, lambda: managers)
        control = await serve_control(
            "127.0.0.1:0",
            authority.control_bindings(),
            lambda: self.identity,
            lambda _id, _method: NodeRole.MANAGER,
        )
        managers.append(control.address)
        server = await serve_bootstrap("127.0.0.1:0", authority.bootstrap_bindings(), lambda: self.identity)
        self.address = f"127.0.0.1:{int(server.address.rpartition(':')[2]) - 1}"
        self.ready.set()
        await self._ending.wait()
        self.workers = [node.id for node in store.all(Node) if node.role is NodeRole.WORKER]
        await server.stop(0)
        await control.stop(0)
        await store.close()


@contextmanager
def an_authority() -> Iterator[Authority]:
    authority = Authority()
    authority.start()
    assert authority.ready.wait(30)
    try:
        yield authority
    finally:
        authority.stop()
