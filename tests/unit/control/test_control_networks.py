"""Networks as people ask for them: what is refused, what is stored, and what removing one waits for."""

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from covey.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from covey.model.objects import (
    ClusterVersion,
    Endpoint,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
    Object,
    Revision,
    Service,
    Subnet,
    Task,
)
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    IpamConfig,
    NetworkAttachmentSpec,
    NetworkSpec,
    PortConfig,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import EndpointMode, NodeState, PublishMode, TaskState
from manager.allocator.addresses import Addresses
from manager.control.lookup import find_network
from manager.control.networks import create_network, end_removal, remove_network
from manager.control.networks.validate import check_network
from manager.control.services import create_service
from manager.dispatcher.tables import network_table
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.view import BY_SERVICE, BY_TASK
from tests.support.planner_cluster import PlannerCluster


def aux(**reserved: str) -> NetworkSpec:
    return NetworkSpec(name="n", ipam=(IpamConfig(subnet="10.0.0.0/24", reserved=reserved),))


def v6(subnet: str, *, alone: bool = False, **config: Any) -> NetworkSpec:
    ipam = IpamConfig(subnet=subnet, **config)
    return NetworkSpec(name="n", ipv4=not alone, ipv6=True, ipam=(ipam,))


def macvlan(**spec: Any) -> NetworkSpec:
    return NetworkSpec(**{"name": "n", "driver": "macvlan", "options": {"parent": "eth1"}, **spec})


