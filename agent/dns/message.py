"""The rest of a query, and records that are not addresses: read and written by hand, without following a pointer.

Whatever a container sends is read in one pass over its bytes: nothing in a query that we answer needs to be
decompressed, so there is no loop to be led into, and no count is believed before the bytes are there.
"""

from dataclasses import dataclass

from covey import limits

from .codec import (
    AAAA,
    CLASS_IN,
    LABEL_BYTES,
    NAME_BYTES,
    OPT,
    PLAIN_UDP_BYTES,
    A,
    Question,
    Records,
    our_opt,
)
from .codec import refusal as bare_refusal

_POINTER = 0xC0
_TO_QUESTION = b"\xc0\x0c"


class MalformedError(ValueError):
    """Bytes that are no query."""


@dataclass(frozen=True, slots=True)
class Edns:
    """What an asker's OPT record says: how long a datagram it takes, which version it speaks."""

    room: int
    version: int
    dnssec_ok: bool


def refusal(query: bytes, rcode: int, question: Question, authoritative: bool = False) -> bytes:
    """Return the answer that has no records, only a code; who asks with EDNS is answered with it (RFC 6891, 6.1.1)."""
    bare = bare_refusal(query, rcode, question, authoritative)
    try:
        edns = read_edns(query, question)
    except MalformedError:
        return bare
    return bare if edns is None else bare[:10] + b"\0\1" + bare[12:] + our_opt(edns.dnssec_ok)


def read_edns(query: bytes, question: Question) -> Edns | None:
    """Return what the OPT record after the question says, None if there is none.

    Other additional records (signatures) are passed over. Raises MalformedError if bytes are missing, if there
    are two OPT records, or if there are answers in the query.
    """
    if query[6:10] != b"\0\0\0\0":
        raise MalformedError("answers in a query")
    count = int.from_bytes(query[10:12], "big")
    if count > limits.dns_query_records_max:
        raise MalformedError("too many records in a query")
    found: Edns | None = None
    at = question.end
    for _ in range(count):
        start = at
        at = _after_name(query, at)
        if at + 10 > len(query):
            raise MalformedError("a record is cut off")
        kind, size = int.from_bytes(query[at : at + 2], "big"), int.from_bytes(query[at + 8 : at + 10], "big")
        if at + 10 + size > len(query):
            raise MalformedError("a record is cut off")
        if kind == OPT:
            if found is not None or at != start + 1:
                raise MalformedError("no proper OPT record")
            said = int.from_bytes(query[at + 2 : at + 4], "big")
            room = min(max(PLAIN_UDP_BYTES, said), limits.dns_udp_bytes)
            found = Edns(room, version=query[at + 5], dnssec_ok=bool(query[at + 6] & 0x80))
        at += 10 + size
    return found


def _after_name(message: bytes, at: int) -> int:
    end = at + NAME_BYTES
    while at < len(message) and at < end:
        length = message[at]
        if length >= _POINTER:
            return at + 2  # where it leads to is of no interest
        if length > LABEL_BYTES:
            raise MalformedError("a label of no known kind")
        at += 1 + length
        if not length:
            return at
    raise MalformedError("a name without an end")


def pointer_record(ttl_s: int, target: bytes) -> bytes:
    """Return a PTR record for the name in the question."""
    return _TO_QUESTION + b"\0\x0c\0\1" + ttl_s.to_bytes(4, "big") + len(target).to_bytes(2, "big") + target


def service_record(ttl_s: int, port: int, target: bytes) -> bytes:
    """Return an SRV record for the name in the question (RFC 2782), of priority and weight 0 as all of ours."""
    data = b"\0\0\0\0" + port.to_bytes(2, "big") + target
    return _TO_QUESTION + b"\0\x21\0\1" + ttl_s.to_bytes(4, "big") + len(data).to_bytes(2, "big") + data


def address_records(owner: bytes, records: Records) -> tuple[bytes, ...]:
    """Return the addresses of another name than the question's."""
    ttl = records.ttl_s.to_bytes(4, "big")
    return tuple(
        owner
        + (A if address.version == 4 else AAAA).to_bytes(2, "big")
        + CLASS_IN.to_bytes(2, "big")
        + ttl
        + len(address.packed).to_bytes(2, "big")
        + address.packed
        for address in records.addresses
    )


def labels(wire: bytes) -> tuple[bytes, ...]:
    """Return the labels of a wire name that was read from a question, without the empty last one."""
    found, at = list[bytes](), 0
    while wire[at]:
        found.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return tuple(found)


def udp_room(query: bytes, question: Question) -> int:
    """Return how long a datagram the asker of `query` takes (RFC 6891: 512 unless an OPT says more)."""
    try:
        edns = read_edns(query, question)
    except MalformedError:
        return PLAIN_UDP_BYTES
    return PLAIN_UDP_BYTES if edns is None else edns.room
