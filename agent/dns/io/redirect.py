"""Leads 127.0.0.11:53 to our sockets' ports, by nftables in the container's namespace.

`redirect` would rewrite the address to 127.0.0.1, where nobody listens, so it is a DNAT to 127.0.0.11
itself. The chain comes before that of the virtual addresses (-100); the table is replaced as a whole.
"""

import os
import socket
import struct
from pathlib import Path

from covey import limits
from covey.io import netns

_TABLE = "covey_dns"
_PRIORITY = -110
_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 2, 3, 6
_REQUEST, _ACK, _CREATE, _APPEND = 1, 4, 0x400, 0x800
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NFPROTO_IPV4, _HOOK_OUTPUT = 2, 3
_DNS_PORT = 53
_HEADER = struct.Struct("=IHHII")


def redirect_port_53(path: Path, udp_port: int, tcp_port: int) -> None:
    """Replace the table in the namespace at `path`. Raises OSError with the kernel's reason."""
    table = _text(1, _TABLE)
    chain = (
        table
        + _text(3, "output")
        + _nest(4, _number(1, _HOOK_OUTPUT), _number(2, _PRIORITY))
        + _text(7, "nat")
    )
    steps = [
        (_NEWTABLE, _CREATE, table),  # so that there is one to delete
        (_DELTABLE, 0, table),
        (_NEWTABLE, _CREATE, table),
        (_NEWCHAIN, _CREATE, chain),
        (_NEWRULE, _CREATE | _APPEND, _rule(table, socket.IPPROTO_UDP, udp_port)),
        (_NEWRULE, _CREATE | _APPEND, _rule(table, socket.IPPROTO_TCP, tcp_port)),
    ]
    _commit(path, steps)


def _rule(table: bytes, protocol: int, port: int) -> bytes:
    ours = socket.inet_aton(limits.dns_address)
    return (
        table
        + _text(2, "output")
        + _nest(
            4,
            _load(base=1, offset=16, length=4),  # network header: destination address
            _equals(ours),
            _load(base=1, offset=9, length=1),  # network header: protocol
            _equals(bytes((protocol,))),
            _load(base=2, offset=2, length=2),  # transport header: destination port
            _equals(_DNS_PORT.to_bytes(2, "big")),
            _expression("immediate", _number(1, 9), _nest(2, _attribute(1, port.to_bytes(2, "big")))),
            _expression("immediate", _number(1, 10), _nest(2, _attribute(1, ours))),
            _expression(
                "nat", _number(1, 1), _number(2, _NFPROTO_IPV4), _number(3, 10), _number(5, 9)
            ),  # 1: destination
        )
    )


def _commit(path: Path, steps: list[tuple[int, int, bytes]]) -> None:
    batch = [_message(_BATCH_BEGIN, _REQUEST, 0, struct.pack(">BBH", 0, 0, 10))]
    for number, (kind, flags, body) in enumerate(steps, 1):
        flags |= _REQUEST | (_ACK if number == len(steps) else 0)
        body = struct.pack("=BBH", _NFPROTO_IPV4, 0, 0) + body
        batch.append(_message(_SUBSYSTEM | kind, flags, number, body))
    batch.append(_message(_BATCH_END, _REQUEST, len(steps) + 1, struct.pack(">BBH", 0, 0, 10)))
    with netns.socket_inside(path, socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as sock:
        sock.bind((0, 0))
        sock.send(b"".join(batch))
        answer = sock.recv(65536)  # the kernel has answered when send returns
    number = -struct.unpack_from("=i", answer, _HEADER.size)[0]
    if number:
        raise OSError(number, f"nftables rules for port 53: {os.strerror(number)}", str(path))


def _message(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, number, 0) + body


def _attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(body), kind) + body + b"\0" * (-len(body) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def _nest(kind: int, *parts: bytes) -> bytes:
    return _attribute(kind | 0x8000, b"".join(parts))


def _expression(name: str, *data: bytes) -> bytes:
    return _nest(1, _text(1, name), _nest(2, *data))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", _number(1, 8), _number(2, base), _number(3, offset), _number(4, length))


def _equals(data: bytes) -> bytes:
    return _expression("cmp", _number(1, 8), _number(2, 0), _nest(3, _attribute(1, data)))
