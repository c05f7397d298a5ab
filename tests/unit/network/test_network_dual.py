"""Wishes where networks have IPv6, beside IPv4 or alone: what each namespace gets of each family, and of neither."""

import dataclasses
from ipaddress import IPv4Network, IPv6Network

import pytest
from msgspec.structs import replace

from agent.network import names, sweep
from agent.network.desired import Facts, namespace
from agent.network.desired.facts import Host, check, check_here, check_mtu
from agent.network.desired.gateway import Gateway, choose, recover
from agent.network.desired.node import forwarded_keys, host_keys
from agent.network.firewall import Balance, Family, Masquerade, Target, ToAddress
from agent.network.probe import port_of
from agent.network.seam import Attachment, Sandbox
from agent.network.state import LOCAL, NODE, Address, Netns, Policy, Route
from agent.network.sweep import Flow
from covey.errors import FailedPrecondition
from covey.model.addressing import addresses_of
from covey.model.objects import Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec, PortConfig
from covey.model.states import EndpointState, MeshMode, PublishMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

BOTH = Network(
    id="n1",
    spec=NetworkSpec(name="both", ipv6=True),
    vni=4097,
    subnets=(Subnet(cidr="10.1.0.0/24"), Subnet(cidr="fd01::/64")),
)
SIX = Network(
    id="n6",
    spec=NetworkSpec(name="six", ipv4=False, ipv6=True),
    vni=4099,
    subnets=(Subnet(cidr="fd06::/64"),),
)
OLD = Network(id="n4", spec=NetworkSpec(name="old"), vni=4098, subnets=(Subnet(cidr="10.4.0.0/24"),))
INGRESS = Network(
    id="in",
    spec=NetworkSpec(name="ingress", ingress=True, ipv6=True),
    vni=4096,
    subnets=(Subnet(cidr="10.255.0.0/16"), Subnet(cidr="fdff::/64")),
)
HOST = Host("here", "192.0.2.1", 1500, keeps_client_address=True)
PORT = PortConfig(target_port=80, published_port=8080)
BASE = {"10.1.0.0/24": 0x0A010000, "fd06::/64": 0, "10.4.0.0/24": 0x0A040000, "10.255.0.0/16": 0x0AFF0000}


def at(network: Network, number: int) -> Attachment:
    full = BASE[network.subnets[0].cidr] + number
    return Attachment(network, Endpoint(id="e", number=full, addresses=addresses_of(network.subnets, full)))


def row(network: Network, number: int, node: str = "there", **more: object) -> EndpointRow:
    there = at(network, number).endpoint
    vtep = "192.0.2.1" if node == "here" else "192.0.2.2"
    said = {
        "state": EndpointState.ACTIVE,
        "task_id": "far",
        "service_id": "web",
        "keeps_client_address": True,
    }
    return EndpointRow(
        f"e{number}",
        there.number,
        there.addresses,
        node,
        vtep,
        **{**said, **more},  # type: ignore[arg-type]
    )


def facts(*sandboxes: Sandbox, tables: tuple[NetworkTable, ...] = (), host: Host = HOST) -> Facts:
    boxes = {each.task_id: each for each in sandboxes}
    known = {each.id: each for each in (BOTH, SIX, OLD, INGRESS)}
    gateway = choose([]).with_tasks(boxes.keys())
    return Facts(host, gateway, known, {each.network_id: each for each in tables}, boxes)


DUAL = Sandbox("t1", (at(BOTH, 9), at(INGRESS, 9)))
ALONE = Sandbox("t6", (at(SIX, 9),))
PLAIN = Sandbox("t4", (at(OLD, 9),))


def test_a_task_has_an_address_and_a_way_out_of_each_family() -> None:
    task = namespace(facts(DUAL), "t1")
    assert task.addresses == {
        Address("eth0", "10.1.0.9/24"),
        Address("eth0", "fd01::a01:9/64"),
        Address("eth1", "10.255.0.9/16"),
        Address("eth1", "fdff::aff:9/64"),
        Address("eth2", "172.31.0.2/16"),
        Address("eth2", "fdc0:7e79::ac1f:2/64"),
    }
    assert {each for each in task.routes if each.table != 100} == {
        Route("0.0.0.0/0", "172.31.0.1", "eth2"),
        Route("::/0", "fdc0:7e79::ac1f:1", "eth2"),
    }
    assert Route("::/0", "fe80::1", "eth1", onlink=True, table=100) in task.routes
    assert Policy(0, 0xFFFFFFFF, 100, Family.IPV6, negated=True) in task.policies
    assert set(task.rules) == {"covey_vip", "covey_vip6", "covey_return", "covey_return6", "covey_egress"}
    assert task.sysctls["net/ipv6/conf/default/disable_ipv6"] == "0"
    assert task.sysctls["net/ipv6/conf/default/accept_ra"] == "0"


