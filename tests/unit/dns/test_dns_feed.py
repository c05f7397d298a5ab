import asyncio
from pathlib import Path
from random import Random

import pytest

from agent.dns.client import DnsFeed
from agent.dns.fake import FakeNames
from agent.dns.feed import (
    ChangeTable,
    Deframer,
    DropTable,
    Request,
    Resolver,
    Retain,
    SetResolver,
    SetTable,
    Verdict,
    frame,
)
from agent.dns.outbox import Outbox
from agent.dns.resolv import ndots_of, options_of, resolv_conf, search_of, upstreams_of
from agent.dns.seam import Names
from covey import limits
from covey.errors import FailedPrecondition, PeerFault, Unavailable
from covey.model.changes import table_delta
from covey.model.objects import ClusterVersion
from covey.model.tables import NetworkTable, ServiceRow


def drain(outbox: Outbox, answer: bool = True) -> list[object]:
    bodies: list[object] = []
    while (request := outbox.next_request()) is not None:
        bodies.append(request.body)
        if answer:
            outbox.answered(Verdict(request.seq))
    return bodies


def test_frames_survive_any_cut() -> None:
    requests = [Request(n, SetTable(NetworkTable(network_id=f"n{n}"))) for n in range(3)]
    stream = b"".join(map(frame, requests))
    for size in (1, 3, 7, len(stream)):
        deframer = Deframer(Request)
        found = [r for at in range(0, len(stream), size) for r in deframer.feed(stream[at : at + size])]
        assert found == requests


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\2\x91\x05"])
def test_foreign_bytes_on_the_feed_are_a_peers_fault(junk: bytes) -> None:
    with pytest.raises(PeerFault):
        list(Deframer(Request).feed(junk))


def test_nothing_is_sent_before_there_is_a_connection_and_everything_after() -> None:
    outbox = Outbox()
    table, resolver = NetworkTable(network_id="n"), Resolver("t", "/ns")
    outbox.set_resolver(resolver)
    outbox.set_table(table)
    assert outbox.next_request() is None
    outbox.connected()
    assert drain(outbox) == [SetResolver(resolver), SetTable(table)]
    outbox.disconnected()
    outbox.connected()
    assert len(drain(outbox)) == 2


def test_only_a_reset_lets_the_server_forget() -> None:
    outbox = Outbox()
    outbox.connected()
    outbox.set_table(NetworkTable(network_id="n"))
    assert not any(isinstance(body, Retain) for body in drain(outbox))
    outbox.reset([NetworkTable(network_id="m")], [])
    assert drain(outbox) == [SetTable(NetworkTable(network_id="m")), Retain(("m",), ())]
    outbox.drop_table("m")
    assert drain(outbox) == [DropTable("m")]


def test_what_changes_twice_before_its_turn_is_sent_once() -> None:
    outbox = Outbox()
    outbox.connected()
    for name in ("old", "new"):
        outbox.set_table(NetworkTable(network_id="n", services=(ServiceRow("s", name),)))
    (body,) = drain(outbox)
    assert isinstance(body, SetTable)
    assert body.table.services[0].name == "new"


def test_of_a_table_the_server_has_only_what_changed_is_sent() -> None:
    outbox = Outbox()
    outbox.connected()
    tables = [
        NetworkTable("n", ClusterVersion(n), services=tuple(ServiceRow(f"s{m}", f"web{m}") for m in range(n)))
        for n in range(5)
    ]
    outbox.set_table(tables[1])
    assert drain(outbox, answer=False) == [SetTable(tables[1])]
    outbox.set_table(tables[2])
    outbox.set_table(tables[3])
    (body,) = drain(outbox)
    assert isinstance(body, ChangeTable)
    assert (body.change.applies_to, body.change.version) == (tables[1].version, tables[3].version)
    assert [row.service_id for row in body.change.services] == ["s1", "s2"]
    outbox.answered(Verdict(1))
    assert (outbox.table_verdict("n"), outbox.idle) == ("", True)
    outbox.drop_table("n")
    outbox.set_table(tables[4])
    assert drain(outbox) == [ChangeTable(table_delta(tables[3], tables[4]))]  # nothing was sent in between
    outbox.drop_table("n")
    assert drain(outbox) == [DropTable("n")]
    outbox.set_table(tables[4])
    assert drain(outbox) == [SetTable(tables[4])]
    outbox.connected()
    assert drain(outbox) == [SetTable(tables[4])]


def test_a_change_the_server_cannot_follow_is_made_up_for_by_the_whole_table() -> None:
    outbox = Outbox()
    outbox.connected()
    old, new = (NetworkTable("n", ClusterVersion(n)) for n in (1, 2))
    outbox.set_table(old)
    drain(outbox)
    outbox.set_table(new)
    request = outbox.next_request()
    assert request is not None
    outbox.answered(Verdict(request.seq, "what table?"))
    assert outbox.table_verdict("n") is None
    request = outbox.next_request()
    assert request is not None
    assert request.body == SetTable(new)
    outbox.answered(Verdict(request.seq, "no good"))
    assert (outbox.table_verdict("n"), outbox.next_request()) == ("no good", None)


