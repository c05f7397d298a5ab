"""DNS messages by hand: what one question needs to be answered in about two microseconds.

A container asks for the same few names over and over, always with one question and at most an empty OPT
record. Those bytes are read and answered here without building objects. Whatever looks different in the
slightest is left to `answer.py` and `message.py`. Formats: RFC 1035 section 4, RFC 6891 for EDNS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from covey import limits

A: Final = 1
PTR: Final = 12
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
ANY: Final = 255
CLASS_IN: Final = 1

NOERROR: Final = 0
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5

HEADER_BYTES: Final = 12
LABEL_BYTES: Final = 63
NAME_BYTES: Final = 255
PLAIN_UDP_BYTES: Final = 512
STREAM_BYTES: Final = 0xFFFF

_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION_DESIRED = 0x80, 0x04, 0x02, 0x01
_OPCODE = 0x78
_NO_PLAIN_QUERY = _RESPONSE | _OPCODE | _TRUNCATED
_RECURSION_AVAILABLE, _CHECKING_DISABLED = 0x80, 0x10
_QTYPE_A, _QTYPE_AAAA = b"\0\1\0\1", b"\0\x1c\0\1"
_BARE_OPT = b"\0\0\x29"
_OUR_OPT = b"\0\0\x29" + limits.dns_udp_bytes.to_bytes(2, "big")
_POINTER_TO_QUESTION = b"\xc0\x0c"


class BadNameError(ValueError):
    """A name that cannot be written in DNS: an empty or too long label, or too many of them."""


def wire_name(name: str) -> bytes:
    """Return `name` as lower-case wire bytes, the form every table is keyed by.

    A trailing dot changes nothing. Raises BadNameError for names DNS cannot carry.
    """
    labels = name.rstrip(".").lower().encode("utf-8").split(b".")
    if any(not 0 < len(label) <= LABEL_BYTES for label in labels):
        raise BadNameError(f"{name!r} is no DNS name: labels have 1 to {LABEL_BYTES} bytes")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(wire) > NAME_BYTES:
        raise BadNameError(f"{name!r} is no DNS name: it has over {NAME_BYTES} bytes")
    return wire


Address = IPv4Address | IPv6Address
_HEX = tuple(b"\1" + f"{nibble:x}".encode() for nibble in range(16))
_DECIMAL = tuple(bytes((len(str(byte)),)) + str(byte).encode() for byte in range(256))


def reverse_wire(address: Address) -> bytes:
    """Return the wire name under which an address leads back to names."""
    if address.version == 4:
        return b"".join(_DECIMAL[byte] for byte in reversed(address.packed)) + b"\7in-addr\4arpa\0"
    nibbles = (each for byte in reversed(address.packed) for each in (byte & 15, byte >> 4))
    return b"".join(_HEX[nibble] for nibble in nibbles) + b"\3ip6\4arpa\0"


@dataclass(frozen=True, slots=True)
class Records:
    """The addresses of one name, with their records already encoded (they point back at the question)."""

    addresses: tuple[Address, ...]
    ttl_s: int
    a: tuple[bytes, ...]
    aaaa: tuple[bytes, ...]

    @classmethod
    def of(cls, addresses: tuple[Address, ...], ttl_s: int) -> Self:
        """Encode the records of a name."""
        ttl = ttl_s.to_bytes(4, "big")
        v4 = _POINTER_TO_QUESTION + _QTYPE_A + ttl + b"\0\4"
        v6 = _POINTER_TO_QUESTION + _QTYPE_AAAA + ttl + b"\0\x10"
        return cls(
            addresses,
            ttl_s,
            tuple(v4 + address.packed for address in addresses if address.version == 4),
            tuple(v6 + address.packed for address in addresses if address.version == 6),
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return all of `parts` as one name's records, each once. They may live as long as the shortest-lived."""
        ttl_s = min(part.ttl_s for part in parts)
        addresses = tuple(dict.fromkeys(address for part in parts for address in part.addresses))
        if any(part.ttl_s != ttl_s for part in parts):
            return cls.of(addresses, ttl_s)
        return cls(
            addresses,
            ttl_s,
            tuple(dict.fromkeys(record for part in parts for record in part.a)),
            tuple(dict.fromkeys(record for part in parts for record in part.aaaa)),
        )


Lookup = Callable[[bytes], Records | None]


