"""What is decided of tunnels, case by case; that they lose nothing is in the properties."""

from dataclasses import replace

from agent.network.firewall import Count, Drop, Family, OfFamily, ToAddress
from agent.tunnels import names
from agent.tunnels.calling import Calling
from agent.tunnels.clock import Clock
from agent.tunnels.findings import findings
from agent.tunnels.guard import digest, table
from agent.tunnels.keeping import Keeping, Key, generation
from agent.tunnels.plan import (
    CreateDevice,
    RemoveDevice,
    RemovePeer,
    SetGuard,
    SetPeer,
    SetRoute,
    carried_out,
    plan,
)
from agent.tunnels.silence import Silence
from agent.tunnels.state import NOTHING, Device, Peer, State
from agent.tunnels.wish import Own, guard, wish
from covey import limits
from covey.model.objects import TunnelKey
from covey.model.tables import PeerRow
from covey.model.tunnels import tunnel_address, tunnel_prefix

OWN = Own("n1", "fd00::1", "fd00::/48", 1500)
KEY = Key(0, b"secret", "own0")


def row(number: int, *keys: str, generation: int = 0) -> PeerRow:
    said = tuple(TunnelKey(place, key, 4793 + place % 2) for place, key in enumerate(keys))
    return PeerRow(f"n{number}", f"192.0.2.{number}", f"fd00::{number}", said, generation)


ROWS = {"n1": row(1, "own0"), "n2": row(2, "k2"), "n3": row(3)}


def test_a_peer_is_who_has_told_a_key_and_is_not_the_node_itself() -> None:
    want = wish(OWN, (KEY,), ROWS, (5,), NOTHING)
    (device,) = want.devices.values()
    assert device.peers == {"k2": Peer("192.0.2.2:4793", "fd00::2", limits.tunnel_keepalive_s)}
    assert device.mtu == 1500 - limits.wireguard_overhead_bytes
    assert want.routes == {"fd00::2": names.device("n1", 0)}


def test_without_encrypted_networks_there_is_nothing() -> None:
    assert wish(OWN, (KEY,), ROWS, (), NOTHING) == NOTHING


def test_the_guard_comes_first_and_a_route_after_its_device() -> None:
    steps = plan(NOTHING, wish(OWN, (KEY,), ROWS, (5,), NOTHING), {})
    assert isinstance(steps[0], SetGuard)
    assert isinstance(steps[-1], SetRoute)
    kinds = [type(step) for step in steps]
    assert kinds.index(CreateDevice) < kinds.index(SetPeer) < kinds.index(SetRoute)


def test_the_guard_is_another_with_another_network_and_says_which() -> None:
    one, two = (guard(OWN, vnis) for vnis in ((5,), (5, 6)))
    assert digest(one) != digest(two)
    assert {each.name: set(each.elements) for each in table(two).maps} == {"encrypted": {"5", "6"}}
    outside = (OfFamily(Family.IPV6), ToAddress(OWN.prefix), Count(), Drop())
    assert all(outside in chain.rules for chain in table(one).chains), "whatever way it goes"


def test_a_device_goes_after_its_routes_and_the_guard_last() -> None:
    want = wish(OWN, (KEY,), ROWS, (5,), NOTHING)
    stands = carried_out(NOTHING, plan(NOTHING, want, {}), want)
    kinds = [type(step).__name__ for step in plan(stands, NOTHING, {})]
    assert kinds == ["RemoveRoute", "RemoveDevice", "RemoveGuard"]


def test_what_wireguard_says_of_endpoints_is_not_compared() -> None:
    want = wish(OWN, (KEY,), ROWS, (5,), NOTHING)
    stands = carried_out(NOTHING, plan(NOTHING, want, {}), want)
    name = names.device("n1", 0)
    roamed = replace(stands.devices[name].peers["k2"], endpoint="198.51.100.9:1024")
    moved = State({name: replace(stands.devices[name], peers={"k2": roamed})}, stands.routes, stands.guard)
    assert plan(moved, want, {(name, "k2"): "192.0.2.2:4793"}) == []
    assert plan(moved, want, {}) == [SetPeer(name, "k2", "192.0.2.2:4793")], "but told once by a new agent"