UNSOUND_NETWORKS = {
    "driver: 'bridge' is a network every node has": NetworkSpec(name="n", driver="bridge"),
    "driver: 'ipvlan' is not supported; use overlay or macvlan": NetworkSpec(name="n", driver="ipvlan"),
    "opt parent: '' is needed: the nodes' interface": NetworkSpec(name="n", driver="macvlan"),
    "driver: 'macvlan' cannot be that of the ingress": macvlan(ingress=True),
    "ipv4: 'n' cannot be without on a macvlan network": macvlan(ipv4=False, ipv6=True),
    "opt parent: 'eth/1' is not the name of an interface": macvlan(options={"parent": "eth/1"}),
    "opt mode: 'passthru' is not a way in which tasks could share an interface; there are bridge, private": (
        macvlan(options={"parent": "eth1", "mode": "passthru"})
    ),
    "opt: 'vni' is not an option of macvlan networks; there are mtu, parent, mode": (
        macvlan(options={"parent": "eth1", "vni": "5000"})
    ),
    "opt: 'mode and macvlan_mode' are the same": (
        macvlan(options={"parent": "eth1", "mode": "vepa", "macvlan_mode": "vepa"})
    ),
    "opt: 'parent' is not an option of overlay networks": NetworkSpec(name="n", options={"parent": "eth1"}),
    "name: 'Host' is that of a network": NetworkSpec(name="Host"),
    "ipv4: 'n' cannot be without unless there is IPv6": NetworkSpec(name="n", ipv4=False),
    "ipv4: 'n' cannot be without on the ingress network": NetworkSpec(
        name="n", ingress=True, ipv4=False, ipv6=True
    ),
    "internal: 'n' contradicts ingress": NetworkSpec(name="n", ingress=True, internal=True),
    "attachable: 'n' contradicts ingress": NetworkSpec(name="n", ingress=True, attachable=True),
    "subnet: 2 are too many for the ingress": NetworkSpec(name="n", ingress=True, ipam=(IpamConfig(),) * 2),
    "did you mean 10.0.0.0/24?": NetworkSpec(name="n", ipam=(IpamConfig(subnet="10.0.0.1/24"),)),
    "subnet: 'fd00::/64' is of IPv6, which the network has not; give ipv6 as well": NetworkSpec(
        name="n", ipam=(IpamConfig(subnet="fd00::/64"),)
    ),
    "subnet: '10.1.0.0/24' is of IPv4, which the network is not to have": NetworkSpec(
        name="n", ipv4=False, ipv6=True, ipam=(IpamConfig(subnet="10.1.0.0/24"),)
    ),
    "subnet: 'fd00::/97' is too small; a network needs /96 or larger: addresses end with the 32 bits": v6(
        "fd00::/97"
    ),
    "subnet: 'fd00::/16' is too large; use /32 or smaller": v6("fd00::/16"),
    "subnet: 'fe80::/64' is kept for other purposes; use one of fd00::/8": v6("fe80::/64"),
    "subnet: '64:ff9b::/96' is kept for other purposes": v6("64:ff9b::/96"),
    "subnet: 2 are too many of IPv6": NetworkSpec(
        name="n", ipv6=True, ipam=(IpamConfig(subnet="fd00:1::/64"), IpamConfig(subnet="fd00:2::/64"))
    ),
    "did you mean fd00:1::/64?": v6("fd00:1::1/64"),
    "gateway: 'fd00:2::1' is not an address in fd00:1::/64": v6("fd00:1::/64", gateway="fd00:2::1"),
    "aux-address: 'fd00:1::1' is kept twice, or the gateway's": v6(
        "fd00:1::/64", reserved={"a": "fd00:1:0:0::1"}
    ),
    "ip-range: 'fd00:1::/112' cannot be had beside IPv4": v6("fd00:1::/64", ip_range="fd00:1::/112"),
    "ip-range: 'fd00:1:0:0:1::/112' is not inside fd00:1::/96, of which addresses are given": v6(
        "fd00:1::/64", alone=True, ip_range="fd00:1:0:0:1::/112"
    ),
    "subnet: 'fd00:1::/127' has no address left for anybody": v6(
        "fd00:1::/64", alone=True, ip_range="fd00:1::/127"
    ),
    "subnet: '10.0.0.0/31' is too small": NetworkSpec(name="n", ipam=(IpamConfig(subnet="10.0.0.0/31"),)),
    "gateway: '10.1.0.1' is not an address in 10.0.0.0/24": NetworkSpec(
        name="n", ipam=(IpamConfig(subnet="10.0.0.0/24", gateway="10.1.0.1"),)
    ),
    "ip-range: '10.1.0.0/28' is not inside 10.0.0.0/24": NetworkSpec(
        name="n", ipam=(IpamConfig(subnet="10.0.0.0/24", ip_range="10.1.0.0/28"),)
    ),
    "gateway: '10.0.0.0' is the first or last": NetworkSpec(
        name="n", ipam=(IpamConfig(subnet="10.0.0.0/24", gateway="10.0.0.0"),)
    ),
    "subnet: '8.0.0.0/6' is too large": NetworkSpec(name="n", ipam=(IpamConfig(subnet="8.0.0.0/6"),)),
    "subnet: '127.0.0.0/24' is kept for other purposes": NetworkSpec(
        name="n", ipam=(IpamConfig(subnet="127.0.0.0/24"),)
    ),
    "subnet: '10.0.0.0/25' overlaps 10.0.0.0/24": NetworkSpec(
        name="n", ipam=(IpamConfig(subnet="10.0.0.0/24"), IpamConfig(subnet="10.0.0.0/25"))
    ),
    "subnet: 17 are more than the 16 allowed": NetworkSpec(name="n", ipam=(IpamConfig(),) * 17),
    "opt mtu: '²' is not a size": NetworkSpec(name="n", options={"mtu": "²"}),
    "subnet: '' is needed": NetworkSpec(name="n", ipam=(IpamConfig(gateway="10.1.0.1"),)),
    "opt mtu: '12' is not a size of packets": NetworkSpec(name="n", options={"mtu": "12"}),
    "opt mtu: '1279' is too small for IPv6, which takes 1280": NetworkSpec(
        name="n", ipv6=True, options={"mtu": "1279"}
    ),
    "opt encrypted: 'perhaps' is neither true nor false": NetworkSpec(
        name="n", options={"encrypted": "perhaps"}
    ),
    "opt: 'colour' is not an option of overlay networks; there are mtu, vni": NetworkSpec(
        name="n", options={"colour": "red"}
    ),
    "opt mtu: '65500' is not a size of packets; use 576 to 65485": NetworkSpec(
        name="n", options={"mtu": "65500"}
    ),
    "opt vni: '17' is not a number for a network; use one from 4096 to 16777215": NetworkSpec(
        name="n", options={"vni": "17"}
    ),
    "opt com.docker.network.driver.overlay.vxlanid_list: '5000,5001'": NetworkSpec(
        name="n", options={"com.docker.network.driver.overlay.vxlanid_list": "5000,5001"}
    ),
    "are the same; give one of them": NetworkSpec(
        name="n", options={"mtu": "1400", "com.docker.network.driver.mtu": "1400"}
    ),
    "aux-address: '10.1.0.9' is not an address in 10.0.0.0/24": aux(router="10.1.0.9"),
    "aux-address: '10.0.0.255' is the first or last": aux(router="10.0.0.255"),
    "aux-address: '10.0.0.1' is kept twice, or the gateway's": aux(router="10.0.0.1"),
    "aux-address: '10.0.0.7' is kept twice": aux(one="10.0.0.7", other="10.0.0.7"),
    "aux-address: 'a b' is not a name": aux(**{"a b": "10.0.0.7"}),
    "subnet: '10.0.0.4/32' has no address left": NetworkSpec(
        name="n",
        ipam=(IpamConfig(subnet="10.0.0.0/24", ip_range="10.0.0.4/32", reserved={"router": "10.0.0.4"}),),
    ),
}


