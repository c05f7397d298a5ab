from random import Random

import dnslib
import pytest

from agent.dns import codec
from agent.dns.codec import read_question
from agent.dns.feed import Upstream
from agent.dns.forward import Asked, Broke, Close, Forwarder, Gone, Replied, Respond, Send
from covey import limits
from covey.machine.machine import Tick

UPSTREAMS = tuple(Upstream(f"192.0.2.{n}") for n in (1, 2, 3))


def asked(
    client: int = 1, task: str = "t", upstreams: tuple[Upstream, ...] = UPSTREAMS, name: str = "example.org"
) -> Asked:
    query = bytes(dnslib.DNSRecord.question(name).pack())
    question = read_question(query)
    assert question is not None
    return Asked(client, task, query, question, upstreams)


def reply(send: Send, rcode: int = 0) -> bytes:
    return send.data[:2] + b"\x81" + bytes((0x80 | rcode,)) + send.data[4:]


def sent(effects: object) -> Send:
    assert isinstance(effects, list | tuple)
    (send,) = [effect for effect in effects if isinstance(effect, Send)]
    return send


def test_a_reply_goes_back_under_the_askers_own_id() -> None:
    machine, ask = Forwarder(Random(1)), asked()
    send = sent(machine.step(ask))
    assert (send.upstream, send.data[2:]) == (UPSTREAMS[0], ask.query[2:])
    good = reply(send)
    assert machine.step(Replied(send.exchange, good)) == (
        Close(send.exchange),
        Respond(1, ask.query[:2] + good[2:]),
    )
    assert machine.wake_at_ms() is None


@pytest.mark.parametrize("how", ["servfail", "refused", "broke", "late"])
def test_the_next_server_is_asked_when_one_fails(how: str) -> None:
    machine = Forwarder(Random(1))
    send = sent(machine.step(asked()))
    match how:
        case "servfail":
            effects = machine.step(Replied(send.exchange, reply(send, codec.SERVFAIL)))
        case "refused":
            effects = machine.step(Replied(send.exchange, reply(send, codec.REFUSED)))
        case "broke":
            effects = machine.step(Broke(send.exchange))
        case _:
            assert machine.step(Tick(limits.dns_upstream_timeout_ms - 1)) == []
            effects = machine.step(Tick(limits.dns_upstream_timeout_ms))
    assert effects[0] == Close(send.exchange)
    assert sent(effects).upstream == UPSTREAMS[1]


def test_after_the_last_server_the_asker_gets_the_best_known_failure() -> None:
    machine, ask = Forwarder(Random(1)), asked()
    first = sent(machine.step(ask))
    second = sent(machine.step(Replied(first.exchange, reply(first, codec.REFUSED))))
    third = sent(machine.step(Broke(second.exchange)))
    respond = machine.step(Broke(third.exchange))[-1]
    assert isinstance(respond, Respond)
    assert codec.rcode_of(respond.data) == codec.REFUSED

    lone = sent(machine.step(asked(2, upstreams=UPSTREAMS[:1])))
    respond = machine.step(Broke(lone.exchange))[-1]
    assert isinstance(respond, Respond)
    assert codec.rcode_of(respond.data) == codec.SERVFAIL


def test_a_reply_to_another_question_or_id_is_not_believed() -> None:
    machine = Forwarder(Random(1))
    send = sent(machine.step(asked()))
    good = reply(send)
    other = bytes(dnslib.DNSRecord.question("evil.org").pack())
    for bad in (b"", good[:11], bytes((good[0] ^ 1,)) + good[1:], send.data, good[:4] + other[4:]):
        assert machine.step(Replied(send.exchange, bad)) == ()
    assert machine.strays == 5
    assert machine.step(Replied(send.exchange, good)) != ()


def test_we_never_ask_ourselves() -> None:
    machine = Forwarder(Random(1))
    loop = Upstream(limits.dns_address, from_node=False)
    effects = machine.step(asked(upstreams=(loop,)))
    assert isinstance(effects[0], Respond)
    assert sent(machine.step(asked(upstreams=(loop, UPSTREAMS[2])))).upstream == UPSTREAMS[2]
    outer = Upstream(limits.dns_address, from_node=True)
    assert sent(machine.step(asked(upstreams=(outer,)))).upstream == outer


