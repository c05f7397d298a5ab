"""How a task leaves: nothing new comes, what is open goes on, and it shows when nobody is connected any more."""

import asyncio
import dataclasses
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.network import ops
from agent.network.io import connections, conntrack
from agent.network.io.kernel import carry_out
from agent.network.io.places import Places
from agent.network.io.wire import NETLINK_NETFILTER, Channel
from agent.network.state import Address, Kind, Link, Port
from agent.network.sweep import Flow
from covey.io import netns
from covey.model.states import EndpointState
from tests.support.network_bed import NET, PUBLISHED, VIP, Bed
from tests.support.network_traffic import ask_tcp, ask_udp, connect, eventually, greet, names_of

pytestmark = pytest.mark.root

ACTIVE, DRAINING = EndpointState.ACTIVE, EndpointState.DRAINING
BOUND_S = 30.0


def test_open_connections_outlive_the_rules_that_made_them(bed: Bed) -> None:
    """By virtual address and by published port: from a task, from outside, from each node to itself both ways."""
    first, second, third = bed.hosts
    bed.attach(first, "t1", None, published=False)
    bed.attach(second, "t3", ACTIVE)
    bed.attach(third, "t5", ACTIVE)
    bed.push()
    ways: list[tuple[Path, str, int]] = [(first.task_path("t1"), VIP, 80), (second.task_path("t3"), VIP, 80)]
    for host in bed.hosts:
        ways.append((bed.outside, host.address, PUBLISHED))
        ways += [(host.path, address, PUBLISHED) for address in (host.address, "127.0.0.1")]
    with ExitStack() as stack:
        served = [[stack.enter_context(connect(*way)) for _ in range(2)] for way in ways]
        by_way = [{greet(each)[0]: each for each in pair} for pair in served]
        assert all(each.keys() == {"t3", "t5"} for each in by_way), "in turn"
        bed.states["t3"] = DRAINING
        bed.push()
        for way, pair in zip(ways, by_way, strict=True):
            assert names_of(ask_tcp(*way, times=4)) == {"t5": 4}, f"nothing new comes to t3, by {way}"
            for name, opened in pair.items():
                opened.sendall(name.encode())
                assert opened.recv(100) == name.encode(), f"what was open goes on, by {way}"


def test_host_ports_close_for_what_is_new_alone(bed: Bed) -> None:
    first = bed.hosts[0]
    bed.attach(first, "t2", ACTIVE)
    bed.push()
    with connect(bed.outside, first.address, 9000) as far, connect(first.path, "127.0.0.1", 9000) as near:
        assert greet(far)[0] == greet(near)[0] == "t2"
        first.call("close_ports", name="t2")
        for path, address in ((bed.outside, first.address), (first.path, "127.0.0.1")):
            with pytest.raises(ConnectionRefusedError):
                connect(path, address, 9000)
        assert names_of(ask_tcp(bed.outside, first.address, PUBLISHED, 2)) == {"t2": 2}, (
            "the mesh has it still"
        )
        for opened in (far, near):
            opened.sendall(b"still there")
            assert opened.recv(100) == b"still there"
        first.call("close_ports", name="t2")
        first.call("close_ports", name="nobody")


# --- who is connected ---


@contextmanager
def process_in(path: Path) -> Iterator[int]:
    """A process that does nothing, in a namespace."""
    idle = subprocess.Popen(["nsenter", f"--net={path}", "sleep", "100"])
    try:
        eventually_there(idle.pid, path)
        yield idle.pid
    finally:
        idle.send_signal(signal.SIGKILL)
        idle.wait(BOUND_S)


def eventually_there(pid: int, path: Path) -> None:
    deadline = time.monotonic() + BOUND_S
    while Path(f"/proc/{pid}/ns/net").stat().st_ino != path.stat().st_ino:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_quiet(pid: int, within_s: float = 0.25) -> bool:
    async def look() -> bool:
        try:
            async with asyncio.timeout(within_s):
                await connections.quiet(pid)
        except TimeoutError:
            return False
        return True

    return asyncio.run(look())


