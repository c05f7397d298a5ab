"""coveyd killed between any two steps of init, join and leave: what is left can always be gone on with."""

import asyncio
import time
from contextlib import suppress
from itertools import count

import pytest

from covey.errors import FailedPrecondition, Unavailable
from covey.model import bootstrap
from covey.v1 import node_pb2
from covey.wire.client import connect_unix
from covey.wire.services import NodeDaemon
from tests.support.coveyd_authority import an_authority
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
