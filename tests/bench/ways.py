"""How quick a way between two network namespaces is: one TCP stream, and a byte there and back."""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from covey.io import netns
from tests.bench.figures import QUICK, rows

ROUNDS = 3 if QUICK else 9
SENT_BYTES = (64 if QUICK else 1024) << 20
ROUND_TRIPS = 2_000 if QUICK else 5_000
_LENGTH_BYTES = 8
_BLOCK = bytes(128 << 10)  # what iperf3 writes and reads at once, by which others measure


@dataclass(frozen=True)
class Way:
    """From where to where; `prepare` is done before each turn, and `sent_bytes` how much goes in one."""

    client: Path
    address: str
    port: int
    prepare: Callable[[], object] = lambda: None
    sent_bytes: int = SENT_BYTES


@contextmanager
def sink(path: Path, port: int) -> Iterator[None]:
    """A server in a namespace, in a process of its own, so that nothing of Python's stands between both ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.ways", str(path), str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"
        yield
    finally:
        process.kill()
        process.communicate()


def throughput(way: Way) -> float:
    """Gbit/s of one TCP stream."""
    with _connected(way) as opened:
        opened.sendall(b"s" + way.sent_bytes.to_bytes(_LENGTH_BYTES, "big"))
        before = time.perf_counter()
        for _ in range(way.sent_bytes // len(_BLOCK)):
            opened.sendall(_BLOCK)
        assert opened.recv(1) == b"!"
        return way.sent_bytes * 8 / (time.perf_counter() - before) / 1e9


def round_trips(way: Way) -> float:
    """Round trips of one byte in a second, with both ends on one core: waking another costs more than networks do."""
    free = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(free)})
    try:
        with _connected(way) as opened:
            opened.sendall(b"e" + max(free).to_bytes(_LENGTH_BYTES, "big"))
            assert opened.recv(1) == b"!"
            before = time.perf_counter()
            for _ in range(ROUND_TRIPS):
                opened.sendall(b"x")
                opened.recv(1)
            return ROUND_TRIPS / (time.perf_counter() - before)
    finally:
        os.sched_setaffinity(0, free)


@contextmanager
def _connected(way: Way) -> Iterator[socket.socket]:
    with netns.socket_inside(way.client, socket.AF_INET, socket.SOCK_STREAM) as opened:
        opened.settimeout(60)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.connect((way.address, way.port))
        yield opened


def compare(title: str, bare: Way, ways: Mapping[str, Way], rounds: int = ROUNDS) -> None:
    """Measure all ways in turn, so that a busy moment of the machine meets all, and print their shares of `bare`."""
    found: dict[tuple[str, str], list[float]] = {}
    every = {"bare": bare, **ways}
    for _ in range(rounds):
        for name, way in every.items():
            way.prepare()
            found.setdefault((name, "rate"), []).append(throughput(way))
            found.setdefault((name, "trips"), []).append(round_trips(way))
    lines = []
    for name in every:
        cells = [name]
        for kind, form in (("rate", "{:.1f}"), ("trips", "{:,.0f}")):
            pairs = zip(found[name, kind], found["bare", kind], strict=True)
            shares = [mine / bares for mine, bares in pairs]
            cells += [
                form.format(statistics.median(found[name, kind])),
                f"{statistics.median(shares):.2f}",
                f"{max(found[name, kind]) / max(found['bare', kind]):.2f}",
            ]
        lines.append(cells)
    rows(
        title,
        ("way", "Gbit/s", "share", "best", "round trips/s", "share", "best"),
        lines,
        f"{rounds} rounds; share: of the bare veth's in the same round, the median; best: the best round's of the bare "
        "veth's best, which other work on the machine disturbs least",
    )


def _serve(path: Path, port: int) -> None:
    listener = netns.socket_inside(path, socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen()
    print("listens", flush=True)
    while True:
        taken, _ = listener.accept()
        with taken:
            _answer(taken)


def _answer(taken: socket.socket) -> None:
    """What comes first says what is wanted: an echo of each byte (`e`, a core), or bytes taken (`s`, how many)."""
    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wanted = taken.recv(1 + _LENGTH_BYTES, socket.MSG_WAITALL)
    number = int.from_bytes(wanted[1:], "big")
    if wanted[:1] != b"e":
        place = bytearray(len(_BLOCK))
        while number > 0 and (got := taken.recv_into(place)):
            number -= got
        taken.sendall(b"!")
        return
    free = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    taken.sendall(b"!")
    while each := taken.recv(1):
        taken.sendall(each)
    os.sched_setaffinity(0, free)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