def test_a_task_on_ipv6_alone_has_no_ipv4() -> None:
    task = namespace(facts(ALONE), "t6")
    assert task.addresses == {Address("eth0", "fd06::9/64"), Address("eth1", "fdc0:7e79::ac1f:2/64")}
    assert task.routes == {Route("::/0", "fdc0:7e79::ac1f:1", "eth1")}
    assert task.links["eth0"].mac == "02:42:00:00:00:09"


def test_a_task_on_ipv4_alone_has_no_ipv6() -> None:
    task = namespace(facts(PLAIN), "t4")
    assert not any(":" in each.cidr for each in task.addresses)
    assert task.sysctls["net/ipv6/conf/default/disable_ipv6"] == "1"
    assert set(task.rules) == {"covey_vip"}
    node = namespace(dataclasses.replace(facts(PLAIN), networks={"n4": OLD}), NODE)
    assert "net/ipv6/conf/all/forwarding" not in node.sysctls
    assert node.sysctls["net/ipv6/conf/covey_gw0/disable_ipv6"] == "1"


def test_neighbours_are_answered_for_in_both_families_and_asked_for_by_multicast() -> None:
    table = NetworkTable("n1", endpoints=(row(BOTH, 9, "here"), row(BOTH, 7)))
    box = namespace(facts(DUAL, tables=(table,)), "net-n1")
    mac = "02:42:0a:01:00:07"
    assert box.neighbours == {("vx0", "10.1.0.7"): mac, ("vx0", "fd01::a01:7"): mac}
    assert box.forwards == {("vx0", mac): "192.0.2.2"}
    assert all(link.port is None or link.port.multicast_flood for link in box.links.values())
    assert box.sysctls["net/ipv6/conf/vx0/disable_ipv6"] == "0"
    plain = namespace(facts(PLAIN), "net-n4")
    assert not any(link.port and link.port.multicast_flood for link in plain.links.values())


def test_each_family_of_a_service_is_sent_to_addresses_of_that_family() -> None:
    service = ServiceRow("web", "web", virtual_ips=("10.1.0.2", "fd01::a01:2"))
    table = NetworkTable("n1", endpoints=(row(BOTH, 7), row(BOTH, 8)), services=(service,))
    rules = namespace(facts(DUAL, tables=(table,)), "t1").rules
    for name, vip, start in (
        ("covey_vip", "10.1.0.2", "10.1.0."),
        ("covey_vip6", "fd01::a01:2", "fd01::a01:"),
    ):
        (balance,) = rules[name].chain(f"vip-{vip}").rules[0]
        assert isinstance(balance, Balance)
        assert set(balance.targets) == {Target(f"{start}7"), Target(f"{start}8")}
        assert rules[name].maps[0].elements == {vip: f"vip-{vip}"}


def node_of(*ports: PortConfig, host: Host = HOST) -> Netns:
    own = row(INGRESS, 2, "here", task_id="", service_id="")
    table = NetworkTable("in", endpoints=(own, row(INGRESS, 7)), services=(ServiceRow("web", ports=ports),))
    return namespace(facts(DUAL, tables=(table,), host=host), NODE)


def test_a_published_port_answers_in_each_family_that_it_is_published_in() -> None:
    node = node_of(
        PORT,
        replace(PORT, published_port=81, published_address="fd77::1"),
        replace(PORT, published_port=82, published_address="127.0.0.1"),
        replace(PORT, published_port=83, published_address="::1"),
        replace(PORT, published_port=84, mesh=MeshMode.MASQUERADE),
    )
    four, six = node.rules[names.MESH_TABLE], node.rules["covey_mesh6"]
    assert set(four.maps[0].elements) == {"tcp 8080", "tcp 82", "tcp 84"}
    assert set(six.maps[0].elements) == {"tcp 8080", "tcp 81", "tcp 83", "tcp 84"}
    assert six.chain("tcp-81").rules[0][0] == ToAddress("fd77::1/128")
    assert Address("covey_in0", "fdff::aff:2/64") in node.addresses
    assert Route("::1/128", "", "covey_in0", table=LOCAL) in node.routes
    assert node.sysctls["net/ipv6/conf/all/forwarding"] == "1"
    assert any(Masquerade() in rule for rule in six.chain("masqueraded").rules)
    keys = forwarded_keys(node)
    assert {"tcp 8080", "tcp 8080 ::", "tcp 81 fd77::1", "tcp 82 127.0.0.1", "tcp 83 ::1"} <= keys
    assert port_of("tcp 81 fd77::1") == "[fd77::1]:81/tcp"


