"""What is true of a network: nodes by what they follow, services by where their connections go."""

from functools import partial

from msgspec.structs import replace

from covey.model.objects import ClusterVersion, Meta, Network, Node
from covey.model.specs import ContainerSpec, NetworkAttachmentSpec, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import EndpointState
from manager.control.networks.truth import truth
from manager.dispatcher.followed import Followed, followed
from manager.dispatcher.sessions import Sessions
from manager.store.draft import Draft
from tests.support.planner_cluster import PlannerCluster


def _meta(cluster: PlannerCluster, node_id: str) -> Meta:
    node = cluster.tables.get(Node, node_id)
    assert node is not None
    return node.meta


def _put(node: Node, draft: Draft) -> None:
    draft.put(node)


def two_tasks_on_two_nodes() -> PlannerCluster:
    cluster = PlannerCluster()
    back = cluster.network("back")
    for number, name in enumerate(("n1", "n2"), 1):
        node = cluster.node(name)
        described = replace(node.description, data_address=f"192.0.2.{number}")
        described_node = replace(node, description=described, meta=_meta(cluster, name))
        cluster.write(partial(_put, described_node))
    spec = ServiceSpec(
        name="web",
        task=TaskSpec(ContainerSpec(image="i"), networks=(NetworkAttachmentSpec(back, ("shop",)),)),
        mode=ServiceMode(replicas=2),
    )
    cluster.create(spec)
    cluster.run(2)
    return cluster


def test_nodes_are_told_by_what_they_follow() -> None:
    cluster = two_tasks_on_two_nodes()
    network = cluster.tables.get(Network, "net-back")
    assert network is not None
    heard = Followed(ClusterVersion(1, 30), {"n1": ClusterVersion(1, 28)}, frozenset({"n1"}))
    told = truth(cluster.tables, network, heard)
    assert [(n.node_name, n.connected, n.applied.index, n.behind_entries) for n in told.nodes] == [
        ("n1", True, 28, 2),
        ("n2", False, 0, -1),
    ]
    assert all(len(node.endpoints) == 1 for node in told.nodes)
    (web,) = told.services
    assert (web.name, web.aliases, len(web.virtual_ips)) == ("web", ("shop",), 1)
    assert [(b.task_name[:6], b.state) for b in web.backends] == [
        ("web.1.", EndpointState.ACTIVE),
        ("web.2.", EndpointState.ACTIVE),
    ]
    assert {backend.node_name for backend in web.backends} == {"n1", "n2"}
    assert told.removal == ""


def test_an_older_epoch_says_nothing_of_how_far_behind() -> None:
    cluster = two_tasks_on_two_nodes()
    network = cluster.tables.get(Network, "net-back")
    assert network is not None
    heard = Followed(ClusterVersion(2, 3), {"n1": ClusterVersion(1, 28)})
    assert {node.behind_entries for node in truth(cluster.tables, network, heard).nodes} == {-1}


def test_a_dispatcher_that_told_nobody_knows_no_version() -> None:
    cluster = two_tasks_on_two_nodes()
    assert followed(Sessions(cluster.tables), "net-back") == Followed()


def test_a_network_that_is_being_removed_says_what_it_waits_for() -> None:
    cluster = two_tasks_on_two_nodes()
    draft = Draft(cluster.tables)
    network = draft.get(Network, "net-back")
    assert network is not None
    leaving = replace(network, pending_delete=True)
    assert truth(cluster.tables, leaving, Followed()).removal == "waits for 2 tasks to end"
