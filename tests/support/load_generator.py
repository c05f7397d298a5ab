"""Asks a web service without a pause, over many connections at once, and counts every answer that did not come.

Run it where the clients are to be: `nsenter --net=... python load_generator.py '{"targets": [...], ...}'` (see
`Settings`). It prints "ready", then reads lines: `phase NAME` has what follows counted under that name, and the end of
its input ends it. Its last line is a `Report` in JSON.

Half of the workers open a connection for each request; the others send several on one, and close it while it is
younger than `age_ms`, as clients do that know how long servers wait. Nobody ever asks twice: what fails counts.
"""

import asyncio
import itertools
import random
import re
import socket
import sys
import time
from ipaddress import ip_address

import dnslib
import msgspec

ANSWER = re.compile(rb"version=\S+ task=(\S+) node=\S+ client=\S+")
_RESOLVER = ("127.0.0.11", 53)


class Settings(msgspec.Struct):
    """What to ask. `targets` are `HOST:PORT`; a host that is no address is resolved anew for each connection.

    `slow_ms`: every fourth request takes the server up to so long.
    """

    targets: list[str]
    connections: int = 50
    requests_max: int = 30
    age_ms: int = 1_500
    pause_ms: int = 5
    slow_ms: int = 40
    timeout_ms: int = 5_000


class Failure(msgspec.Struct):
    """One request without its answer. `number` counts the connection's requests, `task` answered the one before."""

    phase: str
    at: str
    target: str
    what: str
    doing: str
    number: int
    age_ms: int
    local_port: int
    task: str


class Phase(msgspec.Struct):
    """What was counted under a name; times in milliseconds."""

    name: str
    requests: int = 0
    failed: int = 0
    connections: int = 0
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    worst_ms: float = 0.0
    tasks: int = 0


class Report(msgspec.Struct):
    """All phases in their order, and the first failures."""

    phases: list[Phase]
    failures: list[Failure]


class Lost(Exception):
    """A request has no answer."""


class Connection:
    """One connection, and how far it has come."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = time.monotonic()
        self.number = 0
        self.doing = "connect"
        self.task = ""
        self.port = 0

    @property
    def age_ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)

    async def connect(self, address: str, port: int) -> None:
        await asyncio.get_running_loop().sock_connect(self.opened, (address, port))
        self.port = self.opened.getsockname()[1]

    async def ask(self, path: str, last: bool) -> None:
        """Send one request and read its whole answer; raises OSError or Lost."""
        self.number += 1
        self.doing = "send"
        loop = asyncio.get_running_loop()
        how = "close" if last else "keep-alive"
        request = f"GET {path} HTTP/1.1\r\nHost: {self.target}\r\nConnection: {how}\r\n\r\n"
        await loop.sock_sendall(self.opened, request.encode())
        self.doing, heard = "wait", b""
        while (end := heard.find(b"\r\n\r\n")) < 0 or len(heard) < end + 4 + _length(heard[:end]):
            data = await loop.sock_recv(self.opened, 65536)
            if not data:
                raise Lost(f"closed after {len(heard)} bytes")
            heard += data
            self.doing = "read"
        found = ANSWER.search(heard[end:])
        if not heard.startswith(b"HTTP/1.1 200 ") or found is None:
            raise Lost(f"another answer: {heard[:60]!r}")
        self.task = found[1].decode()


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if found is None:
        raise Lost(f"an answer without a length: {head[:60]!r}")
    return int(found[1])


async def resolved(name: str) -> str:
    """One of a name's addresses, as a container's resolver gives them now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(opened, _RESOLVER)
        await loop.sock_sendall(opened, bytes(dnslib.DNSRecord.question(name).pack()))
        answer = dnslib.DNSRecord.parse(await loop.sock_recv(opened, 4096))
    addresses = [str(each.rdata) for each in answer.rr]
    if not addresses:
        raise Lost(f"no address for {name}: {dnslib.RCODE[answer.header.rcode]}")
    return addresses[0]


