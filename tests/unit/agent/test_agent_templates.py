"""An agent fills templates in for each task, with the labels its node has."""

from agent.tasks.events import Assigned, Create
from covey import limits
from covey.model.assignments import Assignments, AssignmentSet
from covey.model.objects import ClusterVersion, Node
from covey.model.specs import Mount, NodeSpec
from covey.model.states import MountKind, TaskState
from tests.support.agent_world import World, full, revision, task

TEMPLATES = revision(
    hostname="web-{{.Task.Slot}}",
    env=("ZONE={{.Node.Labels.zone}}",),
    mounts=(Mount(kind=MountKind.VOLUME, source="data-{{.Task.Slot}}", target="/data"),),
)


def node(**labels: str) -> Assignments:
    """A difference: the node has these labels."""
    return Assignments(
        version=ClusterVersion(1, 1),
        changed=AssignmentSet(nodes=(Node(id="n1", spec=NodeSpec(labels=labels)),)),
    )


def created(world: World) -> Create:
    return next(effect for effect in reversed(world.effects) if isinstance(effect, Create))


def test_a_container_gets_what_its_templates_say_of_it_and_its_node() -> None:
    world = World()
    world.step(Assigned(node(zone="a")))
    whole = full(task("t1"), revisions=(TEMPLATES,))
    world.step(Assigned(Assignments(version=ClusterVersion(1, 2), changed=whole.changed)))
    world.settle()
    world.run()
    container = created(world).container
    assert container.hostname == "web-1"
    assert {"ZONE=a", "HOSTNAME=web-1"} <= set(container.env)
    assert container.mounts[0].source == "data-1"
    assert "\tweb-1\n" in container.hosts


def test_what_came_of_a_template_and_cannot_be_had_rejects_the_task() -> None:
    world = World()
    world.step(Assigned(full(task("t1"), revisions=(revision(hostname="{{.Node.Labels.zone}}"),))))
    world.step(Assigned(node(zone="a b")))
    world.settle()
    world.run()
    assert world.state("t1") is TaskState.REJECTED
    err = world.reports[-1].status.err
    assert err.startswith("hostname: '{{.Node.Labels.zone}}' becomes 'a b', which is not a host name")


def test_nothing_is_filled_in_while_the_node_is_not_known() -> None:
    world = World()
    world.step(Assigned(full(task("t1"), revisions=(TEMPLATES,))))
    world.settle()
    world.run()
    assert "did not say what node n1 is" in world.reports[-1].status.err
    world.step(Assigned(node(zone="b")))
    world.tick(limits.task_retry_delay_ms)
    world.run()
    assert world.state("t1") is TaskState.RUNNING
    assert "ZONE=b" in created(world).container.env


def test_the_node_is_known_again_after_a_restart_without_managers() -> None:
    world = World()
    world.step(Assigned(full(task("t1", TaskState.READY), revisions=(TEMPLATES,))))
    world.step(Assigned(node(zone="a")))
    world = world.restart()
    world.settle()
    world.run()
    assert "ZONE=a" in created(world).container.env
