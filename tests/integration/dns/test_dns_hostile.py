"""A container that means harm, on real sockets: it gets silence, the others their answers, and nothing is left behind."""

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import dnslib
import pytest

from agent.dns.client import DnsFeed
from agent.dns.feed import Upstream
from covey import limits
from covey.io import netns
from tests.integration.dns.test_dns_server import TABLE, Node, node, resolver, short, wait_until, with_feed

pytestmark = pytest.mark.root

__all__ = ["node"]

WEB = bytes(dnslib.DNSRecord.question("web").pack())
HEAD = b"\x12\x34\x01\x00"


@pytest.fixture
def two(node: Node) -> Iterator[tuple[Path, Path, int]]:
    """A container that means harm, one that does not, and the server's pid."""
    node.start()
    bad, good = node.container("bad"), node.container("good")

    async def play(feed: DnsFeed) -> None:
        feed.reset([TABLE], [resolver("bad", bad), resolver("good", good)])
        await feed.ready("bad")
        await feed.ready("good")

    with_feed(node, play)
    assert node.process is not None
    before = descriptors(node.process.pid)
    yield bad, good, node.process.pid
    assert short(good, "web") == short(bad, "web") == ["10.7.9.2"]
    assert node.process.poll() is None
    (remark,) = dropped(node)
    assert "dropped of task bad (" in remark
    assert "good" not in remark, "who asks well is not named"
    wait_until(lambda: node.process is not None and descriptors(node.process.pid) <= before)
    assert node.end(signal.SIGTERM) == 0


def dropped(node: Node) -> tuple[str, ...]:
    """What people are told of it."""
    said: list[tuple[str, ...]] = []

    async def play(feed: DnsFeed) -> None:
        await feed.count()
        said.append(feed.remarks())

    with_feed(node, play)
    return said[0]


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def datagrams(path: Path) -> socket.socket:
    sock = netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((limits.dns_address, 53))
    return sock


def connection(path: Path) -> socket.socket:
    sock = netns.socket_inside(path, socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect((limits.dns_address, 53))
    return sock


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def hostile(dice: Random) -> Iterator[bytes]:
    """Pointers in circles, counts that lie, names without an end, and bytes of no kind."""
    mx = b"\x03web\0\0\x0f\0\1"
    loop = b"\xc0\x0c" + b"\0\1\0\1\0\0\0\0\0\0"
    for counts in (b"\0\1\0\0\0\0\xff\xff", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\0\1\0\1\0\0\0\0"):
        yield HEAD + counts + mx + loop * 300
    yield HEAD + b"\0\1\0\0\0\0\0\0" + loop
    yield HEAD + b"\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 63 * 60
    yield HEAD + b"\0\1\0\0\0\0\0\0" + b"\1a" * 2000 + b"\0\0\1\0\1"
    yield HEAD + b"\0\1\0\0\0\0\0\1" + mx + b"\0\0\x29\x10\0\0\0\0\0\xff\xff"
    yield HEAD + b"\0\1\0\0\0\0\0\2" + mx + b"\0\0\x29\0\0\0\0\0\0\0\0" * 2
    for _ in range(400):
        at = dice.randrange(len(WEB))
        yield WEB[:at] + bytes((dice.randrange(256),)) + WEB[at + 1 :]
        yield dice.randbytes(dice.randrange(1, 5000))


def test_hostile_datagrams_stall_nobody(two: tuple[Path, Path, int]) -> None:
    bad, good, pid = two
    dice = Random(11)
    with datagrams(bad) as thrower:
        for _ in range(2):
            for packet in hostile(dice):
                thrower.send(packet)
        grown_from = resident_kib(pid)
        for _ in range(3):
            for packet in hostile(dice):
                thrower.send(packet)
            assert short(good, "web") == ["10.7.9.2"]
    assert resident_kib(pid) - grown_from < 4096


def test_connections_that_dawdle_are_bounded_and_ended(two: tuple[Path, Path, int]) -> None:
    bad, good, _ = two
    with ExitStack() as held:
        slow = [
            held.enter_context(connection(bad)) for _ in range(limits.dns_tcp_connections_per_container_max)
        ]
        for number, sock in enumerate(slow):  # half a length, half a query, none at all
            sock.sendall((b"", b"\0", struct.pack("!H", len(WEB)) + WEB[:10])[number % 3])
        began = time.monotonic()
        with connection(bad) as one_more:
            assert one_more.recv(1) == b""
        assert short(good, "+tcp", "web") == ["10.7.9.2"]
        for sock in slow:
            sock.settimeout(3 * limits.dns_tcp_idle_ms / 1000)
            assert ended(sock)
        assert time.monotonic() - began >= limits.dns_tcp_idle_ms / 2000


def test_who_never_takes_its_answers_is_ended(two: tuple[Path, Path, int]) -> None:
    bad, good, _ = two
    query = bytes(dnslib.DNSRecord.question("many").pack())
    with connection(bad) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0.5)
        wait_until(lambda: shown_out(deaf, (struct.pack("!H", len(query)) + query) * 1000))
        assert short(good, "+tcp", "web") == ["10.7.9.2"]


def test_half_open_connections_keep_nobody_out(two: tuple[Path, Path, int]) -> None:
    bad, good, _ = two
    with ExitStack() as held:
        for _ in range(300):
            sock = held.enter_context(netns.socket_inside(bad, socket.AF_INET, socket.SOCK_STREAM))
            sock.setblocking(False)
            sock.connect_ex((limits.dns_address, 53))
        assert short(good, "+tcp", "web") == ["10.7.9.2"]
        assert short(bad, "web") == ["10.7.9.2"]


def shown_out(sock: socket.socket, data: bytes) -> bool:
    try:
        sock.sendall(data)
    except TimeoutError:
        return False
    except OSError:  # closed before us
        return True
    return False


def ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_circle_of_name_servers_stands_still(node: Node) -> None:
    """A container's name server asks 127.0.0.11, which asks it: the user's `--dns` named the container itself."""
    node.start()
    path = node.container("one")
    asked = 0
    with netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM) as relay, datagrams(path) as client:
        relay.bind(("127.0.0.1", 5300))
        relay.settimeout(1)

        async def play(feed: DnsFeed) -> None:
            feed.reset([TABLE], [resolver("one", path, Upstream("127.0.0.1", 5300, from_node=False))])
            await feed.ready("one")

        with_feed(node, play)
        client.send(bytes(dnslib.DNSRecord.question("example.org").pack()))
        try:
            while asked < 100:
                query, _ = relay.recvfrom(4096)
                asked += 1
                relay.sendto(query, (limits.dns_address, 53))
        except TimeoutError:
            pass
        assert asked == 1
        assert short(path, "web") == ["10.7.9.2"]