class Load:
    """All workers and what they count."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ending = False
        self.phases = [Phase("start")]
        self.times: dict[str, list[float]] = {}
        self.tasks: dict[str, set[str]] = {}
        self.failures: list[Failure] = []
        self.began = time.monotonic()

    def enter(self, name: str) -> None:
        now = time.monotonic()
        self.phases[-1].seconds = now - self.began
        self.phases.append(Phase(name))
        self.began = now

    async def work(self, number: int) -> None:
        """One worker: connection after connection, a while after the others began."""
        dice = random.Random(number)
        targets = itertools.cycle(self.settings.targets)
        for _ in range(number // 2):
            next(targets)
        await asyncio.sleep(number * self.settings.pause_ms / self.settings.connections / 1000)
        while not self.ending:
            requests = dice.randint(2, self.settings.requests_max) if number % 2 else 1
            await self.use(Connection(next(targets)), requests, dice)

    async def use(self, connection: Connection, requests: int, dice: random.Random) -> None:
        """Make some requests on a connection of their own."""
        try:
            for number in range(1, requests + 1):
                last = number == requests or self.ending or connection.age_ms > self.settings.age_ms
                if not await self.count(connection, last, dice) or last:
                    return
                await asyncio.sleep(dice.uniform(0, 2) * self.settings.pause_ms / 1000)
        finally:
            connection.opened.close()
            await asyncio.sleep(self.settings.pause_ms / 1000)

    async def count(self, connection: Connection, last: bool, dice: random.Random) -> bool:
        """Make one request, the first with the connection it needs; tell whether it was answered."""
        phase, began = self.phases[-1], time.monotonic()
        path = f"/?ms={dice.randint(1, self.settings.slow_ms)}" if dice.random() < 0.25 else "/"
        what = ""
        try:
            async with asyncio.timeout(self.settings.timeout_ms / 1000):
                if not connection.number:
                    phase.connections += 1
                    host, _, port = connection.target.rpartition(":")
                    connection.doing = "resolve"
                    address = host if _is_address(host) else await resolved(host)
                    connection.doing = "connect"
                    await connection.connect(address, int(port))
                await connection.ask(path, last)
        except TimeoutError:
            what = f"no answer within {self.settings.timeout_ms} ms"
        except (OSError, Lost) as error:
            what = f"{type(error).__name__}: {error}"
        phase.requests += 1
        self.times.setdefault(phase.name, []).append(time.monotonic() - began)
        self.tasks.setdefault(phase.name, set()).add(connection.task)
        if what:
            phase.failed += 1
            self.note(connection, phase, what)
        return not what

    def note(self, connection: Connection, phase: Phase, what: str) -> None:
        if len(self.failures) < 200:
            now = time.time()
            at = time.strftime("%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}"
            about = (connection.doing, connection.number, connection.age_ms, connection.port, connection.task)
            self.failures.append(Failure(phase.name, at, connection.target, what, *about))

    def report(self) -> Report:
        self.phases[-1].seconds = time.monotonic() - self.began
        for phase in self.phases:
            times = sorted(self.times.get(phase.name, [0.0]))
            phase.p50_ms = times[len(times) // 2] * 1000
            phase.p99_ms = times[len(times) * 99 // 100] * 1000
            phase.worst_ms = times[-1] * 1000
            phase.tasks = len(self.tasks.get(phase.name, set()) - {""})
        return Report([each for each in self.phases if each.requests], self.failures)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def lines() -> "asyncio.StreamReader":
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def main(settings: Settings) -> Report:
    """Ask until the input ends."""
    load, told = Load(settings), await lines()
    async with asyncio.TaskGroup() as group:
        for number in range(settings.connections):
            group.create_task(load.work(number))
        print("ready", flush=True)
        while line := (await told.readline()).decode():
            load.enter(line.removeprefix("phase").strip())
        load.ending = True
    return load.report()


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.argv[1], type=Settings)
    print(msgspec.json.encode(asyncio.run(main(asked))).decode(), flush=True)
