"""Every encoder, read back: what plans ask for is what the kernel then holds, and nothing else."""

import errno
import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.network import firewall as fw
from agent.network import ops
from agent.network.desired.way_back import way_back
from agent.network.io import conntrack, sysctl
from agent.network.io.kernel import carry_out
from agent.network.io.observe import observe, surroundings
from agent.network.io.places import Places
from agent.network.io.rtnetlink import bridge, remove_link
from agent.network.plan import plan
from agent.network.seam import NetworkFault
from agent.network.state import LOCAL, Address, Kind, Link, Netns, Policy, Port, Route, Vxlan
from covey.io import netns
from tests.support.network_bed import run_in

pytestmark = pytest.mark.root

BOX, TASK = "box", "task"


@pytest.fixture
def places(scratch: Path) -> Iterator[Places]:
    opened = Places(scratch)
    yield opened
    opened.close()


def wish() -> dict[str, Netns]:
    table = fw.Table(
        "covey_vip",
        (
            fw.Chain(
                "output",
                ((fw.Translated(),), (fw.ToThisHost(), fw.Dispatch("ports")), (fw.Dispatch("services"),)),
                fw.Base("nat", fw.Hook.OUTPUT, -100),
            ),
            fw.Chain(
                "post",
                (
                    (fw.FromAddress("10.0.0.0/8"), fw.OutLink("eth0", negated=True), fw.Masquerade()),
                    (fw.ToAddress("10.1.2.3/32", negated=True), fw.InLink("eth0"), fw.Drop()),
                ),
                fw.Base("filter", fw.Hook.FORWARD, 0),
            ),
            fw.Chain("vip-10.0.0.9", ((fw.Balance((fw.Target("10.0.0.2"), fw.Target("10.0.0.3")), 1),),)),
            fw.Chain("tcp-80", ((fw.ToPort("tcp", 80), fw.Balance((fw.Target("10.0.0.2", 8080),))),)),
            fw.Chain("empty", ((fw.OverTcp(), fw.Reset()), (fw.Reject(fw.RejectCode.HOST_UNREACHABLE),))),
        ),
        (
            fw.VerdictMap("ports", fw.KeyKind.PORT, {"tcp 80": "tcp-80", "udp 53": "empty"}),
            fw.VerdictMap("services", fw.KeyKind.ADDRESS, {"10.0.0.9": "vip-10.0.0.9"}),
        ),
    )
    # a masquerade belongs in postrouting: the rule above stands in a nat chain of its own
    masquerade = fw.Chain(
        "masquerade", (table.chain("post").rules[0],), fw.Base("nat", fw.Hook.POSTROUTING, 100)
    )
    drop = replace(table.chain("post"), rules=table.chain("post").rules[1:])
    table = replace(table, chains=(*(each for each in table.chains if each.name != "post"), masquerade, drop))
    box = Netns(
        links={
            "lo": Link("lo", Kind.LOOPBACK),
            "br0": Link("br0", Kind.BRIDGE, 1400, "02:42:0a:00:00:01"),
            "vx0": Link(
                "vx0",
                Kind.VXLAN,
                1400,
                master="br0",
                port=Port(flood=True),
                vxlan=Vxlan(0xABCDE, "127.0.0.1", 14789),
            ),
            "v1": Link("v1", Kind.VETH, 1400, master="br0", port=Port(isolated=True), peer=(TASK, "eth0")),
        },
        addresses=frozenset({Address("br0", "10.0.0.1/24"), Address("br0", "fd00::a00:1/64")}),
        routes=frozenset({Route("::1/128", "", "br0", table=LOCAL)}),
        statics=frozenset({("v1", "02:42:0a:00:00:02")}),
        forwards={("vx0", "02:42:0a:00:00:03"): "192.0.2.3", ("vx0", "02:42:0a:00:00:04"): "192.0.2.4"},
        neighbours={
            ("vx0", "10.0.0.3"): "02:42:0a:00:00:03",
            ("vx0", "fd00::a00:3"): "02:42:0a:00:00:03",
        },
        sysctls={"net/ipv4/conf/br0/route_localnet": "1", "net/ipv6/conf/br0/accept_ra": "0"},
    )
    subnets = {fw.Family.IPV4: ip_network("10.0.0.0/24"), fw.Family.IPV6: ip_network("fd00::/64")}
    back = way_back("eth0", subnets, {fw.Family.IPV4: "10.0.0.2", fw.Family.IPV6: "fd00::a00:2"})
    tables = (table, mesh(), in_ipv6(table, "covey_vip6"), in_ipv6(mesh(), "covey_mesh6"), *back.tables)
    task = Netns(
        links={
            "lo": Link("lo", Kind.LOOPBACK),
            "eth0": Link("eth0", Kind.VETH, 1400, "02:42:0a:00:00:02", peer=(BOX, "v1")),
        },
        addresses=frozenset({Address("eth0", "10.0.0.2/24"), Address("eth0", "fd00::a00:2/64")}),
        routes=frozenset(
            {
                Route("0.0.0.0/0", "10.0.0.1", "eth0"),
                Route("10.9.0.0/16", "10.0.0.7", "eth0"),
                Route("::/0", "fd00::a00:1", "eth0"),
                Route("fd09::/48", "fd00::a00:7", "eth0"),
                *back.routes,
            }
        ),
        policies=back.policies,
        neighbours=back.neighbours,
        tables={each.name: each.view() for each in tables},
        rules={each.name: each for each in tables},
        sysctls={"net/ipv4/ip_forward": "1"},
    )
    return {BOX: box, TASK: task}


