"""Agents are told what templates ask of their node, and of names that templates make."""

from msgspec.structs import replace

from covey.machine import Tick
from covey.model.assignments import Assignments
from covey.model.objects import ClusterVersion, Network, Node, NodeDescription, Revision
from covey.model.specs import NodeSpec, Platform, Resources
from covey.model.states import Availability
from covey.model.tables import NetworkTableDelta
from manager.dispatcher.assignments import assignment_set
from manager.dispatcher.events import Committed, Registered, Send
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.tables import network_table
from manager.store.tables import Tables
from tests.support.cluster_objects import change, two_nodes_one_service


def named(tables: Tables, hostname: str) -> None:
    """Give the service's containers a host name."""
    revision = tables.get(Revision, "r1")
    assert revision is not None
    container = replace(revision.spec.task.container, hostname=hostname)
    change(
        tables,
        replace(revision, spec=replace(revision.spec, task=replace(revision.spec.task, container=container))),
    )


def relabelled(tables: Tables, node_id: str, **labels: str) -> Node:
    node = tables.get(Node, node_id)
    assert node is not None
    return replace(node, spec=replace(node.spec, labels=labels))


def test_a_node_is_told_its_labels_and_what_it_said_of_itself_and_no_more() -> None:
    tables = two_nodes_one_service()
    described = NodeDescription(
        hostname="host1",
        platform=Platform("linux", "amd64"),
        resources=Resources(nano_cpus=1),
        engine_version="1",
    )
    spec = NodeSpec(labels={"zone": "a"}, availability=Availability.PAUSE)
    node = tables.get(Node, "n1")
    assert node is not None
    change(tables, replace(node, spec=spec, description=described))
    (told,) = assignment_set(tables, "n1").nodes
    assert told == Node(
        id="n1",
        spec=NodeSpec(labels={"zone": "a"}),
        description=NodeDescription(hostname="host1", platform=Platform("linux", "amd64")),
    )
    assert assignment_set(tables, "unknown").nodes == ()


def test_names_in_tables_are_those_that_templates_make() -> None:
    tables = two_nodes_one_service()
    network = tables.get(Network, "net")
    assert network is not None
    for hostname, name in (
        ("db", "db"),
        ("{{.Service.Name}}-{{.Task.Slot}}", "web-1"),
        ("", "t1"),
        ("{{.Node.Labels.none}}", ""),  # its agent refuses to run that
    ):
        named(tables, hostname)
        table = network_table(tables, network, ClusterVersion(1, 1))
        assert [row.hostname for row in table.endpoints] == [name]


def test_a_change_of_labels_reaches_the_node_and_the_tables() -> None:
    tables = two_nodes_one_service()
    named(tables, "{{.Node.Labels.zone}}-{{.Task.Slot}}")
    machine = Sessions(tables)
    described = NodeDescription(hostname="host1", data_address="192.0.2.1")
    machine.step(Registered("s", "n1", "192.0.2.9", described, ClusterVersion()))
    machine.step(Committed(change(tables, relabelled(tables, "n1", zone="b"))))
    sent = [effect.message for effect in machine.step(Tick(1_000)) if isinstance(effect, Send)]
    (assignments,) = [message for message in sent if isinstance(message, Assignments)]
    assert [node.spec.labels for node in assignments.changed.nodes] == [{"zone": "b"}]
    assert not assignments.changed.tasks
    (delta,) = [message for message in sent if isinstance(message, NetworkTableDelta)]
    assert [row.hostname for row in delta.endpoints] == ["b-1"]
    # A node that goes down, or is drained, is told nothing by that.
    node = tables.get(Node, "n1")
    assert node is not None
    drained = replace(node, spec=replace(node.spec, availability=Availability.DRAIN))
    machine.step(Committed(change(tables, drained)))
    assert not [effect for effect in machine.step(Tick(2_000)) if isinstance(effect, Send)]