@pytest.mark.parametrize("sentence", UNSOUND_NETWORKS)
def test_an_unsound_network_is_refused_with_a_sentence(sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_network(UNSOUND_NETWORKS[sentence])
    assert sentence in str(refusal.value)


def test_a_sound_network_passes() -> None:
    ipam = IpamConfig(subnet="10.9.0.0/24", gateway="10.9.0.1", ip_range="10.9.0.128/25")
    check_network(NetworkSpec(name="n", ipam=(ipam,), options={"mtu": "1400"}))
    check_network(NetworkSpec(name="n", ipam=(ipam, IpamConfig("fd00:9::/64", "", "fd00:9::9")), ipv6=True))
    check_network(v6("fd00:9::/64", alone=True, ip_range="fd00:9::1:0/112"))
    check_network(NetworkSpec(name="n", ingress=True, ipv6=True))


def stored(*objects: Object) -> Tables:
    tables, draft = Tables(), Draft(Tables())
    for item in objects:
        draft.put(item)
    tables.commit(draft.transaction())
    return tables


def created(tables: Tables, spec: NetworkSpec) -> Network:
    draft = Draft(tables)
    network = create_network(draft, spec, Random(spec.name))
    tables.commit(draft.transaction())
    return network


def removed(tables: Tables, network_id: str) -> None:
    for step in (remove_network, end_removal):
        draft = Draft(tables)
        step(draft, network_id)
        if draft.transaction():
            tables.commit(draft.transaction())


def net(name: str, subnet: str = "", vni: int = 4096, *, ingress: bool = False) -> Network:
    subnets = (Subnet(cidr=subnet),) if subnet else ()
    return Network(id=name, spec=NetworkSpec(name=name, ingress=ingress), vni=vni, subnets=subnets)


def test_a_number_that_another_network_has_is_refused() -> None:
    tables = stored(net("old", vni=5000))
    with pytest.raises(FailedPrecondition, match="opt vni: 5000 is that of network old; choose another one"):
        created(tables, NetworkSpec(name="new", options={"vni": "5000"}))
    created(tables, NetworkSpec(name="new", options={"vni": "5001"}))


def test_a_subnet_with_nodes_in_it_is_refused() -> None:
    node = Node(id="n1", description=NodeDescription(hostname="host1", data_address="192.168.7.5"))
    with pytest.raises(
        FailedPrecondition, match=r"192\.168\.0\.0/16 holds the address 192\.168\.7\.5 of node host1"
    ):
        created(stored(node), NetworkSpec(name="new", ipam=(IpamConfig(subnet="192.168.0.0/16"),)))


def test_subnets_of_either_family_are_nobody_elses_and_hold_no_node() -> None:
    node = Node(id="n1", description=NodeDescription(hostname="host1", data_address="fd00:7::5"))
    tables = stored(node)
    with pytest.raises(FailedPrecondition, match=r"fd00:7::/64 holds the address fd00:7::5 of node host1"):
        created(tables, v6("fd00:7::/64"))
    tables = stored(node, replace(net("old"), subnets=(Subnet("10.0.0.0/24"), Subnet("fd00:1::/48"))))
    with pytest.raises(FailedPrecondition, match=r"fd00:1:0:5::/64 overlaps fd00:1::/48 of network old"):
        created(tables, v6("fd00:1:0:5::/64"))


def test_a_network_for_which_no_subnet_is_left_is_refused_at_once() -> None:
    tables = stored(net("wide", "10.0.0.0/8"))
    with pytest.raises(FailedPrecondition, match="no free /24 is left in the address pools"):
        created(tables, NetworkSpec(name="new"))


def test_nobody_gets_a_reserved_address() -> None:
    subnet = Subnet("10.0.0.0/29", "10.0.0.1", "", {"router": "10.0.0.3", "printer": "10.0.0.5"})
    addresses = Addresses()
    addresses.observe_network("n", replace(net("n"), subnets=(subnet,)))
    given_out = []
    while (number := addresses.take("n")) is not None:
        addresses.observe_endpoint(str(number), Endpoint(id=str(number), network_id="n", number=number))
        given_out.append(number & 7)
    assert given_out == [2, 4, 6]


def test_a_network_goes_at_once_if_nothing_is_on_it() -> None:
    tables = stored(net("n"), Endpoint(id="own", network_id="n", node_id="n1", number=7))
    removed(tables, "n")
    assert not list(tables.all(Network))
    assert not list(tables.all(Endpoint))


def test_the_name_of_a_network_that_is_being_removed_is_not_given_again() -> None:
    tables = stored(net("net"), Endpoint(id="e", network_id="net", task_id="t", number=7))
    removed(tables, "net")
    assert find_network(tables, "net").pending_delete
    removed(tables, "net")  # twice is once
    with pytest.raises(AlreadyExists, match="'net' is being removed, and waits for 1 task to end"):
        created(tables, NetworkSpec(name="Net"))


def publishing() -> tuple[Service, Revision]:
    spec = ServiceSpec(name="web", endpoint=EndpointSpec(ports=(PortConfig(target_port=80),)))
    return Service(id="web", name="web", revision_id="r"), Revision(id="r", service_id="web", spec=spec)


def test_the_ingress_network_is_replaced_once_nobody_publishes_by_it() -> None:
    tables = stored(net("ingress", "10.255.0.0/16", ingress=True), *publishing())
    with pytest.raises(FailedPrecondition, match=r"network ingress: services publish ports by it \(web\)"):
        removed(tables, "ingress")
    tables = stored(net("ingress", "10.255.0.0/16", ingress=True))
    with pytest.raises(FailedPrecondition, match="ingress network 'ingress' is there; there can be one only"):
        created(tables, NetworkSpec(name="other", ingress=True))
    removed(tables, "ingress")
    ipam = (IpamConfig(subnet="10.11.0.0/16"),)
    created(tables, NetworkSpec(name="other", ingress=True, ipam=ipam, options={"mtu": "1400"}))


def joining(*targets: str, **endpoint: object) -> ServiceSpec:
    networks = tuple(NetworkAttachmentSpec(target) for target in targets)
    spec = ServiceSpec(name="web", task=TaskSpec(container=ContainerSpec(image="web:1"), networks=networks))
    return replace(spec, endpoint=EndpointSpec(**endpoint))  # type: ignore[arg-type]


PORT = (PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST),)
SYSCTL = ContainerSpec(image="web:1", sysctls={"net.core.somaxconn": "1"})


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (joining("host", "net"), "network: 'host' goes with no other network; leave it out, or the others"),
        (joining("net", "bridge"), "network: 'bridge' is where tasks are that name no network"),
        (
            joining("HOST", ports=PORT),
            "publish: 8080 cannot be published with network host: the task's ports",
        ),
        (joining("none", ports=PORT), "publish: 8080 cannot be published with network none: nothing reaches"),
        (
            replace(joining(), task=TaskSpec(networks=(NetworkAttachmentSpec("host", ("db",)),))),
            "network alias: 'db' is nobody's name on host",
        ),
        (
            replace(joining(), task=TaskSpec(SYSCTL, networks=(NetworkAttachmentSpec("host"),))),
            "sysctl: 'net.core.somaxconn' is the node's with network host",
        ),
    ],
)
def test_what_contradicts_a_network_that_every_node_has_is_refused(spec: ServiceSpec, says: str) -> None:
    tables = stored(net("net"), Node(id="n1", status=NodeStatus(state=NodeState.READY)))
    with pytest.raises(InvalidArgument, match=says):
        create_service(Draft(tables), spec, Random(1))


