"""How long connections may go on is what the service says now, also for tasks that it made before."""

from msgspec.structs import replace

from covey.machine import Tick
from covey.model.assignments import Assignments
from covey.model.objects import ClusterVersion, Meta, NodeDescription, Revision, Service, Task
from covey.model.states import TaskState
from manager.dispatcher.assignments import assignment_set
from manager.dispatcher.events import Committed, Registered, Send
from manager.dispatcher.sessions import Sessions
from manager.store.tables import Tables
from tests.support.cluster_objects import change, two_nodes_one_service

SECOND_NS = 1_000_000_000


def drains_for(tables: Tables, drain_ns: int) -> None:
    """Have the service say so in a revision of its own, which replaces no task."""
    first, service = tables.get(Revision, "r1"), tables.get(Service, "web")
    assert first is not None
    assert service is not None
    spec = replace(first.spec, endpoint=replace(first.spec.endpoint, drain_ns=drain_ns))
    newer = replace(first, id="r2", meta=Meta(), number=2, spec=spec)
    change(tables, newer, replace(service, revision_id="r2"))


def test_tasks_of_an_older_revision_get_the_drain_time_of_now() -> None:
    tables = two_nodes_one_service()
    drains_for(tables, 90 * SECOND_NS)
    (told,) = assignment_set(tables, "n1").revisions
    assert told.id == "r1"
    assert told.spec.endpoint.drain_ns == 90 * SECOND_NS
    kept = tables.get(Revision, "r1")
    assert kept is not None
    assert told.spec.task == kept.spec.task


def test_the_agent_knows_it_when_it_hears_of_the_stop() -> None:
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    described = NodeDescription(hostname="host1", data_address="192.0.2.1")
    machine.step(Registered("s", "n1", "192.0.2.9", described, ClusterVersion()))
    drains_for(tables, 0)
    (task, *_) = [each for each in tables.all(Task) if each.node_id == "n1"]
    machine.step(Committed(change(tables, replace(task, desired_state=TaskState.SHUTDOWN))))
    sent = [effect.message for effect in machine.step(Tick(1_000)) if isinstance(effect, Send)]
    (assignments,) = [message for message in sent if isinstance(message, Assignments)]
    assert [each.desired_state for each in assignments.changed.tasks] == [TaskState.SHUTDOWN]
    assert [each.spec.endpoint.drain_ns for each in assignments.changed.revisions] == [0]