def test_a_container_that_asks_too_much_is_refused_and_others_are_not() -> None:
    machine = Forwarder(Random(1))
    for client in range(limits.dns_forwards_per_container_max):
        sent(machine.step(asked(client, "greedy", name=f"n{client}.org")))
    assert isinstance(machine.step(asked(9999, "greedy"))[0], Respond)
    sent(machine.step(asked(10_000, "modest")))
    assert len(machine.step(Gone("greedy"))) == limits.dns_forwards_per_container_max
    sent(machine.step(asked(10_001, "greedy")))


def test_many_that_ask_without_end_leave_room_for_one_more() -> None:
    machine = Forwarder(Random(1))
    for hog in range(40):
        client = 0
        while isinstance(machine.step(asked(client, f"hog{hog}", name=f"n{client}.org"))[0], Send):
            client += 1
        assert client > 0, f"hog {hog} came too late"
    sent(machine.step(asked(1, "modest")))
    for hog in range(40):
        machine.step(Gone(f"hog{hog}"))
    machine.step(Gone("modest"))
    assert machine.wake_at_ms() is None
    for client in range(limits.dns_forwards_per_container_max):
        sent(machine.step(asked(client, "late", name=f"n{client}.org")))


def test_who_asks_the_same_meanwhile_gets_the_same_answer_under_its_own_id() -> None:
    machine, first, second = Forwarder(Random(1)), asked(1), asked(2)
    send = sent(machine.step(first))
    assert machine.step(second) == ()
    (other,) = [e for e in machine.step(asked(3, "another task")) if isinstance(e, Send)]
    refused = machine.step(Replied(send.exchange, reply(send, codec.SERVFAIL)))
    send = sent(refused)
    assert machine.step(asked(4)) == ()
    responses = machine.step(Replied(send.exchange, reply(send)))[1:]
    assert [each.client for each in responses if isinstance(each, Respond)] == [1, 2, 4]
    assert [each.data[:2] for each in responses[:2] if isinstance(each, Respond)] == [
        first.query[:2],
        second.query[:2],
    ]
    assert machine.step(Broke(send.exchange)) == ()
    assert machine.step(Gone("another task")) == [Close(other.exchange)]
    sent(machine.step(asked(5)))


def test_a_circle_is_closed_once() -> None:
    # What we send comes back to us, as if the server that was asked asked us in turn.
    machine = Forwarder(Random(1))
    came = asked(1, upstreams=UPSTREAMS[:1])
    sends = 0
    for client in range(2, 50):
        effects = machine.step(came)
        found = [effect for effect in effects if isinstance(effect, Send)]
        sends += len(found)
        data = found[0].data if found else came.query
        came = Asked(client, "t", data, came.question, UPSTREAMS[:1])
    assert sends == 1
    ends = machine.step(Tick(limits.dns_upstream_timeout_ms))
    assert len([e for e in ends if isinstance(e, Respond)]) == 48
    assert machine.wake_at_ms() is None


def test_a_server_that_was_late_is_asked_after_the_others_for_a_while() -> None:
    machine = Forwarder(Random(1))
    sent(machine.step(asked(1)))
    second = sent(machine.step(Tick(limits.dns_upstream_timeout_ms)))
    machine.step(Replied(second.exchange, reply(second)))
    send = sent(machine.step(asked(2)))
    assert send.upstream == UPSTREAMS[1]
    own = tuple(Upstream(up.address, from_node=False) for up in UPSTREAMS)
    assert sent(machine.step(asked(3, "t2", own))).upstream == own[0]
    machine.step(Replied(send.exchange, reply(send)))
    machine.step(Gone("t2"))
    machine.step(Tick(limits.dns_upstream_timeout_ms + limits.dns_upstream_late_ms))
    assert sent(machine.step(asked(4))).upstream == UPSTREAMS[0]


def test_we_are_known_by_our_mapped_address_too() -> None:
    machine = Forwarder(Random(1))
    loop = Upstream(f"::ffff:{limits.dns_address}", from_node=False)
    assert isinstance(machine.step(asked(upstreams=(loop,)))[0], Respond)
