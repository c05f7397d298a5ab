"""What the allocator gives tasks, services and nodes, seen through the leader."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.model.objects import ClusterVersion, Endpoint, Network, Node, Task
from covey.model.specs import (
    EndpointSpec,
    NetworkAttachmentSpec,
    PortConfig,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import EndpointMode, EndpointState, PublishMode, TaskState
from manager.dispatcher.tables import network_table
from manager.scheduler.demand import demand_of
from manager.store.transaction import Commit, Transaction
from manager.store.view import BY_NODE, BY_SERVICE, BY_TASK
from tests.support.planner_cluster import PlannerCluster


def spec(*networks: str, name: str = "web", replicas: int = 1, published: bool = False) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        mode=ServiceMode(replicas=replicas),
        task=TaskSpec(networks=tuple(NetworkAttachmentSpec(n) for n in networks)),
        endpoint=EndpointSpec(ports=(PortConfig(target_port=80),) if published else ()),
    )


def cluster_with(*networks: str) -> PlannerCluster:
    cluster = PlannerCluster(ingress=True)
    for name in networks:
        cluster.network(name)
    cluster.node("n1")
    cluster.plan()
    return cluster


def endpoints(cluster: PlannerCluster, service_id: str) -> list[Endpoint]:
    return list(cluster.tables.find(Endpoint, BY_SERVICE, service_id))


def test_a_task_has_an_endpoint_on_each_network_and_on_ingress_if_it_publishes() -> None:
    cluster = cluster_with("a", "b")
    service_id = cluster.create(spec("net-b", "net-a", published=True))
    cluster.plan()
    (task,) = cluster.tasks(service_id)
    mine = cluster.tables.find(Endpoint, BY_TASK, task.id)
    assert {e.network_id for e in mine} == {"net-a", "net-b", "net-ingress"}
    assert all(e.node_id == task.node_id == "n1" and e.state is EndpointState.JOINING for e in mine)
    assert {ip.network_id for ip in cluster.service(service_id).virtual_ips} == {"net-a", "net-b"}


def test_an_endpoint_follows_its_task_from_joining_to_gone() -> None:
    cluster = cluster_with("a")
    service_id = cluster.create(spec("net-a"))
    cluster.run(1)
    assert [e.state for e in endpoints(cluster, service_id)] == [EndpointState.ACTIVE]
    cluster.silent = {"n1"}
    cluster.remove(service_id)
    cluster.plan()
    assert [e.state for e in endpoints(cluster, service_id)] == [EndpointState.DRAINING]
    cluster.silent = set()
    cluster.run(1)
    assert endpoints(cluster, service_id) == []


def test_an_endpoint_is_active_in_the_pass_that_sees_its_task_running() -> None:
    cluster = cluster_with("a")
    service_id = cluster.create(spec("net-a"))
    cluster.plan()
    before = cluster.commits
    cluster.report(cluster.tasks(service_id)[0], TaskState.RUNNING)
    cluster.plan()
    assert cluster.commits == before + 1
    assert endpoints(cluster, service_id)[0].state is EndpointState.ACTIVE


def test_who_takes_a_dead_tasks_place_has_another_address_whoever_ran_last() -> None:
    for seed in range(5):  # ids are in another order
        cluster = PlannerCluster(seed)
        cluster.network("a")
        cluster.node("n1")
        service_id = cluster.create(spec("net-a", replicas=3))
        cluster.run(1)
        first = {each.number: each for each in endpoints(cluster, service_id)}
        (dies,) = (each for each in cluster.tasks(service_id) if each.id == first[max(first)].task_id)
        cluster.report(dies, TaskState.FAILED)
        cluster.run(30)
        assert {each.number for each in endpoints(cluster, service_id)} - first.keys() == {max(first) + 1}


def test_every_node_has_one_endpoint_on_ingress_for_as_long_as_it_is_there() -> None:
    cluster = cluster_with()
    cluster.node("n2")
    cluster.plan()
    cluster.new_leader()
    cluster.plan()
    for name in ("n1", "n2"):
        assert len(cluster.tables.find(Endpoint, BY_NODE, name)) == 1
    cluster.write(lambda draft: draft.delete(Node, "n2"))
    cluster.plan()
    assert cluster.tables.find(Endpoint, BY_NODE, "n2") == []


def test_without_virtual_address_in_dnsrr_mode() -> None:
    cluster = cluster_with("a")
    service_id = cluster.create(replace(spec("net-a"), endpoint=EndpointSpec(mode=EndpointMode.DNSRR)))
    cluster.plan()
    assert cluster.service(service_id).virtual_ips == ()


def test_a_service_keeps_its_address_on_a_network_it_leaves_until_its_tasks_have_left() -> None:
    cluster = cluster_with("a", "b")
    service_id = cluster.create(spec("net-a"))
    cluster.run(1)
    vip = cluster.service(service_id).virtual_ips[0]
    cluster.update(
        service_id, lambda s: replace(s, task=replace(s.task, networks=(NetworkAttachmentSpec("net-b"),)))
    )
    cluster.plan()
    assert vip in cluster.service(service_id).virtual_ips
    cluster.run(15)
    assert [ip.network_id for ip in cluster.service(service_id).virtual_ips] == ["net-b"]


def test_a_network_goes_when_its_tasks_have_gone() -> None:
    cluster = cluster_with("a")
    service_id = cluster.create(spec("net-a"))
    cluster.run(1)
    cluster.remove(service_id)
    network = cluster.tables.get(Network, "net-a")
    cluster.write(lambda draft: draft.put(replace(network, pending_delete=True)))
    cluster.plan()
    assert cluster.tables.get(Network, "net-a") is not None
    cluster.run(1)
    assert cluster.tables.get(Network, "net-a") is None


def test_a_task_whose_network_has_no_subnet_says_so_and_goes_on_when_it_has() -> None:
    cluster = cluster_with()
    first = cluster.network("first", "10.5.0.0/24")
    second = cluster.network("second", "10.5.0.0/16")
    service_id = cluster.create(spec(second))
    cluster.plan()
    (task,) = cluster.tasks(service_id)
    assert "10.5.0.0/16 overlaps 10.5.0.0/24 of network first" in task.status.err
    cluster.write(lambda draft: draft.delete(Network, first))
    cluster.run(1)
    assert len(cluster.running(service_id)) == 1
    assert cluster.tables.get(Network, second).allocation_error == ""


def test_a_removed_services_port_is_free_while_its_tasks_still_stop() -> None:
    cluster = cluster_with()
    port = EndpointSpec(ports=(PortConfig(target_port=80, published_port=8080),))
    old = cluster.create(replace(spec(), endpoint=port))
    cluster.run(1)
    cluster.silent = {"n1"}
    cluster.remove(old)
    new = cluster.create(replace(spec(name="web2"), endpoint=port))
    cluster.plan()
    assert cluster.service(new).allocation_error == ""
    assert [p.published_port for p in cluster.service(new).ports] == [8080]
    assert cluster.service(old).pending_delete, "its task has yet to end"
    ingress = next(network for network in cluster.tables.all(Network) if network.spec.ingress)
    table = network_table(cluster.tables, ingress, ClusterVersion())
    assert [row.service_id for row in table.services] == [new]


def test_very_many_tasks_that_waited_for_one_port_are_freed_in_bounded_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "planner_pass_objects_max", 50)
    cluster = cluster_with()
    cluster.narrow = True
    port = EndpointSpec(ports=(PortConfig(target_port=80, published_port=8080),))
    first = cluster.create(replace(spec(), endpoint=port))
    cluster.run(1)
    second = cluster.create(replace(spec(name="web2", replicas=200), endpoint=port))
    cluster.plan()
    assert "8080/tcp is taken by service web" in cluster.service(second).allocation_error
    sizes: list[int] = []
    commit = cluster.tables.commit

    def counted(transaction: Transaction, at_ns: int = 0) -> Commit:
        planned = [t for t in transaction.put if isinstance(t, Task) and t.status.state <= TaskState.ASSIGNED]
        sizes.append(len(planned))
        return commit(transaction, at_ns)

    monkeypatch.setattr(cluster.tables, "commit", counted)
    cluster.remove(first)
    cluster.run(2)
    assert len(cluster.running(second)) == 200
    assert max(sizes) <= limits.planner_pass_objects_max


class Watched(PlannerCluster):
    """Looks after every commit whether somebody who is to stop would still be sent connections."""

    def check(self, *, at_rest: bool) -> None:
        for task in self.tables.all(Task):
            if not task.desired_state.wants_up and not task.status.state.terminal:
                on = self.tables.find(Endpoint, BY_TASK, task.id)
                assert all(each.state is EndpointState.DRAINING for each in on)


def test_who_is_to_stop_gets_no_traffic_from_that_very_commit_on_however_small_a_pass_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "planner_pass_objects_max", 3)
    cluster = Watched(ingress=True)
    cluster.network("a")
    cluster.node("n1")
    ids = [cluster.create(spec("net-a", name=f"web{n}", replicas=5)) for n in range(3)]
    cluster.run(1)
    cluster.silent = {"n1"}
    for task in cluster.tasks(ids[0]):
        cluster.report(task, TaskState.FAILED)
    for id in ids[1:]:
        cluster.scale(id, 1)
    cluster.plan()
    assert sum(not task.desired_state.wants_up for id in ids[1:] for task in cluster.tasks(id)) == 8


def test_a_given_host_port_is_known_until_the_last_task_that_has_it_has_ended() -> None:
    cluster = cluster_with()
    port = PortConfig(target_port=80, publish_mode=PublishMode.HOST)
    service_id = cluster.create(replace(spec(), endpoint=EndpointSpec(ports=(port,))))
    cluster.run(1)
    (given,) = cluster.service(service_id).ports
    assert given.published_port
    old = cluster.revision(service_id)
    cluster.silent = {"n1"}
    cluster.update(service_id, lambda had: replace(had, endpoint=EndpointSpec()))
    cluster.plan()
    cluster.new_leader()
    cluster.plan()
    assert demand_of(old, cluster.service(service_id)).ports == ((given.protocol, given.published_port, ""),)
    cluster.silent = set()
    cluster.run(20)
    assert cluster.service(service_id).ports == ()


def test_a_given_host_port_does_not_stand_in_the_way_of_one_with_a_number() -> None:
    cluster = cluster_with()
    port = PortConfig(target_port=80, publish_mode=PublishMode.HOST)
    service_id = cluster.create(replace(spec(), endpoint=EndpointSpec(ports=(port,))))
    cluster.run(1)
    (given,) = cluster.service(service_id).ports
    old = cluster.revision(service_id)
    cluster.silent = {"n1"}
    chosen = replace(port, published_port=8080)
    cluster.update(service_id, lambda had: replace(had, endpoint=EndpointSpec(ports=(chosen,))))
    cluster.plan()
    assert cluster.service(service_id).ports == (given, chosen)
    assert demand_of(old, cluster.service(service_id)).ports == ((given.protocol, given.published_port, ""),)
    cluster.silent = set()
    cluster.run(20)
    assert cluster.service(service_id).ports == (chosen,)


def test_a_node_gets_its_place_on_the_ingress_network_once_there_is_room() -> None:
    cluster = PlannerCluster()
    cluster.network("ingress", "10.1.0.0/29", ingress=True)
    cluster.node("n1")
    cluster.plan()
    service_id = cluster.create(spec(replicas=8, published=True))
    cluster.run(1)
    cluster.node("n2")
    cluster.run(1)
    assert not [each for each in cluster.tables.find(Endpoint, BY_NODE, "n2") if not each.task_id]
    cluster.remove(service_id)
    cluster.run(10)
    assert [each.network_id for each in cluster.tables.find(Endpoint, BY_NODE, "n2")] == ["net-ingress"]