def test_a_verdict_on_an_older_resolver_says_nothing_of_the_newer() -> None:
    outbox = Outbox()
    outbox.connected()
    outbox.set_resolver(Resolver("t", "/old"))
    request = outbox.next_request()
    assert request is not None
    outbox.set_resolver(Resolver("t", "/new"))
    outbox.answered(Verdict(request.seq, "no such namespace"))
    assert outbox.verdict("t") is None
    drain(outbox)
    assert outbox.verdict("t") == ""


def test_the_window_is_bounded_and_answers_reopen_it() -> None:
    outbox = Outbox()
    outbox.connected()
    for n in range(limits.dns_requests_in_flight_max + 1):
        outbox.set_table(NetworkTable(network_id=f"n{n}"))
    assert len(drain(outbox, answer=False)) == limits.dns_requests_in_flight_max
    outbox.answered(Verdict(1))
    assert outbox.next_request() is not None
    with pytest.raises(PeerFault):
        outbox.answered(Verdict(12345))


def test_ready_waits_for_the_server_and_gives_its_reason(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deframer = Deframer(Request)
        while data := await reader.read(65536):
            for request in deframer.feed(data):
                body = request.body
                bad = isinstance(body, SetResolver) and body.resolver.task_id == "bad"
                writer.write(frame(Verdict(request.seq, "its loopback is down" if bad else "")))
        writer.close()

    async def main() -> None:
        async with DnsFeed(tmp_path / "dns.sock", Random(1)) as feed:
            names: Names = feed
            names.set_resolver(Resolver("good", "/ns"))
            names.set_resolver(Resolver("bad", "/ns"))
            with pytest.raises(Unavailable, match="within 10 ms"):
                await names.ready("good", timeout_ms=10)
            async with await asyncio.start_unix_server(serve, tmp_path / "dns.sock"):
                await names.ready("good")
                with pytest.raises(Unavailable, match="loopback is down"):
                    await names.ready("bad")
                with pytest.raises(FailedPrecondition):
                    await names.ready("unknown")

    asyncio.run(main())


def test_the_fake_keeps_the_same_promises() -> None:
    async def main() -> None:
        names = FakeNames()
        with pytest.raises(FailedPrecondition):
            await names.ready("t")
        names.set_resolver(Resolver("t", "/ns"))
        await names.ready("t")
        names.broken["t"] = "no reason"
        with pytest.raises(Unavailable):
            await names.ready("t")

    asyncio.run(main())


def test_resolv_conf_of_a_container() -> None:
    assert resolv_conf(Resolver("t", "/ns")) == "nameserver 127.0.0.11\noptions ndots:0\n"
    full = Resolver("t", "/ns", search=("a.org", "b.org"), ndots=2, options=("ndots:2", "timeout:1"))
    assert resolv_conf(full) == "nameserver 127.0.0.11\nsearch a.org b.org\noptions timeout:1 ndots:2\n"
    assert ndots_of(("timeout:1", "ndots:2")) == 2
    assert ndots_of(("ndots:x",)) is None


def test_resolv_conf_of_the_node() -> None:
    text = "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver x\nnameserver fe80::1%eth0\nsearch a b\n"
    assert [up.address for up in upstreams_of(text)] == ["127.0.0.53", "fe80::1%eth0"]
    assert len(upstreams_of("\n".join(f"nameserver 192.0.2.{n}" for n in range(9)))) == 3
    assert search_of(text) == ("a", "b")


def test_no_search_domains_and_the_nodes_options() -> None:
    assert "search" not in resolv_conf(Resolver("t", "/ns", search=(".",)))
    text = "options edns0 ndots:5 trust-ad\noptions timeout:2 edns0\n# options rotate\n"
    assert options_of(text) == ("edns0", "trust-ad", "timeout:2")


def test_a_table_is_followed_once_the_server_has_answered_its_newest_version() -> None:
    outbox = Outbox()
    outbox.connected()
    old, new = NetworkTable(network_id="n"), NetworkTable(network_id="n", services=(ServiceRow("s", "web"),))
    outbox.set_table(old)
    request = outbox.next_request()
    assert request is not None
    outbox.set_table(new)
    outbox.answered(Verdict(request.seq))
    assert outbox.table_verdict("n") is None, "that was the older one"
    drain(outbox)
    assert outbox.table_verdict("n") == ""
    outbox.disconnected()
    outbox.connected()
    assert outbox.table_verdict("n") is None, "who answers now may have only what was written down before"
    drain(outbox)
    outbox.drop_table("n")
    assert outbox.table_verdict("n") == "", "a network that is gone is waited for by nobody"


def test_names_that_follow_no_table_are_told_of_in_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with DnsFeed(tmp_path / "nobody.sock", Random(1)) as names:
            names.set_table(NetworkTable(network_id="n"))
            with pytest.raises(Unavailable, match="did not take the newest table of network n within 20 ms"):
                await names.follows("n", 20)
            names.drop_table("n")
            await names.follows("n", 20)

    asyncio.run(main())