def mesh() -> fw.Table:
    """What the routing mesh has beside."""
    return fw.Table(
        "covey_mesh",
        (
            fw.Chain("output", ((fw.Jump("spread"),),), fw.Base("nat", fw.Hook.OUTPUT, -100)),
            fw.Chain(
                "spread",
                (
                    (
                        fw.SentTo("tcp", 80, "10.0.0.9"),
                        fw.Balance((fw.Target("10.0.0.2"), fw.Target("10.0.0.3")), by_client=True),
                    ),
                ),
            ),
        ),
    )


def in_ipv6(table: fw.Table, name: str) -> fw.Table:
    """The same table with IPv6's addresses."""
    chains = tuple(
        replace(
            each,
            name=_mapped(each.name),
            rules=tuple(tuple(_statement(one) for one in rule) for rule in each.rules),
        )
        for each in table.chains
    )
    maps = tuple(
        replace(each, elements={_mapped(key): _mapped(value) for key, value in each.elements.items()})
        for each in table.maps
    )
    return replace(table, name=name, chains=chains, maps=maps, family=fw.Family.IPV6)


def _mapped(text: str) -> str:
    return text.replace("10.0.0.", "fd00::a00:")


def _statement(statement: fw.Statement) -> fw.Statement:
    match statement:
        case fw.FromAddress(_, negated):
            return fw.FromAddress("fd00::/8", negated)
        case fw.ToAddress(_, negated):
            return fw.ToAddress("fd00::a01:203/128", negated)
        case fw.SentTo(protocol, port, address):
            return fw.SentTo(protocol, port, _mapped(address))
        case fw.Balance(targets):
            moved = tuple(replace(each, address=_mapped(each.address)) for each in targets)
            return replace(statement, targets=moved)
        case _:
            return statement


def read(places: Places, want: dict[str, Netns]) -> tuple[dict[str, Netns], tuple[str, ...]]:
    found = observe(places)
    node = {
        name: replace(
            holds, sysctls=sysctl.read(places.path(name), want[name].sysctls if name in want else ())
        )
        for name, holds in found.node.items()
        if name
    }
    return node, found.broken


def converge(places: Places, want: dict[str, Netns]) -> list[ops.Operation]:
    have, broken = read(places, want)
    steps = plan(have, want, broken)
    carry_out(places, steps)
    return steps


def test_what_was_asked_for_is_what_is_read_back(places: Places) -> None:
    want = wish()
    assert converge(places, want)
    have, _ = read(places, want)
    for name, asked in want.items():
        found = have[name]
        assert found.links.keys() == asked.links.keys()
        for link in asked.links.values():
            got = found.links[link.name]
            assert (got.kind, got.up, got.master, got.vxlan) == (link.kind, link.up, link.master, link.vxlan)
            assert got.mtu == link.mtu or not link.mtu
            assert got.mac == link.mac or not link.mac
            assert got.port == link.port or link.port is None
        assert found.addresses == asked.addresses
        assert found.routes == asked.routes
        assert found.policies == asked.policies
        assert found.statics == asked.statics
        assert found.forwards == asked.forwards
        assert found.neighbours == asked.neighbours
        assert found.tables == asked.tables
        assert found.sysctls == asked.sysctls
    assert converge(places, want) == [], "nothing is left to do"