def listening(path: Path, port: int = 80, backlog: int = 16) -> socket.socket:
    server = netns.socket_inside(path, socket.AF_INET, socket.SOCK_STREAM)
    server.bind(("0.0.0.0", port))
    server.listen(backlog)
    return server


def test_a_task_is_quiet_once_nobody_outside_waits_for_it(bed: Bed) -> None:
    first, second = bed.hosts[:2]
    bed.attach(first, "t1", None, published=False)
    bed.attach(second, "t3", None)
    bed.push()
    path, client = second.task_path("t3"), first.task_path("t1")
    with process_in(path) as pid, listening(path) as server:
        assert is_quiet(pid, BOUND_S)
        with connect(client, "10.7.0.3"):
            assert not is_quiet(pid), "connected, and accepted by nobody yet"
            accepted, _ = server.accept()
            assert not is_quiet(pid)
        assert not is_quiet(pid), "the client has said all it had to say, and waits for the answer"
        accepted.close()
        assert is_quiet(pid, BOUND_S)
        _the_server_that_closes_first(server, pid, client)
        _its_own_business(server, pid, path, first.task_path("t1"), bed)
        server.close()
    assert is_quiet(pid, BOUND_S), "the process has ended"


def _the_server_that_closes_first(server: socket.socket, pid: int, client: Path) -> None:
    """What it has sent is out only once the client has it all."""
    with connect(client, "10.7.0.3") as opened:
        accepted, _ = server.accept()
        accepted.settimeout(0.2)
        with pytest.raises(TimeoutError):
            accepted.sendall(b"x" * (64 << 20))  # as much as the kernels take
        accepted.close()
        assert not is_quiet(pid)
        while opened.recv(1 << 20):
            pass
        assert is_quiet(pid, BOUND_S), "the client has it all, though it has not closed"


def _its_own_business(server: socket.socket, pid: int, path: Path, elsewhere: Path, bed: Bed) -> None:
    """Connections it makes, by whatever address, are nobody's request to it."""
    with listening(elsewhere, 81), connect(path, "10.7.0.1", 81):
        assert is_quiet(pid, BOUND_S)
    for own in ("127.0.0.1", "10.7.0.3"):
        with connect(path, own):
            assert is_quiet(pid, BOUND_S)
            server.accept()[0].close()


def test_ports_of_both_families_count_and_one_closed_meanwhile(bed: Bed) -> None:
    first, second = bed.hosts[:2]
    bed.attach(first, "t1", None, published=False)
    bed.attach(second, "t3", None)
    bed.push()
    path = second.task_path("t3")
    with process_in(path) as pid:
        server = netns.socket_inside(path, socket.AF_INET6, socket.SOCK_STREAM)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", 80))
        server.listen()
        with connect(first.task_path("t1"), "10.7.0.3"):
            accepted, _ = server.accept()
            assert not is_quiet(pid)
            waiting = threading.Thread(target=_in_time, args=(lambda: is_quiet(pid, BOUND_S),))
            waiting.start()
            time.sleep(0.2)
            server.close()  # the server takes nothing new by itself: what it has still counts
            waiting.join(0.2)
            assert waiting.is_alive()
        accepted.close()
        waiting.join(BOUND_S)
        assert not waiting.is_alive()


def _in_time(quiet: Callable[[], bool]) -> None:
    assert quiet()


def test_connections_to_who_has_just_come_are_not_swept_away_with_those_to_who_has_left(bed: Bed) -> None:
    """Sweeping many namespaces takes a while, and the tables go on meanwhile."""
    first, second, third = bed.hosts
    clients = [f"t{number}" for number in range(10, 40)]
    for name in clients:
        bed.attach(first, name, None, published=False)
    bed.attach(second, "t3", ACTIVE)
    bed.push()
    for name in clients:
        ask_udp(first.task_path(name), VIP)  # a namespace without connections is swept in no time
    bed.attach(second, "t4", ACTIVE)
    bed.attach(third, "t5", ACTIVE)
    bed.remove(second, "t3")
    with_them = bed.table(NET)
    second.call("apply", table=with_them)
    third.call("apply", table=with_them)
    rows = [row for row in with_them.endpoints if row.task_id not in ("t4", "t5")]
    first.call("apply", table=replace(with_them, endpoints=tuple(rows)))  # begins to sweep
    first.call("apply", table=with_them)
    with ExitStack() as stack:
        opened = [stack.enter_context(connect(first.task_path(name), VIP)) for name in clients]
        assert {greet(each)[0] for each in opened} == {"t4", "t5"}
        time.sleep(1.0)
        for each in opened:
            each.sendall(b"still there")
            assert each.recv(100) == b"still there"


