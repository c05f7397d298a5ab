"""What the routing mesh costs: throughput and round trips through it, as a share of a bare veth's in the same run."""

import os
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from msgspec.structs import replace

from covey.io import netns
from covey.model.specs import PortConfig
from covey.model.states import EndpointState, MeshMode
from tests.bench.figures import QUICK, rows
from tests.support.network_bed import OUTSIDE, PUBLISHED, Bed

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

ROUNDS = 3 if QUICK else 7
SENT_BYTES = (64 if QUICK else 256) << 20
ROUND_TRIPS = 2_000 if QUICK else 5_000
PORT = PortConfig(target_port=5201, published_port=PUBLISHED)
TARGET_PORT = 5201
BARE_PORT = 5202


@contextmanager
def bed_of_two() -> Iterator[Bed]:
    with TemporaryDirectory(prefix=f"cvb{os.getpid()}-") as directory:
        bed = Bed(Path(directory), hosts=2)
        try:
            bed.build()
            yield bed
        finally:
            bed.close()


@contextmanager
def sink(path: Path, port: int) -> Iterator[None]:
    """A server in a namespace: the first byte asks for an echo of each (`e`), or for bytes to be thrown away (`s`)."""
    listener = netns.socket_inside(path, socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return  # closed: the measuring is over
            with taken:
                _answer(taken)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _answer(taken: socket.socket) -> None:
    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    echo = taken.recv(1) == b"e"
    left, place = SENT_BYTES, bytearray(1 << 20)
    if echo:
        while each := taken.recv(1):
            taken.sendall(each)
        return
    while left > 0 and (got := taken.recv_into(place)):
        left -= got
    taken.sendall(b"!")


def throughput(client: Path, to: str, port: int) -> float:
    """Gbit/s of one TCP stream."""
    with netns.socket_inside(client, socket.AF_INET, socket.SOCK_STREAM) as opened:
        opened.settimeout(60)
        opened.connect((to, port))
        block = bytes(1 << 20)
        opened.sendall(b"s")
        before = time.perf_counter()
        for _ in range(SENT_BYTES >> 20):
            opened.sendall(block)
        assert opened.recv(1) == b"!"
        return SENT_BYTES * 8 / (time.perf_counter() - before) / 1e9


def round_trips(client: Path, to: str, port: int) -> float:
    """Round trips of one byte in a second."""
    with netns.socket_inside(client, socket.AF_INET, socket.SOCK_STREAM) as opened:
        opened.settimeout(60)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.connect((to, port))
        opened.sendall(b"e")
        before = time.perf_counter()
        for _ in range(ROUND_TRIPS):
            opened.sendall(b"x")
            opened.recv(1)
        return ROUND_TRIPS / (time.perf_counter() - before)


def seen_by(bed: Bed, task: Path) -> str:
    """Whom a task takes the client for."""
    with netns.socket_inside(task, socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", TARGET_PORT))
        listener.listen()
        with netns.socket_inside(bed.outside, socket.AF_INET, socket.SOCK_STREAM) as opened:
            opened.settimeout(10)
            opened.connect((bed.hosts[0].address, PUBLISHED))
            taken, peer = listener.accept()
            taken.close()
    return str(peer[0])


def test_mesh_speed() -> None:
    found: dict[tuple[str, str], list[float]] = {}
    with bed_of_two() as bed:
        first, second = bed.hosts
        bed.attach(second, "t2", EndpointState.ACTIVE)
        task = second.task_path("t2")
        ways = {
            "a bare veth, host to host": (None, second.address, BARE_PORT),
            "the mesh, the client's address kept": (PORT, first.address, PUBLISHED),
            "the mesh, masqueraded": (replace(PORT, mesh=MeshMode.MASQUERADE), first.address, PUBLISHED),
        }
        for way, (port, _, _) in ways.items():
            if port is not None:
                bed.ports = (port,)
                bed.push()
                kept = port.mesh is MeshMode.PRESERVE
                assert seen_by(bed, task) == (OUTSIDE if kept else first.ingress), way
        with sink(task, TARGET_PORT), sink(second.path, BARE_PORT):
            for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine meets all
                for way, (port, to, number) in ways.items():
                    if port is not None:
                        bed.ports = (port,)
                        bed.push()
                    found.setdefault((way, "rate"), []).append(throughput(bed.outside, to, number))
                    found.setdefault((way, "trips"), []).append(round_trips(bed.outside, to, number))
    bare = next(iter(ways))
    lines = []
    for way in ways:
        shares = [
            statistics.median(a / b for a, b in zip(found[way, kind], found[bare, kind], strict=True))
            for kind in ("rate", "trips")
        ]
        rate, trips = (statistics.median(found[way, kind]) for kind in ("rate", "trips"))
        lines.append([way, f"{rate:.1f}", f"{shares[0]:.2f}", f"{trips:,.0f}", f"{shares[1]:.2f}"])
    rows(
        "The routing mesh: client, node 1, task on node 2; one TCP stream",
        ("way", "Gbit/s", "share", "round trips/s", "share"),
        lines,
        f"median of {ROUNDS} rounds; shares are of the bare veth in the same round",
    )