@pytest.mark.parametrize("name", ["host", "none", "bridge"])
def test_tasks_on_a_network_that_every_node_has_need_no_address(name: str) -> None:
    cluster = PlannerCluster()
    cluster.node("n1")
    service_id = cluster.create(joining(name))
    cluster.run(2)
    (task,) = cluster.tables.find(Task, BY_SERVICE, service_id)
    assert task.status.state is TaskState.RUNNING
    assert not list(cluster.tables.find(Endpoint, BY_TASK, task.id))
    assert not cluster.service(service_id).virtual_ips


def test_a_second_ingress_network_waits_until_the_first_is_gone() -> None:
    tables = stored(net("ingress", ingress=True), Endpoint(id="e", network_id="ingress", task_id="t"))
    removed(tables, "ingress")
    with pytest.raises(FailedPrecondition, match="'ingress' is being removed, and waits for 1 task to end"):
        created(tables, NetworkSpec(name="other", ingress=True))


LAN = IpamConfig(subnet="192.168.7.0/24", ip_range="192.168.7.128/25")


def test_a_macvlan_network_lies_where_nodes_are_but_gives_none_of_their_addresses() -> None:
    node = Node(id="n1", description=NodeDescription(hostname="host1", data_address="192.168.7.5"))
    network = created(stored(node), macvlan(ipam=(LAN,)))
    assert network.spec.options == {"parent": "eth1"}
    created(stored(node), macvlan(ipam=(replace(LAN, ip_range="", reserved={"host1": "192.168.7.5"}),)))
    with pytest.raises(
        FailedPrecondition, match="of node host1; keep it out of what tasks get, by ip-range or"
    ):
        created(stored(node), macvlan(ipam=(replace(LAN, ip_range=""),)))


