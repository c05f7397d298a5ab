"""The hand-made codec against dnslib, and against bytes nobody meant as DNS."""

from ipaddress import IPv4Address, IPv6Address

import dnslib
from hypothesis import given
from hypothesis import strategies as st

from agent.dns import codec
from agent.dns.answer import Drop, Forward, answer, udp_room
from agent.dns.codec import Records, quick_answer, read_question, wire_name
from agent.dns.feed import Resolver, ResolverNetwork, Upstream
from agent.dns.view import View
from agent.dns.zone import zone_of
from covey.model.specs import PortConfig
from covey.model.tables import NetworkTable, ServiceRow

LABELS = st.text("abcxyzABC019-_", min_size=1, max_size=20)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
ADDRESSES = st.lists(st.ip_addresses(), max_size=40, unique=True)


@given(NAMES, ADDRESSES, st.sampled_from(["A", "AAAA"]), st.none() | st.integers(0, 5000), st.integers(0, 99))
def test_dnslib_reads_what_we_write(
    name: str, addresses: list[IPv4Address | IPv6Address], qtype: str, edns: int | None, turn: int
) -> None:
    records = Records.of(tuple(addresses), 7)
    asked = dnslib.DNSRecord.question(name, qtype)
    if edns is not None:
        asked.add_ar(dnslib.EDNS0(udp_len=edns))
    packed = quick_answer(bytes(asked.pack()), {wire_name(name): records}.get, turn)
    assert packed is not None
    reply = dnslib.DNSRecord.parse(packed)
    version = 4 if qtype == "A" else 6
    expected = {str(address) for address in addresses if address.version == version}
    found = [str(rr.rdata) for rr in reply.rr]
    assert (reply.header.id, reply.header.qr, reply.q) == (asked.header.id, 1, asked.q)
    assert len(packed) <= min(max(512, edns or 0), 4096)
    assert set(found) <= expected
    assert len(found) == len(set(found))
    assert bool(reply.header.tc) == (len(found) < len(expected))
    assert all(rr.ttl == 7 and rr.rname == asked.q.qname for rr in reply.rr)


@given(NAMES, st.integers(0, 65535), st.integers(0, 65535))
def test_read_question_agrees_with_dnslib(name: str, qtype: int, qclass: int) -> None:
    packed = bytes(dnslib.DNSRecord(q=dnslib.DNSQuestion(name, qtype, qclass)).pack())
    read = read_question(packed)
    assert read is not None
    assert (read.name, read.qtype, read.qclass, read.end) == (wire_name(name), qtype, qclass, len(packed))


HTTP = PortConfig(name="http", target_port=80)
ZONE = zone_of(
    NetworkTable(
        network_id="n",
        services=(ServiceRow("s", "web", virtual_ips=("10.0.0.2", "fd00::2"), ports=(HTTP,)),),
    )
)
VIEW = View(Resolver("t", "/ns", (ResolverNetwork("n", "net"),), (Upstream("192.0.2.1"),)), {"n": ZONE})

HEADS = st.sampled_from([b"\x12\x34\x01\x00\x00\x01" + b"\0" * 5 + bytes((n,)) for n in range(3)])
QUESTIONS = st.sampled_from(
    [
        wire_name(name) + kind + b"\0\1"
        for name in (
            "web",
            "web.net",
            "2.0.0.10.in-addr.arpa",
            "_http._tcp.web",
            "_x._tcp.web.net",
            "example.org",
        )
        for kind in (b"\0\1", b"\0\x1c", b"\0\x0c", b"\0\x21", b"\0\xff")
    ]
)
OPTS = st.binary(max_size=8).map(lambda junk: b"\0\0\x29\x10\0\0\0\0\0" + len(junk).to_bytes(2, "big") + junk)
ALMOST_QUERIES = st.builds(lambda *parts: b"".join(parts), HEADS, QUESTIONS, OPTS | st.binary(max_size=40))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(ALMOST_QUERIES))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def readable(message: bytes) -> bool:
    try:
        dnslib.DNSRecord.parse(message)
    except (dnslib.DNSError, ValueError):
        return False
    return True


@given(st.binary(max_size=200) | ALMOST_QUERIES | damaged(), st.booleans())
def test_whatever_comes_is_answered_forwarded_or_dropped(query: bytes, stream: bool) -> None:
    verdict = answer(query, VIEW, 0, stream)
    if isinstance(verdict, Forward):
        assert verdict.question == read_question(query)
        assert 512 <= udp_room(query, verdict.question) <= 4096
    elif not isinstance(verdict, Drop):
        assert verdict[:2] == query[:2]
        assert verdict[2] & 0x80
        if readable(query):  # dnslib is choosy about the bytes of labels, which we hand back as they came
            dnslib.DNSRecord.parse(verdict)


@given(st.binary(max_size=300))
def test_foreign_bytes_never_break_the_readers(data: bytes) -> None:
    read = read_question(data)
    assert read is None or read.end <= len(data)
    if len(data) >= codec.HEADER_BYTES:
        assert len(codec.refusal(data, codec.SERVFAIL, read)) >= codec.HEADER_BYTES


@given(st.ip_addresses())
def test_reverse_names_are_those_of_the_standard_library(address: IPv4Address | IPv6Address) -> None:
    assert codec.reverse_wire(address) == wire_name(address.reverse_pointer)


HOSTILE_RECORDS = st.lists(
    st.builds(
        lambda owner, kind, size, data: owner + kind + b"\0\1\0\0\0\0" + size.to_bytes(2, "big") + data,
        st.sampled_from(
            [b"\0", b"\xc0\x0c", b"\xc0\x1d", b"\xff\xff", b"\x3f", b"\1a", b"\1a\xc0\x0c", b"\x80"]
        ),
        st.sampled_from([b"\0\x29", b"\0\1", b"\0\xfa"]),
        st.integers(0, 65535) | st.integers(0, 8),
        st.binary(max_size=8),
    ),
    max_size=6,
).map(b"".join)


@given(st.integers(0, 65535) | st.integers(0, 5), st.integers(0, 1), HOSTILE_RECORDS, st.booleans())
def test_pointers_that_loop_and_counts_that_lie_are_read_in_one_pass(
    additional: int, answers: int, records: bytes, known: bool
) -> None:
    head = b"\x12\x34\1\0\0\1" + answers.to_bytes(2, "big") + b"\0\0" + additional.to_bytes(2, "big")
    query = head + wire_name("web" if known else "example.org") + b"\0\x0f\0\1" + records
    verdict = answer(query, VIEW, 0)
    assert isinstance(verdict, bytes | Drop) if known else isinstance(verdict, Forward)
    if isinstance(verdict, bytes):
        assert len(verdict) <= 4096
        assert dnslib.DNSRecord.parse(verdict).rr == []
