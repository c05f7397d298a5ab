"""What to do with one query: answer it, have it asked elsewhere, or drop it. Pure.

Common questions end in `codec.quick_answer`. The rest is read by `message`, in one pass and a few microseconds
more, whatever it is: one container's odd questions must not cost the others their answers.
"""

from dataclasses import dataclass

from covey import limits

from . import codec
from .codec import BadNameError, Question, Records
from .message import (
    Edns,
    MalformedError,
    address_records,
    pointer_record,
    read_edns,
    refusal,
    service_record,
    udp_room,
)
from .view import View
from .zone import Target

__all__ = ["Drop", "Forward", "answer", "udp_room"]

_BADVERS_HIGH_BITS = 1


@dataclass(frozen=True, slots=True)
class Forward:
    """Nobody here knows: ask the upstream servers."""

    question: Question


@dataclass(frozen=True, slots=True)
class Drop:
    """Stay silent: this is no query. The reason is counted."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Found:
    """Records for a question, and further ones the asker will want next."""

    records: tuple[bytes, ...] = ()
    extra: tuple[bytes, ...] = ()


def answer(query: bytes, view: View, turn: int, stream: bool = False) -> bytes | Forward | Drop:
    """Decide about `query`. `turn` rotates equal records; `stream` is true for TCP."""
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
        return refusal(query, codec.REFUSED, question)
    records = view.lookup(question.name)
    if records is not None:
        return _careful_answer(query, question, _Found(_addresses(question, records, turn)), stream)
    if question.qtype == codec.PTR and (names := view.reverse(question.name)):
        return _careful_answer(query, question, _Found(_pointers(names)), stream)
    targets = view.targets(question.name)
    if targets is not None:
        if not targets:  # the service is ours: nobody else is asked about its ports
            return refusal(query, codec.NXDOMAIN, question, authoritative=True)
        found = _services(targets, turn) if question.qtype in (codec.SRV, codec.ANY) else _Found()
        return _careful_answer(query, question, found, stream)
    return _elsewhere(query, question, view)


def _elsewhere(query: bytes, question: Question, view: View) -> bytes | Forward:
    resolver = view.resolver
    single_label = question.name.find(b"\0") == question.name[0] + 1
    if single_label and (resolver.ndots is not None or not resolver.upstreams):
        return refusal(query, codec.NXDOMAIN, question)
    if not resolver.upstreams:
        return refusal(query, codec.SERVFAIL, question)
    return Forward(question)


def _careful_answer(query: bytes, question: Question, found: _Found, stream: bool) -> bytes | Drop:
    try:
        edns = read_edns(query, question)
    except MalformedError as error:
        return Drop(str(error))
    if edns is not None and edns.version:
        opt = codec.our_opt(edns.dnssec_ok, _BADVERS_HIGH_BITS)
        return codec.reply(query, question.end, (), opt, codec.STREAM_BYTES)
    opt = b"" if edns is None else codec.our_opt(edns.dnssec_ok)
    room = codec.STREAM_BYTES if stream else _room(edns)
    return codec.reply(query, question.end, found.records, opt, room, found.extra)


def _room(edns: Edns | None) -> int:
    return codec.PLAIN_UDP_BYTES if edns is None else edns.room


def _addresses(question: Question, records: Records, turn: int) -> tuple[bytes, ...]:
    match question.qtype:
        case codec.A:
            return codec.rotated(records.a, turn)
        case codec.AAAA:
            return codec.rotated(records.aaaa, turn)
        case codec.ANY:
            return codec.rotated(records.a + records.aaaa, turn)
        case _:
            return ()


def _pointers(names: tuple[str, ...]) -> tuple[bytes, ...]:
    wires = (wire for name in names if (wire := _wire(name)))
    return tuple(pointer_record(limits.dns_ttl_tasks_s, wire) for wire in wires)


def _services(targets: tuple[Target, ...], turn: int) -> _Found:
    named = [(wire, target) for target in targets if (wire := _wire(target.name))]
    records = tuple(service_record(each.records.ttl_s, each.port, wire) for wire, each in named)
    extra = {wire: address_records(wire, each.records) for wire, each in named}
    return _Found(
        codec.rotated(records, turn), tuple(record for addresses in extra.values() for record in addresses)
    )


def _wire(name: str) -> bytes:
    """A name as it travels; empty if it cannot."""
    try:
        return codec.wire_name(name)
    except BadNameError:
        return b""
