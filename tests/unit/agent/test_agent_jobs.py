"""A job's task that is told to stop, and ends well by itself before it is asked to: its work is done."""

from msgspec.structs import replace

from agent.tasks.events import Assigned
from covey.model.objects import Task
from covey.model.specs import EndpointSpec, ServiceMode
from covey.model.states import ServiceModeKind, TaskState
from tests.support.agent_world import World, full, revision, task


def running(kind: ServiceModeKind, desired: TaskState) -> World:
    world = World()
    given(world, kind, task("t1", desired))
    world.settle()
    world.run()
    assert world.state("t1") is TaskState.RUNNING
    return world


def given(world: World, kind: ServiceModeKind, wanted: Task) -> None:
    plain = revision()
    spec = replace(plain.spec, mode=ServiceMode(kind=kind), endpoint=EndpointSpec(drain_ns=5_000_000_000))
    world.step(Assigned(full(wanted, revisions=(replace(plain, spec=spec),))))


def told_to_stop(kind: ServiceModeKind, desired: TaskState) -> World:
    world = running(kind, desired)
    given(world, kind, task("t1", TaskState.SHUTDOWN))
    return world


def test_a_job_that_ends_well_while_it_takes_leave_has_completed() -> None:
    world = told_to_stop(ServiceModeKind.REPLICATED_JOB, TaskState.COMPLETE)
    world.end("t1", 0)
    world.run()
    assert world.state("t1") is TaskState.COMPLETE


def test_one_that_fails_then_is_shut_down() -> None:
    world = told_to_stop(ServiceModeKind.REPLICATED_JOB, TaskState.COMPLETE)
    world.end("t1", 1)
    world.run()
    assert world.state("t1") is TaskState.SHUTDOWN


def test_one_that_was_asked_to_stop_may_have_done_half_of_its_work() -> None:
    world = told_to_stop(ServiceModeKind.REPLICATED_JOB, TaskState.COMPLETE)
    world.tick(2_000)
    world.run()
    world.end("t1", 0)
    world.run()
    assert world.state("t1") is TaskState.SHUTDOWN


def test_what_is_meant_to_run_on_is_shut_down_however_it_ends() -> None:
    world = told_to_stop(ServiceModeKind.REPLICATED, TaskState.RUNNING)
    world.end("t1", 0)
    world.run()
    assert world.state("t1") is TaskState.SHUTDOWN