def test_a_peer_that_has_just_answered_is_not_amiss() -> None:
    """It is still called, until tunnels are looked after again: an audit may come between."""
    want = wish(OWN, (KEY,), ROWS, (5,), NOTHING)
    stands = carried_out(NOTHING, plan(NOTHING, want, {}), want)
    name = names.device("n1", 0)
    told = {(name, "k2"): "192.0.2.2:4793"}

    def amiss(keepalive_s: int, *, answered: bool) -> list[str]:
        peer = replace(stands.devices[name].peers["k2"], keepalive_s=keepalive_s, answered=answered)
        now = State({name: replace(stands.devices[name], peers={"k2": peer})}, stands.routes, stands.guard)
        steps = plan(now, wish(OWN, (KEY,), ROWS, (5,), now), told)
        return [each.words for each in findings(steps, now)]

    assert amiss(limits.tunnel_keepalive_s, answered=True) == []
    assert amiss(0, answered=True) == []
    assert amiss(limits.tunnel_keepalive_s, answered=False) == []
    assert amiss(25, answered=True) == ["k2 is set otherwise than it should be"], "somebody else's doing"
    assert amiss(0, answered=False) == ["k2 is set otherwise than it should be"]


def test_a_device_that_is_not_served_is_made_anew_with_its_routes() -> None:
    want = wish(OWN, (KEY,), ROWS, (5,), NOTHING)
    stands = carried_out(NOTHING, plan(NOTHING, want, {}), want)
    name = names.device("n1", 0)
    dead = State({name: Device("", 0, 1420, served=False)}, stands.routes, stands.guard)
    steps = plan(dead, want, {})
    assert steps[0] == CreateDevice(name)
    assert SetRoute("fd00::2", name) in steps
    assert [each.words for each in findings(steps, dead)] == ["is served by nothing"]


def test_keys_of_two_generations_at_most_and_on_two_devices() -> None:
    keeping = Keeping("n1")
    for number in (0, 1, 2, 5, 7):
        keeping.add(Key(number, b"", f"k{number}"))
        devices = [names.device("n1", key.generation) for key in keeping.keys]
        assert len(set(devices)) == len(devices) <= names.SLOTS
        assert keeping.keys[-1].generation == number
    assert [key.generation for key in keeping.keys] == [7], "5 would need the same device"


def test_a_restored_cluster_may_count_from_less() -> None:
    keeping = Keeping("n1")
    keeping.add(Key(9, b"", "k9"))
    assert keeping.lacks([row(2, generation=4)]) == 4
    keeping.add(Key(4, b"", "k4"))
    assert [key.generation for key in keeping.keys] == [4]


def test_the_generation_of_now_is_the_highest_that_was_told() -> None:
    assert generation([]) is None
    assert generation([row(1, generation=3), row(2, generation=4)]) == 4


def test_without_peers_keys_go() -> None:
    keeping = Keeping("n1", (KEY,))
    assert keeping.retire({}, NOTHING, 0)
    assert keeping.keys == ()


def test_an_old_key_goes_once_nobody_has_used_it_for_a_while() -> None:
    keeping = Keeping("n1", (KEY, Key(1, b"", "own1")))
    old, most_ms = names.device("n1", 0), int(limits.tunnel_overlap_s * 1000)

    def stands(received: int) -> State:
        return State({old: Device("own0", 4793, 1420, peers={"k2": Peer("e", "a", received_bytes=received)})})

    assert not keeping.retire(ROWS, stands(1), 0)
    assert not keeping.retire(ROWS, stands(2), most_ms), "it was used meanwhile"
    assert not keeping.retire(ROWS, stands(2), 2 * most_ms - 1)
    assert keeping.retire(ROWS, stands(2), 2 * most_ms)
    assert [key.generation for key in keeping.keys] == [1]


def test_peers_that_do_not_answer_are_named_after_a_while() -> None:
    name, silence = names.device("n1", 0), Silence()
    peers = {"k2": Peer("192.0.2.2:4793", "fd00::2"), "k3": Peer("192.0.2.3:4793", "fd00::3", answered=True)}
    silence.note(State({name: Device("own0", 4793, 1420, peers=peers)}), 0)
    late_ms = int(limits.tunnel_silence_s * 1000)
    assert not list(silence.remarks(late_ms - 1))
    (said,) = silence.remarks(late_ms)
    assert "192.0.2.2:4793" in said
    assert "192.0.2.3" not in said
    assert f"{limits.tunnel_port} and {limits.tunnel_port + 1}" in said
    silence.note(NOTHING, late_ms)
    assert not list(silence.remarks(late_ms))


def test_a_peer_that_answers_no_more_is_named() -> None:
    """A firewall came between; but who has nothing to say, or was told nothing, may be silent."""
    name, silence, most_ms = names.device("n1", 0), Silence(), int(limits.tunnel_silence_s * 1000)

    def named(sent: int, received: int, now_ms: int) -> bool:
        peer = Peer("192.0.2.2:4793", "fd00::2", answered=True, received_bytes=received, sent_bytes=sent)
        silence.note(State({name: Device("own0", 4793, 1420, peers={"k2": peer})}), now_ms)
        return bool(list(silence.remarks(now_ms)))

    assert not named(1000, 1000, 0)
    assert not named(1032, 1000, 1), "an empty packet, which nobody answers"
    assert not named(1032, 1000, 10 * most_ms)
    assert not named(2000, 1000, 10 * most_ms + 1)
    assert not named(3000, 1032, 11 * most_ms), "it answers as late as it may"
    assert not named(4000, 1032, 12 * most_ms)
    assert not named(5000, 1032, 13 * most_ms)
    assert named(6000, 1032, 14 * most_ms)
    assert not named(7000, 1064, 15 * most_ms), "it is there again"


