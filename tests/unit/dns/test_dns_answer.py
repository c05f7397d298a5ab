import dnslib
import pytest

from agent.dns import codec
from agent.dns.answer import Drop, Forward, answer
from agent.dns.codec import quick_answer, wire_name
from agent.dns.feed import Resolver, ResolverNetwork, Upstream
from agent.dns.view import View
from agent.dns.zone import zone_of
from covey.model.specs import PortConfig
from covey.model.states import EndpointMode, EndpointState
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

ROWS = tuple(
    EndpointRow(
        endpoint_id=f"e{n}",
        addresses=(f"10.0.{n // 250}.{n % 250 + 1}",),
        state=EndpointState.ACTIVE,
        service_id="many" if n >= 3 else "few",
        task_id=f"{n:025d}",
        task_name=f"few.{n}",
    )
    for n in range(103)
)
HTTP = PortConfig(name="http", target_port=8080)
SERVICES = (
    ServiceRow("web", "web", virtual_ips=("10.9.0.2",), ports=(HTTP,)),
    ServiceRow("few", "few", mode=EndpointMode.DNSRR, ports=(HTTP,)),
    ServiceRow("many", "many", mode=EndpointMode.DNSRR),
)
ZONES = {"n": zone_of(NetworkTable(network_id="n", endpoints=ROWS, services=SERVICES))}


def view(upstreams: tuple[Upstream, ...] = (Upstream("192.0.2.1"),), ndots: int | None = None) -> View:
    return View(Resolver("t", "/ns", (ResolverNetwork("n", "net"),), upstreams, ndots=ndots), ZONES)


def ask(question: dnslib.DNSRecord, stream: bool = False, turn: int = 0) -> dnslib.DNSRecord:
    reply = answer(bytes(question.pack()), view(), turn, stream)
    assert isinstance(reply, bytes)
    return dnslib.DNSRecord.parse(reply)


def question(name: str, qtype: str = "A", edns: int | None = None, cookie: bool = False) -> dnslib.DNSRecord:
    record = dnslib.DNSRecord.question(name, qtype)
    if edns is not None:
        options = [dnslib.EDNSOption(10, b"12345678")] if cookie else []
        record.add_ar(dnslib.EDNS0(udp_len=edns, opts=options))
    return record


def data(reply: dnslib.DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in reply.rr]


def test_a_known_name_is_answered_with_its_case_kept() -> None:
    reply = ask(question("WeB"))
    assert data(reply) == ["10.9.0.2"]
    assert (reply.header.aa, reply.header.ra, reply.header.rd, reply.header.rcode) == (1, 1, 1, 0)
    assert str(reply.q.qname) == "WeB."


@pytest.mark.parametrize("qtype", ["AAAA", "MX", "HTTPS", "TXT", "PTR"])
def test_what_a_known_name_lacks_is_an_empty_success(qtype: str) -> None:
    reply = ask(question("web", qtype))
    assert (reply.header.rcode, reply.rr) == (0, [])


def test_any_gives_the_addresses() -> None:
    assert data(ask(question("web", "ANY"))) == ["10.9.0.2"]


def test_several_addresses_take_turns() -> None:
    first = [data(ask(question("few"), turn=turn))[0] for turn in range(6)]
    assert len(set(first)) == 3
    assert first[:3] == first[3:]


@pytest.mark.parametrize("cookie", [False, True])
def test_an_answer_keeps_to_the_askers_size(cookie: bool) -> None:
    for size, edns in ((512, None), (512, 100), (1232, 1232)):
        asked = question("many", edns=edns, cookie=cookie and edns is not None)
        packed = answer(bytes(asked.pack()), view(), 0)
        assert isinstance(packed, bytes)
        assert len(packed) <= size
        assert dnslib.DNSRecord.parse(packed).header.tc == 1
    whole = ask(question("many", edns=4096, cookie=cookie))
    assert (whole.header.tc, len(whole.rr)) == (0, 100)
    assert len(ask(question("many"), stream=True).rr) == 100


def test_edns_is_answered_by_edns_and_a_newer_version_refused() -> None:
    assert any(rr.rtype == codec.OPT for rr in ask(question("web", edns=1232)).ar)
    newer = dnslib.DNSRecord.question("web")
    newer.add_ar(dnslib.EDNS0(version=1, udp_len=1232))
    reply = ask(newer)
    assert (reply.ar[0].edns_rcode, reply.rr) == (1, [])


def test_refusals_answer_edns_by_edns_too() -> None:
    """Resolvers take who does not for one that knows nothing of it (RFC 6891, 6.1.1)."""
    for name, kind in (("_nope._tcp.web", "SRV"), ("nowhere", "A")):
        for edns in (None, 1232):
            packed = answer(bytes(question(name, kind, edns=edns).pack()), view(upstreams=()), 0)
            assert isinstance(packed, bytes)
            reply = dnslib.DNSRecord.parse(packed)
            assert (reply.header.rcode, reply.rr) == (dnslib.RCODE.NXDOMAIN, [])
            assert [rr.rtype for rr in reply.ar] == ([codec.OPT] if edns else [])


