"""The DNS process against real namespaces and the real dig."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random

import dnslib
import msgspec
import pytest

from agent.dns.client import DnsFeed
from agent.dns.feed import Resolver, ResolverNetwork, Upstream
from covey.io import netns
from covey.model.node_config import NodeConfig
from covey.model.states import EndpointMode, EndpointState
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

pytestmark = pytest.mark.root

ROWS = tuple(
    EndpointRow(
        endpoint_id=f"e{n}",
        addresses=(f"10.7.{n // 200}.{n % 200 + 1}",),
        state=EndpointState.ACTIVE,
        service_id="many" if n > 2 else "web",
        task_id=f"{n:025d}",
        task_name=f"web.{n}.{n:025d}",
        hostname=f"host{n}",
    )
    for n in range(400)
)
SERVICES = (
    ServiceRow("web", "web", aliases=("www",), virtual_ips=("10.7.9.2",)),
    ServiceRow("many", "many", mode=EndpointMode.DNSRR),
)
TABLE = NetworkTable(network_id="net1", endpoints=ROWS, services=SERVICES)


class Node:
    """One run directory, its DNS process, and namespaces that stand for containers."""

    def __init__(self, root: Path) -> None:
        self.run = root
        self.config = root / "node.json"
        self.config.write_bytes(
            msgspec.json.encode(NodeConfig(str(root / "state"), str(root), log_level="debug"))
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "agent.dns", "--config", str(self.config)]
        self.process = subprocess.Popen(command, cwd=Path(__file__).parents[3])

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(10)

    def container(self, name: str) -> Path:
        path = self.run / "netns" / name
        netns.create(path)
        subprocess.run(["nsenter", f"--net={path}", "ip", "link", "set", "lo", "up"], check=True)
        return path

    def clean(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for path in (self.run / "netns").glob("*"):
            netns.delete(path)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    # A unix socket's path has at most 107 bytes, which pytest's own folders may exceed.
    root = Path(f"/run/cvt{os.getpid()}-dns")
    root.mkdir(mode=0o700)
    made = Node(root)
    try:
        yield made
    finally:
        made.clean()
        shutil.rmtree(root)


class Elsewhere:
    """An upstream server on the node's loopback that says the same to everybody."""

    def __init__(self, rcode: int = 0) -> None:
        self.rcode = rcode
        self.asked = 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.upstream = Upstream("127.0.0.1", self.sock.getsockname()[1])
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            query, asker = self.sock.recvfrom(4096)
            if not query:
                return
            self.asked += 1
            reply = dnslib.DNSRecord.parse(query).reply()
            reply.header.rcode = self.rcode
            if not self.rcode:
                reply.add_answer(dnslib.RR(reply.q.qname, rdata=dnslib.A("198.51.100.7"), ttl=5))
            self.sock.sendto(reply.pack(), asker)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.sock.getsockname())
        self.thread.join(5)
        self.sock.close()