def test_nobody_is_named_who_answers_with_the_other_key() -> None:
    old, new = names.device("n1", 0), names.device("n1", 1)
    silence = Silence()
    answers = Device("own0", 4793, 1420, peers={"k2": Peer("192.0.2.2:4793", "fd00::2", answered=True)})
    waits = Device("own1", 4794, 1420, peers={"k2b": Peer("192.0.2.2:4794", "fd00::2")})
    silence.note(State({old: answers, new: waits}), 0)
    assert not list(silence.remarks(1_000_000))


def test_a_device_is_removed_that_is_no_generations() -> None:
    name = names.device("n1", 1)
    have = State({name: Device("strange", 4794, 1420)})
    assert plan(have, NOTHING, {}) == [RemoveDevice(name)]


def test_addresses_follow_from_ids_alone() -> None:
    prefix = tunnel_prefix("c1")
    assert prefix.prefixlen == 48
    assert str(prefix).startswith("fd")
    assert tunnel_prefix("c2") != prefix
    found = {tunnel_address("c1", f"node{number}") for number in range(1000)}
    assert len(found) == 1000
    assert tunnel_address("c1", "n1") == tunnel_address("c1", "n1")


def test_of_two_nodes_one_calls_first_and_the_other_at_other_times() -> None:
    low, high = Calling("fd00::1"), Calling("fd00::2")
    assert low.first("fd00::2")
    assert not high.first("fd00::1")
    assert low.keeps_at_it("d", "k", "fd00::2")
    assert not high.keeps_at_it("d", "k", "fd00::1")
    calls = dict[str, list[int]]()
    for name, calling, peer in (("low", low, "fd00::2"), ("high", high, "fd00::1")):
        devices = {"d": Device("own", 1, 1420, peers={"k": Peer("e", peer)})}
        calls[name] = [ms for ms in range(0, 10_000, 10) if calling.again(devices, ms) == {("d", "k")}]
        assert calling.busy(3_000)
        assert not calling.busy(10_000), "from then on it is WireGuard's affair"
    assert len(calls["low"]) > len(calls["high"]) > 0
    assert not set(calls["low"]) & set(calls["high"])
    assert high.keeps_at_it("d", "k", "fd00::1"), "it was called by now"


def test_who_has_answered_is_not_called_again() -> None:
    calling = Calling("fd00::1")
    waiting = {"d": Device("own", 1, 1420, peers={"k": Peer("e", "fd00::2")})}
    answered = {"d": Device("own", 1, 1420, peers={"k": Peer("e", "fd00::2", answered=True)})}
    assert not calling.again(waiting, 0)
    assert not calling.again(answered, 5_000)
    assert not calling.again(waiting, 6_000), "it is counted anew: it is another process"
    assert calling.again(waiting, 6_100)


def test_to_be_called_again_a_peer_is_added_anew() -> None:
    want = wish(OWN, (KEY,), ROWS, (5,), NOTHING)
    stands = carried_out(NOTHING, plan(NOTHING, want, {}), want)
    name = names.device("n1", 0)
    steps = plan(stands, want, {(name, "k2"): "192.0.2.2:4793"}, {(name, "k2")})
    made = SetPeer(name, "k2", "192.0.2.2:4793", "fd00::2", limits.tunnel_keepalive_s, new=True)
    assert steps == [RemovePeer(name, "k2"), made]
    assert carried_out(stands, steps, want) == stands


def test_a_clock_is_set_back_if_sessions_do_not_last_that_long() -> None:
    clock, most_ms = Clock(), int(limits.tunnel_clock_back_s * 1000)
    assert not clock.was_set_back(1_000_000, 0)
    assert not clock.was_set_back(1_000_000 - most_ms, 0)
    assert clock.was_set_back(1_000_000 - most_ms - 1, 0), "little by little"
    assert not clock.was_set_back(1_000_000 - most_ms - 1, 0), "it is told once"
    assert not clock.was_set_back(9_000_000, 500_000), "the host slept, or its clock was set on"
    assert not clock.was_set_back(9_500_000, 1_000_000)
    assert clock.was_set_back(9_500_000, 1_000_000 + most_ms + 1)
