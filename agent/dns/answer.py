"""What to do with one query: answer it, have it asked elsewhere, or drop it. Pure.

Common questions end in `codec.quick_answer`. The rest is taken apart by dnslib, which knows all the
corners; it is about forty times slower, which only unusual questions pay.
"""

import struct
from dataclasses import dataclass

import dnslib

from covey import limits

from . import codec
from .codec import Question, Records
from .view import View

# What dnslib raises on hostile bytes, by fuzzing it: its own errors, and those of the calls beneath.
_PARSE_ERRORS = (dnslib.DNSError, ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError)
_BADVERS_HIGH_BITS = 1


@dataclass(frozen=True, slots=True)
class Forward:
    """Nobody here knows: ask the upstream servers."""

    question: Question


@dataclass(frozen=True, slots=True)
class Drop:
    """Stay silent: this is no query. The reason is counted."""

    reason: str


def answer(query: bytes, view: View, turn: int, stream: bool = False) -> bytes | Forward | Drop:
    """Decide about `query`. `turn` rotates equal addresses; `stream` is true for TCP."""
    quick = codec.quick_answer(query, view.lookup, turn, stream)
    if quick is not None:
        return quick
    if len(query) < codec.HEADER_BYTES:
        return Drop("shorter than a header")
    if len(query) > limits.dns_query_bytes_max:
        return Drop("longer than any query")
    if query[2] & 0x80:
        return Drop("a response")
    if not codec.is_query(query):
        return codec.refusal(query, codec.NOTIMP)
    question = codec.read_question(query)
    if question is None:
        return Drop("malformed question")
    if question.qclass != codec.CLASS_IN:
        return codec.refusal(query, codec.REFUSED, question)
    records = view.lookup(question.name)
    names = view.reverse(question.name) if question.qtype == codec.PTR and records is None else ()
    if records is not None or names:
        return _careful_answer(query, question, records, names, turn, stream)
    return _elsewhere(query, question, view)


def _elsewhere(query: bytes, question: Question, view: View) -> bytes | Forward:
    resolver = view.resolver
    single_label = question.name.find(b"\0") == question.name[0] + 1
    if single_label and (resolver.ndots is not None or not resolver.upstreams):
        return codec.refusal(query, codec.NXDOMAIN, question)
    if not resolver.upstreams:
        return codec.refusal(query, codec.SERVFAIL, question)
    return Forward(question)


def _careful_answer(
    query: bytes, question: Question, records: Records | None, names: tuple[str, ...], turn: int, stream: bool
) -> bytes | Drop:
    try:
        request = dnslib.DNSRecord.parse(query)
    except _PARSE_ERRORS:
        return Drop("malformed record")
    reply = request.reply(ra=1, aa=1)
    reply.header.tc = reply.header.ad = reply.header.rcode = 0  # dnslib copies the asker's
    edns = next((rr for rr in request.ar if rr.rtype == codec.OPT), None)
    if edns is not None:
        high_bits = _BADVERS_HIGH_BITS if edns.edns_ver else 0
        flags = "do" if edns.edns_do else ""
        reply.add_ar(dnslib.EDNS0(udp_len=limits.dns_udp_bytes, ext_rcode=high_bits, flags=flags))
        if high_bits:
            return bytes(reply.pack())
    if records is not None:
        _add_addresses(reply, request, question, records, turn)
    for name in names:
        target = dnslib.PTR(name)
        reply.add_answer(dnslib.RR(request.q.qname, codec.PTR, rdata=target, ttl=limits.dns_ttl_tasks_s))
    packed = bytes(reply.pack())
    if len(packed) <= (0xFFFF if stream else udp_room(query, question)):
        return packed
    return codec.truncated(packed, question)


def _add_addresses(
    reply: dnslib.DNSRecord, request: dnslib.DNSRecord, question: Question, records: Records, turn: int
) -> None:
    first = turn % len(records.addresses) if records.addresses else 0
    for address in records.addresses[first:] + records.addresses[:first]:
        qtype = codec.A if address.version == 4 else codec.AAAA
        if question.qtype in (qtype, codec.ANY):
            data = dnslib.A(str(address)) if qtype == codec.A else dnslib.AAAA(str(address))
            reply.add_answer(dnslib.RR(request.q.qname, qtype, rdata=data, ttl=records.ttl_s))


def udp_room(query: bytes, question: Question) -> int:
    """Return how long a datagram the asker of `query` takes (RFC 6891: 512 unless an OPT says more)."""
    if query[6:10] == b"\0\0\0\0" and query[question.end : question.end + 3] == b"\0\0\x29":
        said = int.from_bytes(query[question.end + 3 : question.end + 5], "big")
        return min(max(codec.PLAIN_UDP_BYTES, said), limits.dns_udp_bytes)
    return codec.PLAIN_UDP_BYTES