def test_backwards() -> None:
    assert data(ask(question("2.0.9.10.in-addr.arpa", "PTR"))) == ["web.net."]
    assert isinstance(answer(bytes(question("9.9.9.9.in-addr.arpa", "PTR").pack()), view(), 0), Forward)


def services(reply: dnslib.DNSRecord) -> list[tuple[int, str]]:
    return [(rr.rdata.port, str(rr.rdata.target)) for rr in reply.rr]


def test_a_named_port_is_found_with_the_address_it_is_at() -> None:
    reply = ask(question("_HTTP._tcp.web", "SRV"))
    assert services(reply) == [(8080, "web.net.")]
    assert [(str(rr.rname), str(rr.rdata)) for rr in reply.ar] == [("web.net.", "10.9.0.2")]
    assert services(ask(question("_http._tcp.web.net", "SRV"))) == [(8080, "web.net.")]
    each = ask(question("_http._tcp.few", "SRV", edns=4096))
    assert services(each) == [(8080, f"few.{n}.net.") for n in range(3)]
    assert len([rr for rr in each.ar if rr.rtype == codec.A]) == 3
    assert services(ask(question("_http._tcp.tasks.few", "SRV"))) == services(each)


def test_a_service_has_no_port_of_another_name_and_nobody_else_is_asked() -> None:
    for name in ("_smtp._tcp.web", "_http._udp.web", "_http._tcp.nosuch.web"):
        verdict = answer(bytes(question(name, "SRV").pack()), view(), 0)
        if name.endswith("nosuch.web"):
            assert isinstance(verdict, Forward)
            continue
        assert isinstance(verdict, bytes)
        assert codec.rcode_of(verdict) == codec.NXDOMAIN
    reply = ask(question("_http._tcp.web", "A"))
    assert (reply.header.rcode, reply.rr) == (0, [])
    assert isinstance(answer(bytes(question("http.tcp.web", "SRV").pack()), view(), 0), Forward)


def test_answers_in_a_query_and_more_records_than_any_need_are_dropped() -> None:
    web = bytes(question("web", "MX").pack())
    for counts in (b"\0\1\0\0\0\0", b"\0\0\0\1\0\0", b"\0\0\0\0\xff\xff", b"\0\0\0\0\0\1"):
        assert isinstance(answer(web[:6] + counts + web[12:], view(), 0), Drop)


def test_the_rest_is_asked_elsewhere() -> None:
    verdict = answer(bytes(question("Example.ORG").pack()), view(), 0)
    assert isinstance(verdict, Forward)
    assert verdict.question.name == wire_name("example.org")
    assert isinstance(answer(bytes(question("nosuch").pack()), view(), 0), Forward)


def test_single_labels_stay_here_once_the_user_set_ndots() -> None:
    reply = answer(bytes(question("nosuch").pack()), view(ndots=1), 0)
    assert isinstance(reply, bytes)
    assert codec.rcode_of(reply) == codec.NXDOMAIN
    assert isinstance(answer(bytes(question("a.b").pack()), view(ndots=1), 0), Forward)


def test_without_upstreams_nothing_leaves() -> None:
    for name, rcode in (("nosuch", codec.NXDOMAIN), ("example.org", codec.SERVFAIL)):
        reply = answer(bytes(question(name).pack()), view(upstreams=()), 0)
        assert isinstance(reply, bytes)
        assert codec.rcode_of(reply) == rcode


def test_what_is_no_query_is_dropped_with_a_reason() -> None:
    web = bytes(question("web").pack())
    for junk in (
        b"",
        web[:11],
        web[:-1],
        web[:2] + b"\x80" + web[3:],
        web + b"x" * 5000,
        web[:4] + b"\0\2" + web[6:],
    ):
        assert isinstance(answer(junk, view(), 0), Drop)


def test_other_opcodes_and_classes_are_refused() -> None:
    web = bytes(question("web").pack())
    notify = answer(web[:2] + b"\x20" + web[3:], view(), 0)
    assert isinstance(notify, bytes)
    assert codec.rcode_of(notify) == codec.NOTIMP
    chaos = answer(web[:-2] + b"\0\3", view(), 0)
    assert isinstance(chaos, bytes)
    assert codec.rcode_of(chaos) == codec.REFUSED


def test_the_common_question_takes_the_quick_road() -> None:
    look = view().lookup
    assert quick_answer(bytes(question("web").pack()), look, 0) is not None
    assert quick_answer(bytes(question("web", edns=1232).pack()), look, 0) is not None
    assert quick_answer(bytes(question("web", "MX").pack()), look, 0) is None
