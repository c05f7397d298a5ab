"""What all netlink families share: attributes, messages, and a channel that batches them.

A channel is one socket in one namespace. `batch` packs many messages into few sends. The kernel goes on after a
failed one; the failures come back by the place of their message.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from covey import limits
from covey.io import netns

NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_DUMP = 0x300

NLMSG_ERROR = 2
NLMSG_DONE = 3
_NLM_F_DUMP_INTR = 0x10
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1
_NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 4 << 20
_SEND_BYTES = 128 << 10
_BATCH_MESSAGES = 2_000  # if all of them fail, what the kernel says must fit the receive buffer
_DUMP_TRIES = 5

HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_U16_BIG = struct.Struct(">H")
_U32_BIG = struct.Struct(">I")


class Message(NamedTuple):
    """One netlink message before it has a sequence number."""

    kind: int
    flags: int
    body: bytes

    def pack(self, sequence: int) -> bytes:
        """The message's bytes."""
        length = HEADER.size + len(self.body)
        return HEADER.pack(length, self.kind, self.flags, sequence, 0) + self.body


@dataclass(frozen=True, slots=True)
class Failure:
    """What the kernel said no to: the message's place in its batch, the errno, and its own words if any."""

    place: int
    number: int
    words: str = ""

    def __str__(self) -> str:
        said = f" ({self.words})" if self.words else ""
        return f"{os.strerror(self.number)}{said}"


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) & 3)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NLA_F_NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute that holds a terminated string."""
    return attribute(kind, value.encode() + b"\0")


def u8(kind: int, value: int) -> bytes:
    """An attribute that holds one byte."""
    return attribute(kind, bytes((value,)))


def u32(kind: int, value: int) -> bytes:
    """An attribute that holds 32 bits in the machine's own order, as rtnetlink has them."""
    return attribute(kind, _U32.pack(value))


def u16_big(kind: int, value: int) -> bytes:
    """An attribute that holds 16 bits in network order."""
    return attribute(kind, _U16_BIG.pack(value))