def test_the_kernel_understands_the_rules_of_ipv6_as_they_are_meant(places: Places) -> None:
    converge(places, wish())
    said = run_in(places.path(TASK) or Path(), "nft", "list", "ruleset")
    for rule in (
        'ip6 saddr fd00::/8 oifname != "eth0" masquerade',
        'ip6 daddr != fd00::a01:203 iifname "eth0" drop',
        "fib daddr type local meta l4proto . th dport vmap @ports",
        "ip6 daddr vmap @services",
        "dnat to numgen inc mod 2 map",
        "dnat to jhash ip6 saddr mod 2",
        "reject with icmpv6 addr-unreachable",
        "ct original ip6 daddr fd00::a00:9",
        "elements = { fd00::a00:9 : jump vip-fd00::a00:9 }",
        "fd00::a00:2 . 8080",
    ):
        assert rule in said, f"{rule}\n{said}"


def test_every_change_is_made_and_read_back(places: Places) -> None:
    want = wish()
    converge(places, want)
    box, task = want[BOX], want[TASK]
    table = task.rules["covey_vip"]
    edited = replace(
        table,
        chains=tuple(
            replace_rules(each) if each.name == "vip-10.0.0.9" else each
            for each in table.chains
            if each.name != "tcp-80"
        ),
        maps=(
            fw.VerdictMap("ports", fw.KeyKind.PORT, {"udp 53": "vip-10.0.0.9"}),
            fw.VerdictMap("services", fw.KeyKind.ADDRESS, {"10.0.0.8": "empty"}),
        ),
    )
    want = {
        BOX: replace(
            box,
            links={**box.links, "br0": replace(box.links["br0"], mtu=1380, mac="02:42:0a:00:00:05")},
            addresses=frozenset({Address("br0", "10.0.0.5/24"), Address("br0", "fd00::a00:5/64")}),
            routes=frozenset(),
            forwards={("vx0", "02:42:0a:00:00:03"): "192.0.2.9"},
            neighbours={("vx0", "10.0.0.6"): "02:42:0a:00:00:06", ("vx0", "fd00::6"): "02:42:0a:00:00:06"},
        ),
        TASK: replace(
            task,
            routes=frozenset({Route("0.0.0.0/0", "10.0.0.5", "eth0")}),
            policies=frozenset({Policy(1, 255, 100)}),
            neighbours={},
            tables={"covey_vip": edited.view()},
            rules={"covey_vip": edited},
        ),
    }
    steps = converge(places, want)
    assert any(isinstance(step, ops.EditTable) for step in steps)
    assert converge(places, want) == []
    assert set(converge(places, {})) == {
        ops.RemoveLink(BOX, "vx0"),
        ops.RemoveNetns(BOX),
        ops.RemoveNetns(TASK),
    }
    assert read(places, {}) == ({}, ())


def replace_rules(chain: fw.Chain) -> fw.Chain:
    return replace(
        chain, rules=((fw.Balance(tuple(fw.Target(f"10.0.1.{each}") for each in range(1, 251))),),)
    )


def test_nft_itself_reads_our_bytecode_as_it_was_meant(places: Places) -> None:
    converge(places, wish())
    path = places.path(TASK)
    assert path is not None
    said = run_in(path, "nft", "list", "table", "ip", "covey_vip")
    for line in (
        "ct status dnat comment",
        "fib daddr type local meta l4proto . th dport vmap @ports",
        "ip daddr vmap @services",
        'ip saddr 10.0.0.0/8 oifname != "eth0" masquerade',
        'ip daddr != 10.1.2.3 iifname "eth0" drop',
        "tcp dport 80 dnat ip to numgen inc mod 1",
        "reject with icmp host-unreachable",
        "tcp . 80 : jump tcp-80",
        "10.0.0.9 : jump vip-10.0.0.9",
    ):
        assert line in said, said


def test_a_large_table_goes_in_parts(places: Places) -> None:
    want = wish()
    count = 5_000
    macs = {number: f"02:42:0b:00:{number >> 8:02x}:{number & 255:02x}" for number in range(count)}
    want[BOX] = replace(
        want[BOX],
        forwards={("vx0", mac): "192.0.2.3" for mac in macs.values()},
        neighbours={
            ("vx0", ip): mac
            for number, mac in macs.items()
            for ip in (f"11.0.{number >> 8}.{number & 255}", f"fd00::1:{number:x}")
        },
    )
    sixes = tuple(fw.Target(f"fd00::1:{number:x}", 80) for number in range(1, 2_501))
    large = fw.Table("covey_vip6", (fw.Chain("many", ((fw.Balance(sixes, 7),),)),), family=fw.Family.IPV6)
    targets = tuple(fw.Target(f"11.0.{number >> 8}.{number & 255}") for number in range(1, 2_501))
    table = want[TASK].rules["covey_vip"]
    table = replace(table, chains=(*table.chains, fw.Chain("many", ((fw.Balance(targets, 7),),))))
    rules = {each.name: each for each in (table, large)}
    want[TASK] = replace(want[TASK], rules=rules, tables={name: each.view() for name, each in rules.items()})
    converge(places, want)
    assert converge(places, want) == []