def test_a_port_whose_connection_is_closed_is_free_for_another(bed: Bed) -> None:
    """A closed connection is not swept: it would be a new one from the same port that is forgotten in its place."""
    first, second = bed.hosts[:2]
    bed.attach(first, "t1", None, published=False)
    bed.attach(second, "t3", ACTIVE)
    bed.push()
    client = first.task_path("t1")
    with _from_port(client, 40_000) as opened:
        assert greet(opened)[0] == "t3"
    assert [each.closed for each in _flows(client)] == [True]
    bed.attach(second, "t4", ACTIVE)
    bed.remove(second, "t3")
    with _from_udp_port(client, 40_001) as asking:  # swept, by which it shows that the sweep is over
        bed.push()
        eventually(lambda: _asked(asking) == "t4", "the flow found nobody")
    assert sorted((each.answered_by, each.closed) for each in _flows(client)) == [
        ("10.7.0.3", True),
        ("10.7.0.4", False),
    ]
    with _from_port(client, 40_000) as opened:
        assert greet(opened)[0] == "t4", "the kernel makes a new connection of it"


def _flows(path: Path) -> list[Flow]:
    with Channel(NETLINK_NETFILTER, path) as channel:
        return conntrack.flows(channel)


def _from_port(path: Path, port: int) -> socket.socket:
    """A connection that ends with a reset, so that its port is free at once."""
    opened = netns.socket_inside(path, socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    opened.settimeout(3)
    opened.bind(("", port))
    opened.connect((VIP, 80))
    return opened


def _from_udp_port(path: Path, port: int) -> socket.socket:
    asking = netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(0.3)
    asking.bind(("", port))
    asking.connect((VIP, 80))
    _asked(asking)
    return asking


def _asked(asking: socket.socket) -> str:
    try:
        asking.send(b"?")
        return asking.recv(100).decode().split()[0]
    except OSError:
        return ""


def test_a_namespace_does_not_wait_for_connections_that_nobody_answers(scratch: Path) -> None:
    """Or the host would keep its end of the link for a minute and more after the task."""
    places = Places(scratch)
    here, there = scratch / "peer", scratch / "task"
    netns.create(here)
    netns.create(there)
    bridge = Link("br", Kind.BRIDGE, 1500, mac="02:42:c0:00:02:01")
    near = Link("near", Kind.VETH, 1500, master="br", port=Port(flood=True), peer=("task", "far"))
    far = Link("far", Kind.VETH, 1500, mac="02:42:c0:00:02:02", peer=("peer", "near"))
    steps: list[ops.Operation] = [ops.CreateLink("peer", bridge, None), ops.CreateLink("peer", near, far)]
    for name, link, cidr in (("peer", bridge, "192.0.2.1/24"), ("task", far, "192.0.2.2/24")):
        steps += [ops.SetLink(name, link), ops.AddAddress(name, Address(link.name, cidr))]
    steps.append(ops.SetLink("peer", near))
    carry_out(places, steps)
    with netns.socket_inside(here, socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind(("192.0.2.1", 0))
        server.listen()
        client = netns.socket_inside(there, socket.AF_INET, socket.SOCK_STREAM)
        client.connect(server.getsockname())
        peer, _ = server.accept()
        with peer:
            carry_out(places, [ops.SetLink("peer", dataclasses.replace(near, up=False))])
            client.send(b"never acknowledged")
            client.close()
            carry_out(places, [ops.RemoveNetns("task")])
            eventually(lambda: not _links(here, "near"), "the link to be gone", 15)
    places.close()


def _links(place: Path, name: str) -> bool:
    argv = ["nsenter", f"--net={place}", "ip", "link", "show", "dev", name]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
