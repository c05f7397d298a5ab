"""A DNS process whose coveyd ended: it serves on, is relieved by the next one, and ends with the last container."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dnslib
import pytest

from agent.dns.client import DnsFeed
from agent.dns.io import predecessor
from covey.io import netns, process
from tests.integration.dns.test_dns_server import (
    TABLE,
    Node,
    node,
    resolver,
    short,
    wait_until,
    with_feed,
)

pytestmark = pytest.mark.root

__all__ = ["node"]


class Asking:
    """A thread that asks again and again, on fresh sockets and on one that stays; it counts what is not answered."""

    def __init__(self, path: object) -> None:
        self.answered, self.lost = 0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(path,))

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self, path: object) -> None:
        query = bytes(dnslib.DNSRecord.question("web").pack())
        staying = self._socket(path)
        with staying:
            while not self._over.is_set():
                with self._socket(path) as fresh:
                    for sock in (staying, fresh):
                        self._ask(sock, query)

    def _socket(self, path: object) -> socket.socket:
        sock = netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM)  # type: ignore[arg-type]
        sock.settimeout(1)
        sock.connect(("127.0.0.11", 53))
        return sock

    def _ask(self, sock: socket.socket, query: bytes) -> None:
        try:
            sock.send(query)
            assert sock.recv(512)[:2] == query[:2]
            self.answered += 1
        except OSError:
            self.lost += 1


def serve(node: Node, name: str) -> object:
    path = node.container(name)

    async def play(feed: DnsFeed) -> None:
        feed.reset([TABLE], [resolver(name, path)])
        await feed.ready(name)

    with_feed(node, play)
    wait_until(lambda: len(list((node.run / "dns").glob("*/*.msgpack"))) == 2)
    return path


def test_a_successor_takes_over_and_nobody_notices(node: Node) -> None:
    node.start()
    path = serve(node, "one")
    with Asking(path) as asking:
        for _ in range(3):
            old = node.process
            assert old is not None
            before = asking.answered
            node.start()
            assert old.wait(10) == 0
            wait_until(lambda before=before: asking.answered > before + 50)  # type: ignore[misc]
    # What comes between a process's last look and its end is lost, and asked again by any libc.
    assert asking.lost <= 3
    assert (node.run / "dns.sock").exists()
    assert node.end(signal.SIGTERM) == 0
    assert not (node.run / "dns.sock").exists()


@pytest.fixture
def left_alone(node: Node) -> Iterator[int]:
    """A DNS process whose parent has ended."""
    command = [sys.executable, "-m", "agent.dns", "--config", str(node.config)]
    code = f"import subprocess; print(subprocess.Popen({command!r}, stdout=subprocess.DEVNULL).pid); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_until((node.run / "dns.sock").exists)
        serve(node, "one")
        parent.communicate("\n")
    try:
        yield pid
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_left_alone_it_serves_on_and_ends_with_the_last_container(node: Node, left_alone: int) -> None:
    path = node.run / "netns" / "one"
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert short(path, "web") == ["10.7.9.2"]
    assert alive(left_alone)
    netns.delete(path)
    wait_until(lambda: not alive(left_alone))


def test_one_that_ends_as_it_is_found_is_not_mistaken_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number can have gone to a program of the host's by the time that is pinned."""
    place, pin = tmp_path / "dns.sock", process.pin
    listens = (
        f"import socket; s = socket.socket(1); s.bind({str(place)!r}); s.listen(); print(flush=True); input()"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", listens], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as old,
        subprocess.Popen(["sleep", "600"]) as stranger,
    ):
        try:
            assert old.stdout is not None
            old.stdout.readline()
            found = predecessor.find(place)
            assert found is not None
            assert found.pid == old.pid

            def too_late(pid: int) -> int:
                assert pid == old.pid
                old.kill()
                old.wait()
                return pin(stranger.pid)

            monkeypatch.setattr(predecessor, "pin", too_late)
            assert predecessor.find(place) is None
            assert stranger.poll() is None
        finally:
            old.kill()
            stranger.kill()


def test_one_that_hangs_is_found_though_it_takes_no_connections(tmp_path: Path) -> None:
    place = tmp_path / "dns.sock"
    hangs = f"import socket; s = socket.socket(1); s.bind({str(place)!r}); s.listen(0); print(flush=True); input()"
    pipe = subprocess.PIPE
    with (
        subprocess.Popen([sys.executable, "-c", hangs], stdin=pipe, stdout=pipe) as old,
        ExitStack() as waiting,
    ):
        try:
            assert old.stdout is not None
            old.stdout.readline()
            while True:  # until nobody more has room to wait
                client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                try:
                    client.connect(str(place))
                except BlockingIOError:
                    break
            found = predecessor.find(place)
            assert found is not None
            assert found.pid == old.pid
            asyncio.run(found.relieve())
            assert old.wait() == -signal.SIGTERM
            assert predecessor.find(place) is None
        finally:
            old.kill()