def quick_answer(query: bytes, lookup: Lookup, turn: int, stream: bool = False) -> bytes | None:
    """Answer `query` if it is a plain A or AAAA question for a name `lookup` knows; None if it is not.

    `turn` rotates the order of several addresses. `stream` lifts the UDP size limit (TCP).
    """
    size = len(query)
    if size < HEADER_BYTES + 5 or query[2] & _NO_PLAIN_QUERY or query[4:10] != b"\0\1\0\0\0\0":
        return None
    end = query.find(b"\0", HEADER_BYTES) + 1  # names in the tables hold no zero byte: the first one ends it
    records = lookup(query[HEADER_BYTES:end].lower()) if end else None
    if records is None:
        return None
    asked = query[end : end + 4]
    if asked == _QTYPE_A:
        found = records.a
    elif asked == _QTYPE_AAAA:
        found = records.aaaa
    else:
        return None
    end += 4
    room, opt = PLAIN_UDP_BYTES, b""
    if query[10:12] == b"\0\1":
        # Exactly one OPT of version 0 and without options: cookies and the like take the slow road.
        if size != end + 11 or query[end : end + 3] != _BARE_OPT:
            return None
        if query[end + 6] or query[end + 9 :] != b"\0\0":
            return None
        room = min(max(room, int.from_bytes(query[end + 3 : end + 5], "big")), limits.dns_udp_bytes)
        opt = our_opt(bool(query[end + 7] & 0x80))
    elif size != end or query[10:12] != b"\0\0":
        return None
    return reply(query, end, rotated(found, turn), opt, STREAM_BYTES if stream else room)


def rotated(records: tuple[bytes, ...], turn: int) -> tuple[bytes, ...]:
    """Return equal records with another one first."""
    if len(records) < 2:
        return records
    first = turn % len(records)
    return records[first:] + records[:first]


def our_opt(dnssec_ok: bool, high_rcode: int = 0) -> bytes:
    """Return our OPT record; it repeats the asker's DO flag, as RFC 3225 wants."""
    return _OUR_OPT + bytes((high_rcode, 0, 0x80 if dnssec_ok else 0)) + b"\0\0\0"


def reply(
    query: bytes, end: int, found: tuple[bytes, ...], opt: bytes, room: int, extra: tuple[bytes, ...] = ()
) -> bytes:
    """Return an authoritative answer to `query`, whose question ends at `end`, of at most `room` bytes.

    Records that find no room are left out: of `found`, with the TC bit set; of `extra`, which nobody asked for,
    without a word.
    """
    flags = _RESPONSE | _AUTHORITATIVE | query[2] & _RECURSION_DESIRED
    left = room - end - len(opt)
    size = sum(map(len, found))
    if size > left:
        flags |= _TRUNCATED
        found, extra = _fitting(found, left), ()
    elif extra:
        extra = _fitting(extra, left - size)
    return b"".join(
        (
            query[:2],
            bytes((flags, _RECURSION_AVAILABLE | query[3] & _CHECKING_DISABLED)),
            b"\0\1",
            len(found).to_bytes(2, "big"),
            b"\0\0",
            (len(extra) + bool(opt)).to_bytes(2, "big"),
            query[HEADER_BYTES:end],
            *found,
            *extra,
            opt,
        )
    )


def _fitting(records: tuple[bytes, ...], room: int) -> tuple[bytes, ...]:
    count = 0
    for record in records:
        room -= len(record)
        if room < 0:
            break
        count += 1
    return records[:count]


@dataclass(frozen=True, slots=True)
class Question:
    """The one question of a query: its name (wire bytes, lower case) and where the question ends."""

    name: bytes
    qtype: int
    qclass: int
    end: int


def read_question(message: bytes) -> Question | None:
    """Read the question of a message that has exactly one; None if the bytes are no such message.

    A question is first in its message, so a compressed name there could only point at itself or at the
    header: such messages are malformed.
    """
    if len(message) < HEADER_BYTES or message[4:6] != b"\0\1":
        return None
    at = HEADER_BYTES
    while True:
        if at >= len(message):
            return None
        length = message[at]
        if length > LABEL_BYTES:
            return None
        at += 1 + length
        if at - HEADER_BYTES > NAME_BYTES:
            return None
        if not length:
            break
    if at + 4 > len(message):
        return None
    return Question(
        name=message[HEADER_BYTES:at].lower(),
        qtype=int.from_bytes(message[at : at + 2], "big"),
        qclass=int.from_bytes(message[at + 2 : at + 4], "big"),
        end=at + 4,
    )


def is_query(message: bytes) -> bool:
    """Tell whether the bytes have a whole header that says query, of opcode 0."""
    return len(message) >= HEADER_BYTES and not message[2] & (_RESPONSE | _OPCODE)


def refusal(query: bytes, rcode: int, question: Question | None = None, authoritative: bool = False) -> bytes:
    """Return the answer to `query` that has no records, only a code."""
    flags = _RESPONSE | query[2] & (_OPCODE | _RECURSION_DESIRED) | (_AUTHORITATIVE if authoritative else 0)
    head = query[:2] + bytes((flags, _RECURSION_AVAILABLE | query[3] & _CHECKING_DISABLED | rcode))
    if question is None:
        return head + b"\0\0" * 4
    return head + b"\0\1" + b"\0\0" * 3 + query[HEADER_BYTES : question.end]


def rcode_of(message: bytes) -> int:
    """Return the response code of a message that has a whole header."""
    return message[3] & 0x0F


def truncated(reply: bytes, question: Question) -> bytes:
    """Cut a reply too long for its asker down to header and question, with the TC bit set."""
    flags = bytes((reply[2] | _TRUNCATED, reply[3]))
    return reply[:2] + flags + b"\0\1" + b"\0\0" * 3 + reply[HEADER_BYTES : question.end]