def test_a_refused_step_names_itself(places: Places) -> None:
    converge(places, wish())
    with pytest.raises(NetworkFault, match=r"AddRoute in task failed: .*unreach.*10\.200\.0\.1"):
        carry_out(places, [ops.AddRoute(TASK, Route("10.8.0.0/16", "10.200.0.1", "eth0"))])
    with pytest.raises(NetworkFault, match="EditTable in task failed"):
        carry_out(places, [ops.EditTable(TASK, wish()[TASK].rules["covey_vip"], drop=("vip-10.0.0.9",))])
    carry_out(places, [ops.RemoveLink(TASK, "eth9"), ops.RemoveTable(TASK, "covey_mesh")])  # gone is gone


def test_tampering_is_seen(places: Places) -> None:
    want = wish()
    converge(places, want)
    path = places.path(TASK)
    assert path is not None
    for harm in (
        "flush chain ip covey_vip vip-10.0.0.9",
        "add rule ip covey_vip output drop",
        "add rule ip covey_vip vip-10.0.0.9 accept",
        "add chain ip covey_vip another",
        "delete element ip covey_vip services { 10.0.0.9 }",
        "delete table ip covey_vip",
    ):
        run_in(path, "nft", harm)
        assert converge(places, want), f"nobody noticed: {harm}"
        assert converge(places, want) == []
    run_in(path, "nft", "add table ip covey_dns")  # another part's: let be
    assert converge(places, want) == []


def test_flows_are_listed_and_forgotten(places: Places) -> None:
    converge(places, wish())
    path = places.path(TASK)
    assert path is not None
    with netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.sendto(b"?", ("10.0.0.9", 53))  # a virtual address with two backends
        found = conntrack.flows(places.filtering(TASK))
        assert [(each.destination, each.answered_by) for each in found] == [("10.0.0.9", "10.0.0.3")]
        assert conntrack.count(places.filtering(TASK)) == 1
        assert conntrack.forget(places.filtering(TASK), lambda each: each.answered_by == "10.0.0.2") == 0
        assert conntrack.forget(places.filtering(TASK), lambda each: each.answered_by == "10.0.0.3") == 1
        assert conntrack.flows(places.filtering(TASK)) == []


def test_the_mtu_below_is_that_of_the_data_address(places: Places) -> None:
    assert surroundings(places, "127.0.0.1").mtu == 65536
    assert surroundings(places, "203.0.113.77").mtu == 0


def test_routes_without_a_gateway_stand_side_by_side(places: Places) -> None:
    """What both bridges of a node have for ::1: the second must not take the first one's place."""
    links = {each: Link(each, Kind.BRIDGE, 1500) for each in ("br0", "br1")}
    routes = frozenset(Route("::1/128", "", each, table=255) for each in links)
    both = {BOX: Netns(links=links, routes=routes)}
    carry_out(places, plan({}, both))
    assert observe(places).node[BOX].routes == routes
    one = {BOX: replace(both[BOX], routes=frozenset(each for each in routes if each.link == "br1"))}
    carry_out(places, plan(both, one))
    assert observe(places).node[BOX].routes == one[BOX].routes


def test_every_failure_of_a_batch_comes_back_by_its_place(places: Places) -> None:
    """Only the last message of what is sent at once is acknowledged: failures before it must not be lost."""
    path = places.path(BOX)
    assert path is not None
    netns.create(path)
    channel = places.routing(BOX)
    good, bad = bridge(Link("br0", Kind.BRIDGE, 1500)), remove_link("nobody")
    failures = channel.batch([good, *[bad] * 2_500, good, remove_link("br0"), bad])
    assert [each.place for each in failures] == [*range(1, 2_501), 2_501, 2_503]
    assert {each.number for each in failures if each.place != 2_501} == {errno.ENODEV}
    assert [each.number for each in failures if each.place == 2_501] == [errno.EEXIST]
    assert channel.batch([good, remove_link("br0")]) == []
