"""Asking from any network namespace, and answering in any, from one process: who answered, and whom did they see?

A socket stays in the namespace that it was opened in, so one process asks from containers, nodes and the outside, and
answers in containers, without a program in any of them. TCP and UDP servers listen on every address, as most do, and
answer with their name and the address they see; of an ICMP echo, a raw socket beside the kernel sees the request.
"""

import errno
import os
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

from covey.io import netns

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_EVERYWHERE = {4: "0.0.0.0", 6: "::"}
_ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_ECHO_REQUEST = {4: 8, 6: 128}
_ECHO_REPLY = {4: 0, 6: 129}
_BACKLOG = 256
_RESOLVER = ("127.0.0.11", 53)
_RECORD_TYPES = {4: 1, 6: 28}
_CATCHING_UP_S = 10.0
KERNEL = "kernel"
_echoes = count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered, and the address it saw; or why nobody did."""

    by: str = ""
    seen: str = ""
    failure: str = ""

    def __str__(self) -> str:
        return self.failure or f"{self.by} saw {self.seen}"


class Echoes:
    """Answers in namespaces, each known by a name, on some ports, as long as it is entered."""

    def __init__(self, places: Mapping[str, Path], ports: Collection[int], family: int = 4) -> None:
        self._family = family
        self._selector = selectors.DefaultSelector()
        self._pinged: dict[bytes, Answer] = {}
        self._opened: list[socket.socket] = []
        self._caught_up = threading.Condition()
        self._asked, self._reached, self._over = 0, 0, False
        self._woken, self._waker = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        for name, path in places.items():
            for port in ports:
                self._listen(path, socket.SOCK_STREAM, port, self._accept(name))
                self._listen(path, socket.SOCK_DGRAM, port, self._reply(name))
            self._hear(path, name)
        self._thread = threading.Thread(target=self._serve, name="echoes")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._waker.send(b"x")
        self._thread.join(10)
        for each in (*self._opened, self._woken, self._waker):
            each.close()
        self._selector.close()

    def pinged(self, mark: bytes) -> Answer:
        """Who got the echo request with that mark, which was answered; only the kernel where no server's namespace did.

        The kernel answers by itself, so what it gave us to read may still lie there.
        """
        with self._caught_up:
            self._asked += 1
            mine = self._asked
            self._waker.send(b"x")
            if not self._caught_up.wait_for(lambda: self._reached >= mine, _CATCHING_UP_S):
                raise RuntimeError(f"echoes did not read for {_CATCHING_UP_S:g} s")
        return self._pinged.get(mark, Answer(KERNEL, "nobody"))

    def _listen(self, path: Path, kind: int, port: int, react: Callable[[socket.socket], None]) -> None:
        opened = netns.socket_inside(path, FAMILIES[self._family], kind)
        if self._family == 6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((_EVERYWHERE[self._family], port))
        if kind == socket.SOCK_STREAM:
            opened.listen(_BACKLOG)
        self._register(opened, react)

    def _hear(self, path: Path, name: str) -> None:
        def note(raw: socket.socket) -> None:
            with suppress(BlockingIOError):
                while True:
                    packet, peer = raw.recvfrom(2000)
                    message = packet if self._family == 6 else packet[(packet[0] & 15) * 4 :]
                    if message[0] == _ECHO_REQUEST[self._family]:
                        self._pinged[message[8:]] = Answer(name, peer[0])

        opened = netns.socket_inside(path, FAMILIES[self._family], socket.SOCK_RAW, _ICMP[self._family])
        self._register(opened, note)

    def _register(self, opened: socket.socket, react: Callable[[socket.socket], None]) -> None:
        opened.setblocking(False)
        self._opened.append(opened)
        self._selector.register(opened, selectors.EVENT_READ, react)

    @staticmethod
    def _accept(name: str) -> Callable[[socket.socket], None]:
        def accept(listening: socket.socket) -> None:
            connection, peer = listening.accept()
            with connection:
                connection.sendall(f"{name} {peer[0]}".encode())

        return accept

    @staticmethod
    def _reply(name: str) -> Callable[[socket.socket], None]:
        def reply(bound: socket.socket) -> None:
            _, peer = bound.recvfrom(2000)
            bound.sendto(f"{name} {peer[0]}".encode(), peer)

        return reply

    def _serve(self) -> None:
        while not self._over:
            woken = self._asked
            for key, _ in self._selector.select():
                if key.data is None:
                    self._woken.recv(1000)
                    continue
                try:
                    key.data(key.fileobj)
                except OSError as error:  # who asked is gone, or an error of an earlier answer is told late
                    print(f"echoes: {error}")
            with self._caught_up:
                self._reached = woken  # whatever lay there when these were asked has been read
                self._caught_up.notify_all()
            if self._asked > self._reached:
                self._waker.send(b"x")


def ask(origin: Path, protocol: str, address: str, port: int, echoes: Echoes, bound_s: float = 2.0) -> Answer:
    """Ask from the namespace at `origin`; for `icmp` the port means nothing."""
    family = 6 if ":" in address else 4
    try:
        if protocol == "icmp":
            return _ping(origin, family, address, echoes, bound_s)
        return _connect(origin, family, protocol, address, port, bound_s)
    except TimeoutError:
        return Answer(failure="silence")
    except (ConnectionRefusedError, PermissionError):  # a rule for what is sent here refuses UDP like that
        return Answer(failure="refused")
    except OSError as error:
        if error.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            raise
        return Answer(failure="unreachable")


def connects(origin: Path, address: str, port: int, bound_s: float = 2.0) -> bool:
    """Whether somebody takes a TCP connection there."""
    with netns.socket_inside(origin, FAMILIES[6 if ":" in address else 4], socket.SOCK_STREAM) as asking:
        asking.settimeout(bound_s)
        try:
            asking.connect((address, port))
        except OSError:
            return False
        return True


def _connect(origin: Path, family: int, protocol: str, address: str, port: int, bound_s: float) -> Answer:
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
    with netns.socket_inside(origin, FAMILIES[family], kind) as asking:
        asking.settimeout(bound_s)
        asking.connect((address, port))  # so that an answer from another address is none
        if protocol == "udp":
            asking.send(b"?")
        by, _, seen = asking.recv(2000).decode().partition(" ")
        return Answer(by, seen) if by else Answer(failure="closed")


def _ping(origin: Path, family: int, address: str, echoes: Echoes, bound_s: float) -> Answer:
    number = next(_echoes)
    mark = struct.pack("!II", os.getpid(), number) + b"covey paths"
    with netns.socket_inside(origin, FAMILIES[family], socket.SOCK_RAW, _ICMP[family]) as asking:
        asking.settimeout(bound_s)
        asking.connect((address, 0))
        # Each with an identifier of its own: of two that begin with the same one at once, and are led to different tasks,
        # the kernel drops one.
        head = struct.pack("!BBHHH", _ECHO_REQUEST[family], 0, 0, number & 0xFFFF, 1)
        asking.send(_summed(head + mark) if family == 4 else head + mark)
        while True:
            packet = asking.recv(2000)
            message = packet if family == 6 else packet[(packet[0] & 15) * 4 :]
            if message[0] == _ECHO_REPLY[family] and message[8:] == mark:
                return echoes.pinged(mark)
            if message[0] in (1, 3) and mark[:8] in message:
                return Answer(failure="unreachable")


def _summed(message: bytes) -> bytes:
    """The message with its ICMP checksum (RFC 1071); the kernel does that only for ICMPv6."""
    padded = message + b"\0" * (len(message) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return message[:2] + struct.pack("!H", ~total & 0xFFFF) + message[4:]


def resolved(container: Path, name: str, family: int = 4, bound_s: float = 2.0) -> set[str]:
    """The addresses that a name has in the container whose namespace is at `container`; none if it has no such name.

    Raises OSError if nobody answers there.
    """
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    number = next(_echoes) & 0xFFFF
    question = labels + b"\0" + struct.pack("!HH", _RECORD_TYPES[family], 1)
    with netns.socket_inside(container, socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(bound_s)
        asking.connect(_RESOLVER)
        asking.send(struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question)
        told = asking.recv(65_535)
    answers = struct.unpack_from("!H", told, 6)[0]
    at, found = 12 + len(question), set[str]()
    for _ in range(answers):  # each answer's name is a pointer of two bytes to the question
        kind, length = struct.unpack_from("!H", told, at + 2)[0], struct.unpack_from("!H", told, at + 10)[0]
        if kind == _RECORD_TYPES[family]:
            found.add(socket.inet_ntop(FAMILIES[family], told[at + 12 : at + 12 + length]))
        at += 12 + length
    return found