def test_tasks_on_a_macvlan_network_have_addresses_there_and_no_virtual_one() -> None:
    cluster = PlannerCluster()
    cluster.network("lan", LAN.subnet, ip_range=LAN.ip_range, driver="macvlan", options={"parent": "eth1"})
    cluster.network("back")
    cluster.node("n1")
    service_id = cluster.create(joining("net-lan", "net-back"))
    cluster.run(2)
    assert [each.network_id for each in cluster.service(service_id).virtual_ips] == ["net-back"]
    (task,) = cluster.tables.find(Task, BY_SERVICE, service_id)
    (own,) = [e for e in cluster.tables.find(Endpoint, BY_TASK, task.id) if e.network_id == "net-lan"]
    assert own.addresses == ("192.168.7.128",)
    lan = cluster.tables.get(Network, "net-lan")
    assert lan is not None
    assert (lan.vni, [each.cidr for each in lan.subnets]) == (0, ["192.168.7.0/24"])
    (row,) = network_table(cluster.tables, lan, ClusterVersion(1, 1)).services
    assert (row.mode, row.virtual_ips) == (EndpointMode.DNSRR, ())


def test_a_node_that_joins_later_keeps_its_address_on_the_lan() -> None:
    cluster = PlannerCluster()
    cluster.network(
        "lan", LAN.subnet, ip_range="192.168.7.8/29", driver="macvlan", options={"parent": "eth1"}
    )
    for number in (8, 9, 11):
        cluster.node(f"n{number}")
        cluster.describe(f"n{number}", data_address=f"192.168.7.{number}")
    service_id = cluster.create(replace(joining("net-lan"), mode=ServiceMode(replicas=6)))
    cluster.run(2)
    given = {e.addresses[0] for e in cluster.tables.all(Endpoint)}
    assert given == {f"192.168.7.{number}" for number in (10, 12, 13, 14, 15)}
    (waiting,) = [t for t in cluster.tasks(service_id) if t.status.state is TaskState.PENDING]
    assert "every address of 192.168.7.8/29 is taken" in waiting.status.err


def test_ports_are_not_published_in_host_mode_beside_a_macvlan_network() -> None:
    node = Node(id="n1", status=NodeStatus(state=NodeState.READY))
    tables = stored(Network(id="lan", spec=macvlan(name="lan")), node)
    with pytest.raises(
        InvalidArgument, match="publish: 8080 cannot be published in host mode with network lan"
    ):
        create_service(Draft(tables), joining("lan", ports=PORT), Random(1))


def test_who_publishes_a_port_does_so_by_the_ingress_network_that_was_read() -> None:
    tables = stored(
        net("ingress", ingress=True), net("net"), Node(id="n1", status=NodeStatus(state=NodeState.READY))
    )
    for spec, needed in (
        (joining("net", ports=(PortConfig(target_port=80),)), {"net", "ingress"}),
        (joining("net", ports=PORT), {"net"}),
    ):
        draft = Draft(tables)
        create_service(draft, spec, Random(1))
        assert {each.id for each in draft.transaction().expect if each.kind is Network} == needed