def test_a_host_without_ipv6_has_ipv4_alone_and_refuses_what_has_it_not() -> None:
    without = dataclasses.replace(HOST, ipv6=False)
    for name in (NODE, "t1", "net-n1"):
        table = NetworkTable("n1", endpoints=(row(BOTH, 7),))
        wish = namespace(facts(DUAL, tables=(table,), host=without), name)
        assert not any(":" in each.cidr for each in wish.addresses)
        assert not any(":" in each.cidr for each in wish.routes)
        assert not any(":" in ip for _, ip in wish.neighbours)
        assert not any(path.startswith("net/ipv6") for path in wish.sysctls)
        assert not any(table.endswith("6") for table in wish.rules)
    check_here(DUAL, facts(DUAL, host=without))
    with pytest.raises(FailedPrecondition, match="six has IPv6 alone, and this host has none"):
        check_here(ALONE, facts(ALONE, host=without))


def test_a_host_that_forwards_goes_on_listening_to_routers() -> None:
    node = node_of(PORT, host=dataclasses.replace(HOST, advertised=("eth0",)))
    paths = list(node.sysctls)
    assert node.sysctls["net/ipv6/conf/eth0/accept_ra"] == "2"
    assert paths.index("net/ipv6/conf/eth0/accept_ra") < paths.index("net/ipv6/conf/all/forwarding")


def test_ports_of_a_task_alone_are_claimed_in_the_families_it_has() -> None:
    host = PublishMode.HOST
    published = (
        replace(PORT, publish_mode=host),
        replace(PORT, published_port=81, publish_mode=host, published_address="fd77::1"),
    )
    box = Sandbox("t1", (at(BOTH, 9),), published)
    assert host_keys(box, facts(box).families(box)) == ["tcp 8080", "tcp 8080 ::", "tcp 81 fd77::1"]
    alone = Sandbox("t6", (at(SIX, 9),), published)
    assert host_keys(alone, facts(alone).families(alone)) == ["tcp 8080 ::", "tcp 81 fd77::1"]
    gateway = namespace(facts(alone), NODE).rules
    assert gateway["covey_gateway"].maps[0].elements == {}
    assert set(gateway["covey_gateway6"].maps[0].elements) == {"tcp 8080", "tcp 81"}


def test_an_mtu_too_small_for_ipv6_is_refused() -> None:
    small = replace(BOTH, spec=replace(BOTH.spec, options={"mtu": "1200"}))
    with pytest.raises(FailedPrecondition, match="both has IPv6, which takes an MTU of 1280 or more"):
        check_mtu(Sandbox("t1", (at(small, 9),)), HOST)
    check_mtu(Sandbox("t1", (at(small, 9),)), dataclasses.replace(HOST, ipv6=False))
    with pytest.raises(FailedPrecondition, match="fd09::1 is in no subnet"):
        check(Sandbox("t1", (Attachment(BOTH, Endpoint(addresses=("10.1.0.9", "fd09::1"))),)))


def test_the_gateway_chooses_and_recovers_ipv6() -> None:
    assert choose(["fdc0:7e79::/63", "::/0"]).ipv6 == IPv6Network("fdc0:7e79:1::/64")
    standing = {
        NODE: Netns(
            addresses=frozenset(
                {Address("covey_gw0", "172.20.0.1/16"), Address("covey_gw0", "fdc0:7e79:2::ac14:1/64")}
            )
        ),
        "t1": Netns(addresses=frozenset({Address("eth1", "172.20.0.7/16")})),
        "t6": Netns(addresses=frozenset({Address("eth1", "fdc0:7e79:2::ac14:8/64")})),
    }
    given = {"t1": "172.20.0.7", "t6": "172.20.0.8"}
    assert recover(standing) == Gateway(IPv4Network("172.20.0.0/16"), given, IPv6Network("fdc0:7e79:2::/64"))
    overlapping = replace(SIX, subnets=(Subnet(cidr="fdc0:7e79::/48"),))
    box = Sandbox("t6", (Attachment(overlapping, Endpoint(addresses=("fdc0:7e79::9",))),))
    with pytest.raises(FailedPrecondition, match=r"overlaps fdc0:7e79::/64"):
        check_here(box, facts(box))


def test_flows_to_ipv6_addresses_that_are_gone_are_forgotten() -> None:
    service = ServiceRow("web", "web", virtual_ips=("10.1.0.2", "fd01::a01:2"))
    table = NetworkTable("n1", endpoints=(row(BOTH, 7),), services=(service,))
    look = sweep.of_place(facts(DUAL, tables=(table,)), "t1", ["n1"])
    assert look is not None
    assert not look.stale(Flow("fd01::a01:2", "fd01::a01:7"))
    assert look.stale(Flow("fd01::a01:2", "fd01::a01:8"))
    meshed = sweep.of_place(
        facts(DUAL, tables=(NetworkTable("in", endpoints=(row(INGRESS, 7),)),)), NODE, ["in"]
    )
    assert meshed is not None
    assert meshed.stale(Flow("fd77::1", "fdff::aff:8"))
    assert not meshed.stale(Flow("fd77::1", "fdff::aff:7"))
    assert not meshed.stale(Flow("fd77::1", "fd77::1"))
