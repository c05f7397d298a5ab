"""Wishes: what the managers' word means for each namespace."""

import dataclasses
import socket
from typing import Any

import pytest
from msgspec.structs import replace

from agent.network import names
from agent.network.desired import Facts, namespace, whole
from agent.network.desired import names as wanted
from agent.network.desired.addressing import mac
from agent.network.desired.facts import Host, check, check_here, check_mtu
from agent.network.desired.gateway import choose
from agent.network.desired.node import forwarded_keys
from agent.network.firewall import (
    Balance,
    Base,
    Dispatch,
    FromAddress,
    Hook,
    Masquerade,
    OverTcp,
    Reject,
    RejectCode,
    Reset,
    SentTo,
    Table,
    Target,
    ToAddress,
    Translated,
)
from agent.network.probe import port_of
from agent.network.seam import Attachment, Sandbox
from agent.network.state import MAIN, NODE, Address, Kind, Netns, Route
from covey.errors import FailedPrecondition
from covey.model.objects import Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec, PortConfig
from covey.model.states import Affinity, EndpointMode, EndpointState, MeshMode, Protocol, PublishMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

NET = Network(id="n1", spec=NetworkSpec(name="front"), vni=4097, subnets=(Subnet(cidr="10.1.0.0/24"),))
INNER = Network(
    id="n2", spec=NetworkSpec(name="db", internal=True), vni=4098, subnets=(Subnet(cidr="10.2.0.0/24"),)
)
INGRESS = Network(
    id="in", spec=NetworkSpec(name="ingress", ingress=True), vni=4096, subnets=(Subnet(cidr="10.255.0.0/16"),)
)
HOST = Host("here", "192.0.2.1", 1500)


def number(address: str) -> int:
    return int.from_bytes(socket.inet_aton(address), "big")


def at(network: Network, address: str) -> Attachment:
    return Attachment(network, Endpoint(id=address, number=number(address), addresses=(address,)))


def row(
    address: str, node: str = "there", state: EndpointState = EndpointState.ACTIVE, **more: Any
) -> EndpointRow:
    return EndpointRow(
        endpoint_id=address,
        number=number(address),
        addresses=(address,),
        node_id=node,
        vtep="192.0.2.1" if node == "here" else "192.0.2.2",
        state=state,
        **{"task_id": "far", "service_id": "web", **more},
    )


def facts(
    *sandboxes: Sandbox, tables: tuple[NetworkTable, ...] = (), networks: tuple[Network, ...] = ()
) -> Facts:
    boxes = {each.task_id: each for each in sandboxes}
    return Facts(
        HOST,
        choose([]).with_tasks(boxes.keys()),
        {each.id: each for each in networks},
        {each.network_id: each for each in tables},
        boxes,
    )


WEB = Sandbox("t1", (at(INGRESS, "10.255.0.9"), at(NET, "10.1.0.9"), at(INNER, "10.2.0.9")))


def test_interfaces_come_in_the_order_of_the_spec_then_ingress_then_the_way_out() -> None:
    task = namespace(facts(WEB), "t1")
    assert task.addresses == {
        Address("eth0", "10.1.0.9/24"),
        Address("eth1", "10.2.0.9/24"),
        Address("eth2", "10.255.0.9/16"),
        Address("eth3", "172.31.0.2/16"),
    }
    assert task.routes == {Route("0.0.0.0/0", "172.31.0.1", "eth3")}
    assert [task.links[f"eth{each}"].mtu for each in range(4)] == [1450, 1450, 1450, 1500]
    assert task.links["eth0"].mac == "02:42:0a:01:00:09"
    assert task.links["eth0"].peer == ("net-n1", names.overlay_port("t1", "n1"))


def test_the_namespaces_are_the_tasks_and_a_sandbox_per_overlay() -> None:
    assert wanted(facts(WEB)) == {NODE, "t1", "net-n1", "net-n2"}
    assert wanted(facts(tables=(NetworkTable("n1"),), networks=(NET,))) == {NODE}, "no task, no sandbox"