def dig(path: Path, *words: str) -> list[str]:
    command = ["nsenter", f"--net={path}", "dig", "@127.0.0.11", "+tries=1", "+time=5", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def short(path: Path, *words: str) -> list[str]:
    return sorted(dig(path, "+short", *words))


def with_feed(node: Node, play: Callable[[DnsFeed], Awaitable[None]]) -> None:
    async def main() -> None:
        async with DnsFeed(node.run / "dns.sock", Random(1)) as feed, asyncio.timeout(60):
            await play(feed)

    asyncio.run(main())


def resolver(task: str, path: Path, *upstreams: Upstream) -> Resolver:
    return Resolver(task, str(path), (ResolverNetwork("net1", "net1"),), upstreams)


def test_a_container_finds_names(node: Node) -> None:
    node.start()
    one, two = node.container("one"), node.container("two")

    async def play(feed: DnsFeed) -> None:
        feed.reset([TABLE], [resolver("one", one), resolver("two", two)])
        await feed.ready("one")
        await feed.ready("two")
        assert (node.run / "dns.sock").stat().st_mode & 0o777 == 0o600
        await asyncio.to_thread(look)
        feed.drop_resolver("two")
        await feed.settled()

    def look() -> None:
        for path in (one, two):
            assert short(path, "WEB") == ["10.7.9.2"]
        assert short(one, "+tcp", "www") == short(one, "+noedns", "web.net1") == ["10.7.9.2"]
        assert short(one, "tasks.web") == ["10.7.0.1", "10.7.0.2", "10.7.0.3"]
        assert short(one, "host5") == short(one, ROWS[5].task_name) == ["10.7.0.6"]
        assert short(one, "AAAA", "web") == []
        assert any("status: NOERROR" in line for line in dig(one, "AAAA", "web"))
        assert short(one, "-x", "10.7.9.2") == ["web.net1."]
        assert len(short(one, "many")) == 397  # truncated over UDP; dig asks again over TCP
        assert len(short(one, "+ignore", "+bufsize=512", "many")) < 30
        assert any("status: NXDOMAIN" in line for line in dig(one, "nosuch"))
        own = netns.socket_inside(one, socket.AF_INET, socket.SOCK_DGRAM)
        with own:
            own.bind(("0.0.0.0", 53))  # a container may run a name server of its own
            assert short(one, "web") == ["10.7.9.2"]

    with_feed(node, play)
    assert node.end(signal.SIGTERM) == 0


def test_names_outlive_the_agent_and_the_servers_own_death(node: Node) -> None:
    node.start()
    one = node.container("one")

    async def play(feed: DnsFeed) -> None:
        feed.reset([TABLE], [resolver("one", one)])
        await feed.ready("one")

    with_feed(node, play)
    assert short(one, "web") == ["10.7.9.2"]
    wait_until(lambda: len(list((node.run / "dns").glob("*/*.msgpack"))) == 2)
    # A client that stays connected is tracked to the old port: the new process must take it again.
    client = netns.socket_inside(one, socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(5)
        client.connect(("127.0.0.11", 53))
        query = bytes(dnslib.DNSRecord.question("web").pack())
        client.send(query)
        assert client.recv(512)[:2] == query[:2]
        node.end(signal.SIGKILL)
        node.start()
        wait_until(lambda: (node.run / "dns.sock").exists() and served(client, query))
    assert short(one, "web") == ["10.7.9.2"]
    node.end(signal.SIGTERM)
    netns.delete(one)
    node.start()
    wait_until(lambda: not list((node.run / "dns" / "resolvers").glob("*")))


def served(client: socket.socket, query: bytes) -> bool:
    client.settimeout(0.2)
    try:
        client.send(query)
        return client.recv(512)[:2] == query[:2]
    except OSError:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline, "did not happen within 15 s"
        time.sleep(0.02)


def test_the_rest_is_asked_elsewhere(node: Node) -> None:
    node.start()
    one = node.container("one")
    broken, working = Elsewhere(rcode=2), Elsewhere()

    async def play(feed: DnsFeed) -> None:
        # Nobody listens on port 9; the second says SERVFAIL; the third knows everything.
        upstreams = (Upstream("127.0.0.1", 9), broken.upstream, working.upstream)
        feed.reset([TABLE], [resolver("one", one, *upstreams)])
        await feed.ready("one")
        await asyncio.to_thread(look)

    def look() -> None:
        assert short(one, "example.org") == ["198.51.100.7"]
        assert (broken.asked, working.asked) == (1, 1)
        assert short(one, "web") == ["10.7.9.2"]
        assert working.asked == 1

    try:
        with_feed(node, play)
    finally:
        broken.close()
        working.close()


def test_a_rebuilt_namespace_is_served_anew_and_a_missing_one_is_told(node: Node) -> None:
    node.start()
    one = node.container("one")

    async def play(feed: DnsFeed) -> None:
        feed.reset([TABLE], [resolver("one", one)])
        await feed.ready("one")
        await asyncio.to_thread(netns.delete, one)
        await asyncio.to_thread(node.container, "one")
        feed.set_resolver(resolver("one", one))
        await feed.ready("one")
        assert await asyncio.to_thread(short, one, "web") == ["10.7.9.2"]
        feed.set_resolver(resolver("gone", node.run / "netns" / "gone"))
        with pytest.raises(Exception, match="no network namespace"):
            await feed.ready("gone")

    with_feed(node, play)


def test_junk_harms_nobody(node: Node) -> None:
    node.start()
    one = node.container("one")
    dice = Random(7)

    async def play(feed: DnsFeed) -> None:
        feed.reset([TABLE], [resolver("one", one)])
        await feed.ready("one")
        await asyncio.to_thread(throw)
        assert await asyncio.to_thread(short, one, "web") == ["10.7.9.2"]
        assert await asyncio.to_thread(short, one, "+tcp", "web") == ["10.7.9.2"]

    def throw() -> None:
        query = bytes(dnslib.DNSRecord.question("web").pack())
        with netns.socket_inside(one, socket.AF_INET, socket.SOCK_DGRAM) as thrower:
            for _ in range(500):
                at = dice.randrange(len(query))
                damaged = query[:at] + bytes((dice.randrange(256),)) + query[at + 1 :]
                thrower.sendto(
                    dice.choice([damaged, dice.randbytes(dice.randrange(600))]), ("127.0.0.11", 53)
                )
        for junk in (b"", b"\0", b"\xff\xff" + dice.randbytes(100), b"\0\x05hello" * 20):
            with netns.socket_inside(one, socket.AF_INET, socket.SOCK_STREAM) as stream:
                stream.settimeout(5)
                stream.connect(("127.0.0.11", 53))
                stream.sendall(junk)

    with_feed(node, play)
    assert node.end(signal.SIGTERM) == 0