def u32_big(kind: int, value: int) -> bytes:
    """An attribute that holds 32 bits in network order, as netfilter has them (negative ones too)."""
    return attribute(kind, _U32_BIG.pack(value & 0xFFFFFFFF))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data`, the last of each kind."""
    return dict(attribute_list(data))


def attribute_list(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in `data` in their order."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _NLA_TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def string(data: bytes) -> str:
    """The text of a terminated string."""
    return data.split(b"\0", 1)[0].decode(errors="replace")


def packed_address(address: str) -> bytes:
    """An address of either family as packets have it."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def address_text(packed: bytes) -> str:
    """An address of either family as people write it."""
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


class Channel:
    """A netlink socket inside the namespace at `path` (None: the process's own), where it stays for life.

    As a context manager it is closed in the end.
    """

    def __init__(self, protocol: int, path: Path | None = None) -> None:
        opened = netns.socket_inside(path, socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket = opened
        self._sequence = 0
        opened.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_BYTES)
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        opened.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        opened.settimeout(limits.netlink_timeout_s)
        opened.bind((0, 0))

    def __enter__(self) -> Self:
        """The channel."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the socket; a namespace that only it held ends."""
        self._socket.close()

    def check_strictly(self) -> None:
        """Have the kernel heed the filters of dumps (rtnetlink only)."""
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)

    def batch(self, messages: Sequence[Message]) -> list[Failure]:
        """Send all `messages`; return those that failed.

        The kernel carries them out in turn, and answers to each that fails, asked or not: so only the last of what is
        sent at once is to be acknowledged.
        """
        failures: list[Failure] = []
        place = 0
        while place < len(messages):
            start, size = place, 0
            while place < len(messages) and size < _SEND_BYTES and place - start < _BATCH_MESSAGES:
                size += HEADER.size + len(messages[place].body)
                place += 1
            first = self._sequence + 1
            self._sequence += place - start
            packed = [
                message._replace(flags=message.flags & ~NLM_F_ACK).pack(first + number)
                for number, message in enumerate(messages[start : place - 1])
            ]
            last = messages[place - 1]
            packed.append(last._replace(flags=last.flags | NLM_F_ACK).pack(self._sequence))
            self._socket.send(b"".join(packed))
            failures += self._answered(first, start)
        return failures

    def _answered(self, first: int, start: int) -> list[Failure]:
        """What came of the messages from number `first` to the newest, the first of them being at place `start`."""
        failures: list[Failure] = []
        while True:
            for kind, flags, sequence, payload in self._receive():
                if kind != NLMSG_ERROR or not first <= sequence <= self._sequence:
                    continue
                if (failure := _failure(payload, flags, start + sequence - first)) is not None:
                    failures.append(failure)
                if sequence == self._sequence:
                    return failures

    def transaction(self, begin: Message, messages: Sequence[Message], end: Message) -> list[Failure]:
        """Send `messages` as one nf_tables transaction: all of them count, or none.

        Only the last asks for an acknowledgement; failures are reported whether asked for or not, and all
        of them come before it (or the whole batch is refused under the number of `begin`).
        """
        first = self._sequence + 1
        last = first + len(messages)
        packed = [begin.pack(first)]
        for place, message in enumerate(messages, 1):
            asked = message if place < len(messages) else message._replace(flags=message.flags | NLM_F_ACK)
            packed.append(asked.pack(first + place))
        packed.append(end.pack(last + 1))
        self._sequence = last + 1
        self._socket.send(b"".join(packed))
        failures: list[Failure] = []
        while True:
            for kind, flags, sequence, payload in self._receive():
                if kind != NLMSG_ERROR or not first <= sequence <= last + 1:
                    continue
                failure = _failure(payload, flags, sequence - first - 1)
                if failure is not None:
                    failures.append(failure)
                if sequence == last or (failure is not None and sequence in (first, last + 1)):
                    return failures

    def ask(self, request: Message) -> bytes:
        """Ask for one thing; return the body of the answer, or raise OSError with the kernel's errno."""
        self._sequence += 1
        self._socket.send(request._replace(flags=request.flags | NLM_F_REQUEST).pack(self._sequence))
        while True:
            for kind, flags, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue
                if kind != NLMSG_ERROR:
                    return payload
                if (failure := _failure(payload, flags, 0)) is not None:
                    raise OSError(failure.number, str(failure))

    def dump(self, request: Message) -> list[tuple[int, bytes]]:
        """Ask for a listing: (message kind, body) of each entry. One that changed meanwhile is read anew."""
        for _ in range(_DUMP_TRIES):
            try:
                return self._dump_once(request)
            except InterruptedError:
                continue
        raise OSError(errno.EINTR, f"listing {request.kind} changed {_DUMP_TRIES} times while it was read")

    def _dump_once(self, request: Message) -> list[tuple[int, bytes]]:
        self._sequence += 1
        asked = request._replace(flags=request.flags | NLM_F_REQUEST | NLM_F_DUMP)
        self._socket.send(asked.pack(self._sequence))
        found: list[tuple[int, bytes]] = []
        torn = False
        while True:
            for kind, flags, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue
                torn = torn or bool(flags & _NLM_F_DUMP_INTR)
                if kind == NLMSG_DONE:
                    if torn:
                        raise InterruptedError
                    return found
                if kind == NLMSG_ERROR:
                    failure = _failure(payload, flags, 0)
                    if failure is not None and failure.number == errno.EINTR:
                        raise InterruptedError
                    raise OSError(failure.number if failure else 0, str(failure))
                found.append((kind, payload))

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(1 << 20)
        offset = 0
        while offset + HEADER.size <= len(data):
            length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + HEADER.size : offset + length]
            offset += (length + 3) & ~3


def _failure(payload: bytes, flags: int, place: int) -> Failure | None:
    """Read an acknowledgement: None if the message was carried out."""
    (number,) = struct.unpack_from("=i", payload)
    if number == 0:
        return None
    words = ""
    if flags & _NLM_F_ACK_TLVS:
        echoed = HEADER.size if flags & _NLM_F_CAPPED else HEADER.unpack_from(payload, 4)[0]
        found = attributes(payload[4 + echoed :])
        words = string(found.get(_NLMSGERR_ATTR_MSG, b""))
    return Failure(place, -number, words)