def test_a_task_on_internal_networks_only_has_no_way_out() -> None:
    inside = facts(Sandbox("t1", (at(INNER, "10.2.0.9"),)))
    assert namespace(inside, "t1").routes == frozenset()
    assert namespace(inside, NODE).links == {}
    alone = facts(Sandbox("t1"))
    assert namespace(alone, "t1").routes == {Route("0.0.0.0/0", "172.31.0.1", "eth0")}


def test_peers_are_the_endpoints_of_other_nodes() -> None:
    table = NetworkTable("n1", endpoints=(row("10.1.0.9", "here"), row("10.1.0.7"), row("10.1.0.8")))
    sandbox = namespace(facts(WEB, tables=(table,)), "net-n1")
    assert sandbox.forwards == {
        ("vx0", "02:42:0a:01:00:07"): "192.0.2.2",
        ("vx0", "02:42:0a:01:00:08"): "192.0.2.2",
    }
    assert sandbox.neighbours == {
        ("vx0", "10.1.0.7"): "02:42:0a:01:00:07",
        ("vx0", "10.1.0.8"): "02:42:0a:01:00:08",
    }
    assert sandbox.statics == {(names.overlay_port("t1", "n1"), "02:42:0a:01:00:09")}


def test_only_active_endpoints_get_new_connections() -> None:
    table = NetworkTable(
        "n1",
        endpoints=(
            row("10.1.0.5"),
            row("10.1.0.6", state=EndpointState.JOINING),
            row("10.1.0.7", state=EndpointState.DRAINING),
            row("10.1.0.8"),
            row("10.1.0.4", service_id="other"),
        ),
        services=(
            ServiceRow(service_id="web", virtual_ips=("10.1.0.100",)),
            ServiceRow(service_id="idle", virtual_ips=("10.1.0.101",)),
            ServiceRow(service_id="other", mode=EndpointMode.DNSRR),
        ),
    )
    vip = namespace(facts(WEB, tables=(table,)), "t1").rules[names.VIP_TABLE]
    assert vip.maps[0].elements == {"10.1.0.100": "vip-10.1.0.100", "10.1.0.101": "vip-10.1.0.101"}
    ((balance,),) = vip.chain("vip-10.1.0.100").rules
    assert isinstance(balance, Balance)
    assert balance.targets == (Target("10.1.0.5"), Target("10.1.0.8"))
    assert vip.chain("vip-10.1.0.101").rules == (
        (OverTcp(), Reset()),
        (Reject(RejectCode.HOST_UNREACHABLE),),
    )


def test_clients_begin_at_different_backends() -> None:
    table = NetworkTable(
        "n1",
        endpoints=tuple(row(f"10.1.0.{each}") for each in range(1, 9)),
        services=(ServiceRow(service_id="web", virtual_ips=("10.1.0.100",)),),
    )
    tasks = [Sandbox(f"t{each}", (at(NET, f"10.1.0.{50 + each}"),)) for each in range(40)]
    known = facts(*tasks, tables=(table,))
    starts = set()
    for task in tasks:
        ((balance,),) = namespace(known, task.task_id).rules[names.VIP_TABLE].chain("vip-10.1.0.100").rules
        assert isinstance(balance, Balance)
        starts.add(balance.start)
    assert starts == set(range(8))


def test_the_mesh_waits_for_the_nodes_own_address() -> None:
    without = namespace(facts(WEB, networks=(INGRESS,)), NODE)
    assert names.INGRESS_BRIDGE in without.links, "tasks can be attached at once"
    assert names.MESH_TABLE not in without.rules
    table = NetworkTable(
        "in",
        endpoints=(row("10.255.0.2", "here", task_id="", service_id=""), row("10.255.0.7")),
        services=(
            ServiceRow(
                service_id="web",
                ports=(
                    PortConfig(target_port=80, published_port=8080),
                    PortConfig(target_port=53, published_port=5353, protocol=Protocol.UDP),
                    PortConfig(target_port=1, published_port=9999, publish_mode=PublishMode.HOST),
                ),
            ),
        ),
    )
    node = namespace(facts(WEB, networks=(INGRESS,), tables=(table,)), NODE)
    assert Address(names.INGRESS_BRIDGE, "10.255.0.2/16") in node.addresses
    assert node.links[names.INGRESS_BRIDGE].mac == "02:42:0a:ff:00:02"
    mesh = node.rules[names.MESH_TABLE]
    assert mesh.maps[0].elements == {"tcp 8080": "tcp-8080", "udp 5353": "udp-5353"}
    assert mesh.chain("tcp-8080").rules == ((Balance((Target("10.255.0.7", 80),)),),)


