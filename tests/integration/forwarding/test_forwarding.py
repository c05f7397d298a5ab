"""Managers that pass calls on: real ports and certificates between them, and a log that says who leads."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from covey import limits
from covey.errors import Conflict, NotFound, NotLeader, PermissionDenied, Unauthenticated, Unavailable
from covey.model.objects import Cluster, Node
from covey.model.states import NodeRole
from covey.v1 import ca_pb2, control_pb2, logs_pb2
from covey.wire.client import Channel, connect_control
from covey.wire.metadata import AGE_MS, CALLER_ROLE, INDEX, Metadata, on_behalf_of
from covey.wire.server import Server, serve_control
from covey.wire.service import Caller, Role, bind
from covey.wire.services import Control, Logs, NodeCa
from manager.forwarding import Forwarding, Leader
from manager.store.driver import Store
from manager.store.log.fake import Disk, FakeLog
from tests.support.pki import Authority

AUTHORITY = Authority()
WORKER = AUTHORITY.node(NodeRole.WORKER)
ROOT = Caller(Role.LOCAL)


class Manager:
    """One manager: its store, its port, and a note of what it carried out."""

    def __init__(self, log: FakeLog, store: Store) -> None:
        self.log, self.store = log, store
        self.identity = AUTHORITY.node(NodeRole.MANAGER)
        self.served: list[Caller] = []
        self.failure: Exception | None = None
        self.serving = True
        self.believes = False  # whoever comes is a manager
        self.hold = asyncio.Event()
        self.hold.set()
        self.leader_silent_ms = 0
        self.leader = Leader(
            store, lambda: self.serving, lambda: self.identity, lambda: self.leader_silent_ms
        )
        self.forwarding = Forwarding(store, self.leader, lambda: 42)
        self.server: Server | None = None

    async def listen(self) -> None:
        bindings = [bind(NodeCa.renew_certificate, self.renew), bind(Logs.read_logs, self.read_logs)]
        self.server = await serve_control(
            "127.0.0.1:0", self.forwarding.wrap(bindings), lambda: self.identity, self.role_of
        )

    @property
    def address(self) -> str:
        assert self.server is not None
        return self.server.address

    @property
    def node_id(self) -> str:
        return self.identity.identity.node_id

    def role_of(self, node_id: str, method: Any) -> NodeRole | None:
        node = self.store.get(Node, node_id)
        if self.believes:
            return NodeRole.MANAGER
        return node.role if node is not None else None

    async def renew(
        self, request: ca_pb2.RenewCertificateRequest, caller: Caller
    ) -> ca_pb2.RenewCertificateResponse:
        self.served.append(caller)
        await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return ca_pb2.RenewCertificateResponse(certificate_pem=request.signing_request_pem)

    async def read_logs(
        self, request: logs_pb2.ReadLogsRequest, caller: Caller
    ) -> AsyncIterator[logs_pb2.ReadLogsResponse]:
        self.served.append(caller)
        yield logs_pb2.ReadLogsResponse(warnings=["one"])
        if self.failure is not None:
            raise self.failure
        yield logs_pb2.ReadLogsResponse(warnings=["two"])

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(0)
        await self.leader.close()
        await self.store.close()


class Managers:
    """Several of them, and callers."""

    def __init__(self, managers: list[Manager]) -> None:
        self.managers = managers
        self.channels: list[Channel] = []

    def lead(self, leader: Manager | None) -> None:
        """Have everybody agree on who leads."""
        for manager in self.managers:
            if leader is None:
                manager.log.part()
            elif manager is leader:
                manager.log.lead()
            else:
                manager.log.follow(leader.node_id, leader.address)

    def dial(self, manager: Manager, identity: Any = WORKER) -> Channel:
        self.channels.append(connect_control(manager.address, identity))
        return self.channels[-1]


def between(scene: Callable[[Managers], Awaitable[None]], count: int = 2) -> None:
    async def run() -> None:
        disk = Disk()
        stores = [(log := FakeLog(disk, leads=False), await Store.start(log)) for _ in range(count)]
        here = Managers([Manager(log, store) for log, store in stores])
        first = here.managers[0]
        first.log.lead()
        draft = first.store.draft()
        draft.put(Cluster(id="c"))
        draft.put(Node(id=WORKER.identity.node_id))
        for manager in here.managers:
            draft.put(Node(id=manager.node_id, role=NodeRole.MANAGER))
        await first.store.commit(draft.transaction())
        try:
            for manager in here.managers:
                await manager.store.reach(first.store.index)
                await manager.listen()
            here.lead(first)
            async with asyncio.timeout(30):
                await scene(here)
        finally:
            for channel in here.channels:
                await channel.close()
            for manager in here.managers:
                await manager.stop()

    asyncio.run(run())


REQUEST = ca_pb2.RenewCertificateRequest(signing_request_pem="x")


def test_any_manager_takes_what_the_leader_does() -> None:
    async def scene(here: Managers) -> None:
        leader, follower = here.managers
        answer = await here.dial(follower).call(NodeCa.renew_certificate, REQUEST)
        assert answer.certificate_pem == "x"
        assert not follower.served
        (caller,) = leader.served
        assert (caller.role, caller.node_id, caller.via) == (
            Role.WORKER,
            WORKER.identity.node_id,
            follower.node_id,
        )
        assert caller.host == "127.0.0.1"

    between(scene)


def test_errors_come_back_as_they_were() -> None:
    async def scene(here: Managers) -> None:
        leader, follower = here.managers
        for failure in (Conflict("changed"), NotFound("gone"), Unavailable("the registry sleeps")):
            leader.failure = failure
            with pytest.raises(type(failure), match=f"^{failure}$"):
                await here.dial(follower).call(NodeCa.renew_certificate, REQUEST)
        assert len(leader.served) == 3

    between(scene)


def test_streams_are_passed_on_as_they_come() -> None:
    async def scene(here: Managers) -> None:
        leader, follower = here.managers
        request = logs_pb2.ReadLogsRequest()
        identity = here.managers[1].identity
        stream = here.dial(follower, identity).stream(Logs.read_logs, request)
        assert [answer.warnings[0] async for answer in stream] == ["one", "two"]
        leader.failure = NotLeader("lost")
        stream = here.dial(follower, identity).stream(Logs.read_logs, request)
        assert (await anext(stream)).warnings == ["one"]
        with pytest.raises(Unavailable, match="lost"):  # what has begun is not begun again
            await anext(stream)

    between(scene)


def test_a_call_waits_for_a_leader() -> None:
    async def scene(here: Managers) -> None:
        leader, follower = here.managers
        here.lead(None)
        call = asyncio.create_task(here.dial(follower).call(NodeCa.renew_certificate, REQUEST))
        await asyncio.sleep(0.2)
        assert not call.done()
        here.lead(leader)
        await call
        assert len(leader.served) == 1

    between(scene)


def test_a_call_waits_for_the_leader_to_be_ready() -> None:
    async def scene(here: Managers) -> None:
        leader, follower = here.managers
        leader.serving = False
        calls = [
            asyncio.create_task(here.dial(manager).call(NodeCa.renew_certificate, REQUEST))
            for manager in (leader, follower)
        ]
        await asyncio.sleep(0.2)
        assert not any(call.done() for call in calls)
        leader.serving = True
        await asyncio.gather(*calls)
        assert len(leader.served) == 2

    between(scene)


def test_nobody_leads_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "forward_wait_s", 0.2)

    async def scene(here: Managers) -> None:
        here.lead(None)
        with pytest.raises(Unavailable, match="`covey cluster status`"):
            await here.dial(here.managers[1]).call(NodeCa.renew_certificate, REQUEST)

    between(scene)


def test_who_thinks_somebody_leads_who_does_not_asks_again() -> None:
    async def scene(here: Managers) -> None:
        first, second, asked = here.managers
        # The one asked still takes the first for the leader; the second one leads by now.
        first.log.follow(second.node_id, second.address)
        second.log.lead()
        call = asyncio.create_task(here.dial(asked).call(NodeCa.renew_certificate, REQUEST))
        await asyncio.sleep(0.2)
        assert not call.done()
        assert not first.served
        assert not second.served  # a call is passed on once
        asked.log.follow(second.node_id, second.address)
        await call
        assert [caller.via for caller in second.served] == [asked.node_id]

    between(scene, 3)


def test_a_dead_leader_is_waited_out() -> None:
    async def scene(here: Managers) -> None:
        first, second, asked = here.managers
        assert first.server is not None
        await first.server.stop(0)
        call = asyncio.create_task(here.dial(asked).call(NodeCa.renew_certificate, REQUEST))
        await asyncio.sleep(0.2)
        asked.log.follow(second.node_id, second.address)
        second.log.lead()
        await call
        assert len(second.served) == 1

    between(scene, 3)


def test_what_was_sent_and_not_answered_is_not_sent_again() -> None:
    async def scene(here: Managers) -> None:
        first, second, asked = here.managers
        first.hold.clear()
        call = asyncio.create_task(here.dial(asked).call(NodeCa.renew_certificate, REQUEST))
        while not first.served:
            await asyncio.sleep(0.01)
        assert first.server is not None
        await first.server.stop(0)
        second.log.lead()
        asked.log.follow(second.node_id, second.address)
        with pytest.raises(Unavailable, match="nobody knows whether it was done"):
            await call
        assert not second.served
        first.hold.set()

    between(scene, 3)


def test_a_leader_that_lost_its_power_is_not_waited_for_once_another_one_leads() -> None:
    async def scene(here: Managers) -> None:
        first, second, asked = here.managers
        first.hold.clear()  # its connections stand, and nothing comes
        call = asyncio.create_task(here.dial(asked).call(NodeCa.renew_certificate, REQUEST))
        while not first.served:
            await asyncio.sleep(0.01)
        second.log.lead()
        asked.log.follow(second.node_id, second.address)
        with pytest.raises(Unavailable, match="nobody knows whether it was done"):
            await call
        assert not second.served
        first.hold.set()

    between(scene, 3)


def test_nothing_is_sent_to_a_leader_that_has_gone_silent() -> None:
    async def scene(here: Managers) -> None:
        first, second, asked = here.managers
        asked.leader_silent_ms = limits.forward_silence_ms + 1
        call = asyncio.create_task(here.dial(asked).call(NodeCa.renew_certificate, REQUEST))
        await asyncio.sleep(4 * limits.forward_pause_ms / 1000)
        assert not first.served
        second.log.lead()
        asked.log.follow(second.node_id, second.address)
        asked.leader_silent_ms = 0
        await call
        assert not first.served
        assert len(second.served) == 1

    between(scene, 3)


def test_leadership_lost_before_anything_was_written_is_no_failure() -> None:
    async def scene(here: Managers) -> None:
        first, second = here.managers
        first.failure = NotLeader("this manager does not lead any more")
        call = asyncio.create_task(here.dial(first).call(NodeCa.renew_certificate, REQUEST))
        while not first.served:
            await asyncio.sleep(0.01)
        here.lead(second)
        await call
        assert len(second.served) == 1

    between(scene)


def test_a_worker_cannot_come_as_another() -> None:
    async def scene(here: Managers) -> None:
        leader = here.managers[0]
        forged = Metadata(on_behalf_of(Caller(Role.LOCAL)))
        for manager in here.managers:
            with pytest.raises(PermissionDenied, match="only managers speak for others"):
                await here.dial(manager).beside(forged).call(NodeCa.renew_certificate, REQUEST)
        assert not leader.served
        assert any(key == CALLER_ROLE for key, _ in forged.sent)

    between(scene)


def test_the_leader_judges_who_is_passed_on_by_its_own_store() -> None:
    async def scene(here: Managers) -> None:
        follower = here.managers[1]
        request, identity = logs_pb2.ReadLogsRequest(), AUTHORITY.node(NodeRole.MANAGER)
        follower.believes = True  # as one that lags: the node has been removed
        stream = here.dial(follower, identity).stream(Logs.read_logs, request)
        with pytest.raises(Unauthenticated, match="no member"):
            async for _ in stream:
                pass

    between(scene)


def test_reads_are_of_what_was_acknowledged_unless_old_will_do() -> None:
    async def scene(here: Managers) -> None:
        leader, follower = here.managers

        async def get(request: Any, caller: Caller) -> control_pb2.GetClusterResponse:
            return control_pb2.GetClusterResponse()

        (binding,) = follower.forwarding.wrap([bind(Control.get_cluster, get)])
        await leader.store.update(lambda draft: draft.put(Node(id="n")))
        await binding.handler(control_pb2.GetClusterRequest(), ROOT)
        assert follower.store.index == leader.store.index
        here.lead(None)
        with pytest.raises(Unavailable, match="no manager leads"):
            await binding.handler(control_pb2.GetClusterRequest(), ROOT)
        stale = Caller(Role.LOCAL, stale=True)
        await binding.handler(control_pb2.GetClusterRequest(), stale)
        assert stale.beside == {AGE_MS: "42", INDEX: str(follower.store.index)}
        await follower.store.close()

    between(scene)


def test_a_manager_that_knows_nothing_yet_answers_no_reads() -> None:
    async def run() -> None:
        store = await Store.start(FakeLog())
        leader = Leader(store, lambda: True, lambda: AUTHORITY.node(NodeRole.MANAGER))

        async def get(request: Any, caller: Caller) -> control_pb2.GetClusterResponse:
            return control_pb2.GetClusterResponse()

        (binding,) = Forwarding(store, leader, lambda: -1).wrap([bind(Control.get_cluster, get)])
        for caller in (ROOT, Caller(Role.LOCAL, stale=True)):
            with pytest.raises(Unavailable, match="knows nothing of its cluster yet"):
                await binding.handler(control_pb2.GetClusterRequest(), caller)
        await store.close()

    asyncio.run(run())


def test_whoever_asks_too_often_is_not_passed_on() -> None:
    async def scene(here: Managers) -> None:
        leader, follower = here.managers
        asked: list[float] = []

        def pace(caller: Caller) -> None:
            asked.append(time.monotonic())
            raise PermissionDenied("slow down")

        (binding,) = follower.forwarding.wrap([bind(NodeCa.renew_certificate, follower.renew)], pace)
        with pytest.raises(PermissionDenied, match="slow down"):
            await binding.handler(REQUEST, Caller(Role.ANYONE, host="192.0.2.1"))
        assert len(asked) == 1
        assert not leader.served

    between(scene)
