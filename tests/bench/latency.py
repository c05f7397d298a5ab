"""Names and virtual addresses as a container meets them: from within its network namespace."""

import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dnslib import QTYPE, RCODE, DNSRecord

from covey import limits
from covey.io import netns

PORT = 7707
_TIMEOUT_S = 2.0


def ask(path: Path, name: str) -> list[str]:
    """The addresses of `name` for the container in the namespace at `path`; none if it is unknown."""
    with netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_TIMEOUT_S)
        asking.connect((limits.dns_address, 53))
        return _asked(asking, name)


def _asked(asking: socket.socket, name: str) -> list[str]:
    asking.send(DNSRecord.question(name).pack())
    answer = DNSRecord.parse(asking.recv(4096))
    if answer.header.rcode != RCODE.NOERROR:
        return []
    return [str(each.rdata) for each in answer.rr if each.rtype == QTYPE.A]


def queries_us(path: Path, name: str, count: int) -> list[float]:
    """How long each of `count` queries takes, one after another."""
    taken = []
    with netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_TIMEOUT_S)
        asking.connect((limits.dns_address, 53))
        question = DNSRecord.question(name).pack()
        for _ in range(count):
            began = time.perf_counter_ns()
            asking.send(question)
            answer = asking.recv(4096)
            taken.append((time.perf_counter_ns() - began) / 1000)
            assert answer[:2] == question[:2], "an answer to another question"
    assert DNSRecord.parse(answer).rr, f"{name} is not known"
    return taken


class Resolving(threading.Thread):
    """Asks for a name again and again; keeps when it was first answered, UTC nanoseconds."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(name=f"ask for {name}")
        self.first_ns = 0
        self._path, self._name = path, name
        self._over = threading.Event()

    def run(self) -> None:
        with netns.socket_inside(self._path, socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_TIMEOUT_S)
            asking.connect((limits.dns_address, 53))
            while not self._over.wait(0.002):
                with suppress(TimeoutError):
                    if _asked(asking, self._name):
                        self.first_ns = time.time_ns()
                        return

    def answered(self) -> bool:
        """Whether there was an answer."""
        return self.first_ns > 0

    def give_up(self) -> None:
        """End, answered or not."""
        self._over.set()
        self.join(_TIMEOUT_S * 2)


@contextmanager
def echo(path: Path) -> Iterator[None]:
    """A server in the namespace at `path`: it sends back one byte of each connection."""
    server = netns.socket_inside(path, socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", PORT))
    server.listen(64)
    thread = threading.Thread(target=_serve, args=(server,), name="echo")
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        server.close()


def _serve(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # shut down
            return
        with connection, suppress(ConnectionError):
            connection.sendall(connection.recv(1))


def round_trips_us(path: Path, addresses: Sequence[str], count: int) -> list[list[float]]:
    """Connect, send a byte and get it back, `count` times to each address, in turns and in random order."""
    taken: list[list[float]] = [[] for _ in addresses]
    order = list(range(len(addresses)))
    dice = random.Random(0)
    for _ in range(count):
        dice.shuffle(order)
        for which in order:
            with netns.socket_inside(path, socket.AF_INET, socket.SOCK_STREAM) as client:
                client.settimeout(_TIMEOUT_S)
                began = time.perf_counter_ns()
                client.connect((addresses[which], PORT))
                client.sendall(b"x")
                assert client.recv(1) == b"x"
                taken[which].append((time.perf_counter_ns() - began) / 1000)
    return taken
