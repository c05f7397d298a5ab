"""Networks with IPv6, alone and beside IPv4, seen through the leader; invariants are checked after every commit."""

from ipaddress import IPv6Address, IPv6Network

from covey.model.addressing import number_of
from covey.model.objects import ClusterVersion, Endpoint, Network
from covey.model.specs import EndpointSpec as Reached
from covey.model.specs import NetworkAttachmentSpec, PortConfig, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import TaskState
from manager.dispatcher.tables import network_table
from manager.store.view import BY_NODE, BY_SERVICE
from tests.support.planner_cluster import PlannerCluster


def spec(*networks: str, replicas: int = 1, published: bool = False) -> ServiceSpec:
    return ServiceSpec(
        name="web",
        mode=ServiceMode(replicas=replicas),
        task=TaskSpec(networks=tuple(NetworkAttachmentSpec(n) for n in networks)),
        endpoint=Reached(ports=(PortConfig(target_port=80),) if published else ()),
    )


def cluster_with(**networks: dict[str, object]) -> PlannerCluster:
    cluster = PlannerCluster()
    for name, flags in networks.items():
        cluster.network(name, **flags)
    cluster.node("n1")
    cluster.plan()
    return cluster


BOTH: dict[str, object] = {"ipv6": True}
ALONE: dict[str, object] = {"ipv6": True, "ipv4": False}


def families(addresses: tuple[str, ...]) -> list[int]:
    return [6 if ":" in address else 4 for address in addresses]


def test_everybody_has_an_address_of_each_family_and_tables_say_so() -> None:
    cluster = cluster_with(a=BOTH, b=ALONE, c={})
    service_id = cluster.create(spec("net-a", "net-b", "net-c", replicas=3))
    cluster.run(2)
    assert len(cluster.running(service_id)) == 3
    expected = {"net-a": [4, 6], "net-b": [6], "net-c": [4]}
    for endpoint in cluster.tables.find(Endpoint, BY_SERVICE, service_id):
        assert families(endpoint.addresses) == expected[endpoint.network_id]
        assert {number_of(each) for each in endpoint.addresses} == {endpoint.number}
    for network in cluster.tables.all(Network):
        table = network_table(cluster.tables, network, ClusterVersion(1, 1))
        (row,) = table.services
        assert families(row.virtual_ips) == expected[network.id]
        mine = (
            next(each for each in network.subnets if ":" in each.cidr) if 6 in expected[network.id] else None
        )
        assert mine is None or IPv6Address(row.virtual_ips[-1]) in IPv6Network(mine.cidr)


def test_a_virtual_address_stays_while_tasks_are_on_its_network_and_goes_in_both_families() -> None:
    cluster = cluster_with(a=BOTH, b=BOTH)
    service_id = cluster.create(spec("net-a"))
    cluster.run(2)
    before = cluster.service(service_id).virtual_ips
    assert len(before) == 2
    cluster.update(service_id, lambda _: spec("net-b"))
    cluster.run(30)
    after = cluster.service(service_id).virtual_ips
    assert [each.network_id for each in after] == ["net-b", "net-b"]
    cluster.update(service_id, lambda _: spec("net-b", "net-a"))
    cluster.run(30)
    assert cluster.service(service_id).virtual_ips[:2] == after
    assert len(cluster.service(service_id).virtual_ips) == 4


def test_an_ipv6_network_that_is_full_says_so_by_its_own_subnet() -> None:
    cluster = cluster_with()
    cluster.network("tiny", "fd00:1::/64", ip_range="fd00:1::/126", **ALONE)
    service_id = cluster.create(spec("net-tiny", replicas=2))
    cluster.run(2)
    (waiting,) = [t for t in cluster.tasks(service_id) if t.status.state is TaskState.PENDING]
    assert "every address of fd00:1::/126 is taken" in waiting.status.err


def test_an_ingress_network_of_both_families_gives_nodes_and_tasks_both() -> None:
    cluster = PlannerCluster()
    cluster.network("ingress", ingress=True, ipv6=True)
    cluster.node("n1")
    service_id = cluster.create(spec(published=True))
    cluster.run(2)
    (own,) = [e for e in cluster.tables.find(Endpoint, BY_NODE, "n1") if not e.task_id]
    (task,) = cluster.tables.find(Endpoint, BY_SERVICE, service_id)
    assert families(own.addresses) == families(task.addresses) == [4, 6]
    (network,) = cluster.tables.all(Network)
    assert [each.cidr.partition("/")[2] for each in network.subnets] == ["16", "64"]