KEEPING = dataclasses.replace(HOST, keeps_client_address=True)


def meshed(*ports: PortConfig, host: Host = KEEPING, affinity: Affinity = Affinity.NONE) -> Table:
    table = NetworkTable(
        "in",
        endpoints=(
            row("10.255.0.2", host.node_id, task_id="", service_id=""),
            row("10.255.0.7", "far", keeps_client_address=True),
            row("10.255.0.8"),
            row("10.255.0.9", "here", keeps_client_address=True),
        ),
        services=(ServiceRow(service_id="web", ports=ports, affinity=affinity),),
    )
    known = dataclasses.replace(facts(WEB, networks=(INGRESS,), tables=(table,)), host=host)
    return namespace(known, NODE).rules[names.MESH_TABLE]


PORT = PortConfig(target_port=80, published_port=8080)


def test_the_mesh_masquerades_for_nodes_that_cannot_and_ports_that_ask_for_it() -> None:
    local = PortConfig(
        target_port=81, published_port=81, mesh=MeshMode.MASQUERADE, published_address="192.0.2.1"
    )
    table = meshed(PORT, local)
    assert table.chain("masqueraded").rules[2:] == (
        (Translated(), SentTo("tcp", 81, "192.0.2.1"), Masquerade()),
        (Translated(), Dispatch("unkept")),
    )
    assert table.maps[1].elements == {"10.255.0.8": "to-unkept"}
    assert table.chain("to-unkept").rules == ((Masquerade(),),)
    everything = meshed(PORT, host=HOST).chain("masqueraded").rules
    assert everything[2:] == ((FromAddress("10.255.0.0/16", negated=True), Masquerade()),)


def test_a_local_port_knows_only_tasks_of_this_node() -> None:
    chain = meshed(replace(PORT, mesh=MeshMode.LOCAL)).chain("tcp-8080")
    assert chain.rules == ((Balance((Target("10.255.0.9", 80),)),),)


def test_ports_of_one_number_share_a_chain_by_address() -> None:
    two = [replace(PORT, published_address=each) for each in ("127.0.0.1", "192.0.2.1")]
    table = meshed(*two)
    assert [rule[0] for rule in table.chain("tcp-8080").rules] == [
        ToAddress("127.0.0.1/32"),
        ToAddress("192.0.2.1/32"),
    ]
    claimed = forwarded_keys(Netns(rules={table.name: table}))
    assert claimed == {"tcp 8080 127.0.0.1", "tcp 8080 192.0.2.1"}
    assert [port_of(each) for each in sorted(claimed)] == ["127.0.0.1:8080/tcp", "192.0.2.1:8080/tcp"]


def test_clients_are_told_apart_by_their_address_everywhere_alike() -> None:
    starts = set()
    for node in ("here", "there", "elsewhere"):
        table = meshed(PORT, host=dataclasses.replace(KEEPING, node_id=node), affinity=Affinity.CLIENT)
        ((balance,),) = table.chain("tcp-8080").rules
        assert isinstance(balance, Balance)
        assert balance.by_client
        starts.add(balance.start)
    assert starts == {0}


