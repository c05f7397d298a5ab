"""Traffic through a bed of hosts: servers in tasks' namespaces, and clients that ask them."""

import os
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from covey.io import netns
from covey.model.addressing import is_ipv6


class Server:
    """Answers in a task's namespace, TCP and UDP on port 80: its name and the caller's address."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._tcp = [self._bound(family, socket.SOCK_STREAM) for family in (socket.AF_INET, socket.AF_INET6)]
        self._udp = [self._bound(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
        for each in self._tcp:
            each.listen(256)
        self._open: list[socket.socket] = []
        self._wake_out, self._wake_in = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _bound(self, family: int, kind: int) -> socket.socket:
        opened = netns.socket_inside(self.path, family, kind)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 80))
        return opened

    def _serve(self) -> None:
        while True:
            watched: list[int | socket.socket] = [self._wake_out, *self._tcp, *self._udp, *self._open]
            ready, _, _ = select.select(watched, [], [])
            for each in ready:
                if isinstance(each, int):
                    return
                if each in self._tcp:
                    connection, peer = each.accept()
                    connection.sendall(f"{self.name} {peer[0]}\n".encode())
                    self._open.append(connection)
                elif each in self._udp:
                    _, peer = each.recvfrom(2000)
                    each.sendto(f"{self.name} {peer[0]}".encode(), peer)
                else:
                    self._echo(each)

    def _echo(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except ConnectionError:
            data = b""
        if data:
            connection.sendall(data)
        else:
            self._open.remove(connection)
            connection.close()

    def close(self) -> None:
        os.write(self._wake_in, b"x")
        self._thread.join(10)
        for each in (*self._tcp, *self._udp, *self._open):
            each.close()
        os.close(self._wake_in)
        os.close(self._wake_out)


def _family(address: str) -> int:
    return socket.AF_INET6 if is_ipv6(address) else socket.AF_INET


def connect(path: Path, to: str, port: int = 80, timeout_s: float = 3.0) -> socket.socket:
    opened = netns.socket_inside(path, _family(to), socket.SOCK_STREAM)
    opened.settimeout(timeout_s)
    try:
        opened.connect((to, port))
    except BaseException:
        opened.close()
        raise
    return opened


def greet(opened: socket.socket) -> tuple[str, str]:
    """Who answered, and whom they saw."""
    name, seen = opened.recv(100).decode().split()
    return name, seen


def ask_tcp(path: Path, to: str, port: int = 80, times: int = 1) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for _ in range(times):
        with connect(path, to, port) as opened:
            found[greet(opened)] += 1
    return found


def ask_udp(path: Path, to: str, port: int = 80, times: int = 1) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for _ in range(times):
        with netns.socket_inside(path, _family(to), socket.SOCK_DGRAM) as opened:
            opened.settimeout(3)
            opened.connect((to, port))
            opened.send(b"?")
            name, seen = opened.recv(100).decode().split()
            found[name, seen] += 1
    return found


def asked(flow: socket.socket) -> str:
    """Who answers on a UDP flow; nobody if it takes too long."""
    flow.send(b"?")
    try:
        return flow.recv(100).decode().split()[0]
    except TimeoutError:
        return ""


def names_of(found: Counter[tuple[str, str]]) -> Counter[str]:
    result: Counter[str] = Counter()
    for (name, _), count in found.items():
        result[name] += count
    return result


def seen_by(answers: Iterable[tuple[str, str]]) -> set[str]:
    """Whom those who answered saw."""
    return {seen for _, seen in answers}


def large_both_ways(path: Path, to: str, port: int = 80, size_bytes: int = 2_000_000) -> None:
    """Send much and have it all back."""
    sent, got = os.urandom(1_000) * (size_bytes // 1_000), bytearray()
    with connect(path, to, port, timeout_s=30) as opened:
        greet(opened)
        sender = threading.Thread(target=lambda: opened.sendall(sent))
        sender.start()
        while len(got) < len(sent):
            some = opened.recv(1 << 18)
            assert some, f"the connection ended after {len(got)} of {len(sent)} bytes"
            got += some
        sender.join(30)
    assert got == sent


def eventually(check: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
