"""coveyd killed between any two steps of init, join and leave: what is left can always be gone on with."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from random import Random

import pytest

from covey.errors import FailedPrecondition, Unavailable
from covey.identity import new_key
from covey.model import bootstrap
from covey.model.objects import Node
from covey.model.states import Availability, NodeRole
from covey.v1 import node_pb2
from covey.wire.client import connect_unix
from covey.wire.server import serve_bootstrap, serve_control
from covey.wire.services import NodeDaemon
from manager.ca import AuthorityServer, join_token
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import FakeLog
from node.founding import cluster_spec, found_cluster
from tests.support.coveyd_host import ADDRESS, Host

pytestmark = pytest.mark.root
INIT = node_pb2.InitRequest(advertise_address=ADDRESS)
LEAVE = node_pb2.LeaveRequest(force=True)


def restarted(host: Host) -> node_pb2.InfoResponse:
    """What the host is after a start in which nothing goes wrong, once that has settled."""
    host.end()
    host.start()
    host.until(lambda: not (host.state / "leaving").exists())
    return host.info()


def test_init() -> None:
    outcomes = set()
    for kill_at in count(1):
        with Host() as host:
            host.start(kill_at=kill_at)
            error = host.attempt(NodeDaemon.init, INIT)
            done = error is None
            assert done or isinstance(error, Unavailable), error
            info = restarted(host)
            if not info.node_id:
                host.ask(NodeDaemon.init, INIT)
                info = host.info()
                outcomes.add("again")
            else:
                outcomes.add("done")
            first = bootstrap.load(bootstrap.path_in(host.state))
            assert first is not None
            assert (first.cluster.id, first.node.id) == (info.cluster_id, info.node_id)
            host.until(lambda host=host: host.running() == {"agent", "dns", "manager"})
        if done:
            break
    assert kill_at > 4, "some step was not hit"
    assert outcomes == {"again", "done"}


def test_leave() -> None:
    outcomes = set()
    for kill_at in count(1):
        with Host() as host:
            host.start()
            host.ask(NodeDaemon.init, INIT)
            host.until(lambda host=host: "start n1" in host.notes("agent"))
            host.end()
            host.start(kill_at=kill_at)
            error = host.attempt(NodeDaemon.leave, LEAVE)
            done = error is None
            assert done or isinstance(error, Unavailable), error
            if restarted(host).node_id:
                assert "stop-tasks" not in host.notes("agent")
                host.ask(NodeDaemon.leave, LEAVE)
                outcomes.add("still a member")
            else:
                outcomes.add("left")
            assert "stop-tasks" in host.notes("agent")
            left = sorted(path.relative_to(host.state).as_posix() for path in host.state.rglob("*"))
            assert left == ["coveyd.lock", "identity"]
            host.ask(NodeDaemon.init, INIT)
        if done:
            break
    assert kill_at > 6, "some step was not hit"
    assert outcomes == {"still a member", "left"}


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

    async def _serve(self) -> None:
        store = await Store.start(FakeLog())

        def begin(draft: Draft) -> None:
            for item in (self.first.cluster, self.first.node, self.first.ingress):
                draft.put(item)

        await store.update(begin)
        managers: list[str] = []
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


def test_join() -> None:
    outcomes = set()
    for kill_at in count(1):
        with an_authority() as authority, Host(own_network=False) as host:
            request = node_pb2.JoinRequest(token=authority.token, address=authority.address)
            host.start(kill_at=kill_at)
            error = host.attempt(NodeDaemon.join, request)
            done = error is None
            assert done or isinstance(error, Unavailable), error
            info = restarted(host)
            if not info.node_id:
                host.ask(NodeDaemon.join, request)
                info = host.info()
                outcomes.add("again")
            else:
                outcomes.add("done")
            host.until(lambda host=host: host.running() == {"agent", "dns"})
        assert authority.workers == [info.node_id], "one host is one node, however often it had to ask"
        if done:
            break
    assert kill_at > 4, "some step was not hit"
    assert outcomes == {"again", "done"}


def test_a_worker_whose_tasks_do_not_stop_stays_marked_as_leaving_and_can_be_forced() -> None:
    with an_authority() as authority, Host(own_network=False) as host:
        host.start()
        request = node_pb2.JoinRequest(token=authority.token, address=authority.address)
        host.ask(NodeDaemon.join, request)
        host.does("agent", "fail")
        refused = host.attempt(NodeDaemon.leave, node_pb2.LeaveRequest())
        assert isinstance(refused, Unavailable)
        assert "a task hangs" in str(refused)
        again = host.attempt(NodeDaemon.join, request)
        assert isinstance(again, FailedPrecondition)
        assert "begun to leave" in str(again)
        host.does("agent", "")
        host.ask(NodeDaemon.leave, node_pb2.LeaveRequest())
        assert host.info().node_id == ""


def test_a_join_goes_on_when_who_asked_for_it_goes_away() -> None:
    with an_authority() as authority, Host(own_network=False) as host:
        host.start()

        request = node_pb2.JoinRequest(token=authority.token, address=authority.address)

        async def ask_and_go() -> None:
            async with connect_unix(host.run / "covey.sock") as channel:
                asked = asyncio.create_task(channel.call(NodeDaemon.join, request))
                while not (host.state / "identity" / "key.pem").exists():  # the first step is done
                    assert not asked.done()
                    await asyncio.sleep(0.001)
                asked.cancel()
                with suppress(asyncio.CancelledError):
                    await asked

        asyncio.run(ask_and_go())
        host.until(lambda: host.info().node_id != "")


def test_a_certificate_is_renewed_in_time_and_a_crash_in_between_costs_nothing() -> None:
    due_at_once = (
        "certificate_renewal_look_s=1",
        "certificate_renewal_from_part=0",
        "certificate_renewal_to_part=0",
    )
    with an_authority() as authority, Host(own_network=False) as host:
        host.start()
        request = node_pb2.JoinRequest(token=authority.token, address=authority.address)
        joined = host.ask(NodeDaemon.join, request)
        certificate = host.state / "identity" / "certificate.pem"
        first = certificate.read_bytes()
        for kill_at in count(1):
            host.end()
            before = certificate.read_bytes()
            host.start(*due_at_once, kill_at=kill_at, wait=False)
            deadline = time.monotonic() + 30
            while not host.died() and certificate.read_bytes() == before and time.monotonic() < deadline:
                time.sleep(0.03)
            if not host.died():
                break
            assert certificate.read_bytes() == before
            assert restarted(host).node_id == joined.node_id
        assert certificate.read_bytes() != first
        assert kill_at > 3, "some step was not hit"
        assert host.info().node_id == joined.node_id