def test_replies_go_back_by_the_ingress_interface() -> None:
    assert names.RETURN_TABLE not in namespace(facts(WEB), "t1").rules, "this kernel cannot"
    task = namespace(dataclasses.replace(facts(WEB), host=KEEPING), "t1")
    assert task.rules[names.EGRESS_TABLE].chains[0].base == Base("filter", Hook.EGRESS, 0, "eth2")
    assert {(route.link, route.table) for route in task.routes} == {("eth3", MAIN), ("eth2", 100)}
    inner = Sandbox("t2", (at(INNER, "10.2.0.9"), at(INGRESS, "10.255.0.9")))
    alone = namespace(dataclasses.replace(facts(inner), host=KEEPING), "t2")
    assert {(route.link, route.table) for route in alone.routes} == {("eth1", MAIN), ("eth1", 100)}


def test_host_ports_lead_to_the_task_on_this_node_alone() -> None:
    port = PortConfig(target_port=80, published_port=8000, publish_mode=PublishMode.HOST)
    node = namespace(facts(Sandbox("t1", (at(NET, "10.1.0.9"),), (port,))), NODE)
    gateway = node.rules[names.GATEWAY_TABLE]
    assert gateway.maps[0].elements == {"tcp 8000": "host-tcp-8000"}
    assert gateway.chain("host-tcp-8000").rules == ((Balance((Target("172.31.0.2", 80),)),),)


def test_names_fit_and_differ() -> None:
    node = whole(facts(*(Sandbox(f"task{each}", (at(NET, f"10.1.0.{each}"),)) for each in range(1, 100))))
    links = [link for holds in node.values() for link in holds.links]
    assert all(len(link.encode()) <= names.LINK_NAME_BYTES_MAX for link in links)
    ours = [link.name for link in node[NODE].links.values() if link.kind is Kind.VETH]
    assert len(set(ours)) == 99
    assert all(names.link_is_ours(NODE, link) for link in ours)
    assert not names.link_is_ours(NODE, "docker0")


def test_what_cannot_be_built_is_refused_with_the_reason() -> None:
    with pytest.raises(FailedPrecondition, match="front has no VNI"):
        check(Sandbox("t", (Attachment(Network(spec=NetworkSpec(name="front")), Endpoint()),)))
    with pytest.raises(FailedPrecondition, match="e1 on network n1 has no address"):
        check(Sandbox("t", (Attachment(NET, Endpoint(id="e1")),)))
    with pytest.raises(FailedPrecondition, match="fd00::1 is in no subnet of network n1"):
        check(Sandbox("t", (Attachment(NET, Endpoint(id="e1", addresses=("fd00::1",))),)))
    with pytest.raises(FailedPrecondition, match=r"10\.9\.9\.9 is in no subnet of network n1"):
        check(Sandbox("t", (at(NET, "10.9.9.9"),)))


def test_a_mac_is_its_number() -> None:
    assert mac(0x0A000203) == "02:42:0a:00:02:03"


def test_an_mtu_that_the_link_below_cannot_carry_is_refused() -> None:
    def on(**options: str) -> Sandbox:
        wide = replace(NET, spec=NetworkSpec(name="wide", options=options))
        return Sandbox("t1", (at(wide, "10.1.0.2"),))

    check_mtu(on(mtu="1450"), HOST)
    check_mtu(on(), HOST)
    with pytest.raises(
        FailedPrecondition, match=r"network wide: its mtu 1451 .* make the network with mtu=1450"
    ):
        check_mtu(on(mtu="1451"), HOST)
    with pytest.raises(FailedPrecondition, match="mtu 9000"):
        check_mtu(on(**{"com.docker.network.driver.mtu": "9000"}), HOST)


def test_a_network_that_overlaps_the_nodes_way_out_is_refused() -> None:
    here = facts()
    inside = str(next(here.gateway.subnet.subnets(new_prefix=24)))
    network = replace(NET, subnets=(Subnet(cidr=inside),))
    check_here(Sandbox("t1", (at(NET, "10.1.0.2"),)), here)
    with pytest.raises(
        FailedPrecondition, match=r"network front: its subnet .* which this node has for its tasks'"
    ):
        check_here(Sandbox("t1", (at(network, "172.31.0.2"),)), here)


def test_a_task_on_no_network_has_loopback_only() -> None:
    wish = whole(facts(Sandbox("t1", closed=True)))["t1"]
    assert set(wish.links) == {"lo"}
    assert not wish.routes
