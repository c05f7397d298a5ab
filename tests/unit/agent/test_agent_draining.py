"""A task that is to end first takes leave of those who use it."""

from msgspec.structs import replace

from agent.tasks.events import Action, Assigned, Cancel, Close, Drain, Effect, Signal, Withdrawn
from covey import limits
from covey.model.objects import Revision
from covey.model.specs import EndpointSpec, PortConfig, ServiceSpec, TaskSpec
from covey.model.states import PublishMode, TaskState
from tests.support.agent_world import FATAL, PASSING, World, full, revision, task

S = TaskState
DRAINS = revision(drain_ns=5_000_000_000)
HOST_PORT = PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST)


def running(*task_ids: str, of: Revision = DRAINS) -> World:
    world = World()
    world.settle()
    world.step(Assigned(full(*map(task, task_ids), revisions=[of])))
    world.run()
    assert all(world.state(id) is S.RUNNING for id in task_ids)
    return world


def with_ports(of: Revision, *, networks: bool = True) -> Revision:
    spec = of.spec
    endpoint = EndpointSpec(ports=(HOST_PORT,), drain_ns=spec.endpoint.drain_ns)
    kept = spec.task if networks else TaskSpec(container=spec.task.container)
    return Revision(
        id=of.id, service_id="web", number=1, spec=ServiceSpec("web", task=kept, endpoint=endpoint)
    )


def under_way(world: World, task_id: str) -> Action | None:
    return world.pending.get(task_id)


def stop(world: World, *task_ids: str, of: Revision = DRAINS) -> list[Effect]:
    return world.step(Assigned(full(*(task(id, S.SHUTDOWN) for id in task_ids), revisions=[of])))


def test_it_waits_until_nothing_new_comes_then_until_nothing_is_left() -> None:
    world = running("t1")
    stop(world, "t1")
    assert world.pending == {}
    world.tick(1_000)
    assert world.pending == {}
    world.step(Withdrawn(("t1", "another")))
    assert under_way(world, "t1") == Drain("t1", 100, 5_000)
    world.finish("t1")
    assert isinstance(under_way(world, "t1"), Signal)
    world.finish("t1")
    world.end("t1", 0)
    assert world.state("t1") is S.SHUTDOWN


def test_a_cluster_that_says_nothing_is_waited_for_a_bounded_time() -> None:
    world = running("t1")
    stop(world, "t1")
    assert world.machine.wake_ms == limits.withdrawal_wait_ms
    world.tick(limits.withdrawal_wait_ms - 1)
    assert world.pending == {}
    world.tick(1)
    assert isinstance(under_way(world, "t1"), Drain)


def test_a_word_that_comes_first_is_remembered() -> None:
    world = running("t1")
    world.step(Withdrawn(("t1",)))
    stop(world, "t1")
    assert isinstance(under_way(world, "t1"), Drain)


def test_its_own_ports_are_closed_at_once() -> None:
    of = with_ports(DRAINS)
    world = running("t1", of=of)
    stop(world, "t1", of=of)
    assert under_way(world, "t1") == Close("t1")
    world.finish("t1")
    assert world.pending == {}
    world.step(Withdrawn(("t1",)))
    assert isinstance(under_way(world, "t1"), Drain)


def test_ports_alone_are_reason_enough() -> None:
    of = with_ports(DRAINS, networks=False)
    world = World()
    world.step(Assigned(full(task("t1"), revisions=[of])))
    world.settle()
    world.run()
    stop(world, "t1", of=of)
    assert under_way(world, "t1") == Close("t1")


def test_whoever_nobody_can_use_waits_for_nothing() -> None:
    alone = Revision(id="r1", spec=ServiceSpec("web", task=TaskSpec(container=DRAINS.spec.task.container)))

    def told(desired: TaskState) -> Assigned:
        message = full(task("t1", desired), revisions=[alone])
        return Assigned(replace(message, changed=replace(message.changed, endpoints=())))

    world = World()
    world.step(told(S.RUNNING))
    world.run()
    assert world.state("t1") is S.RUNNING
    world.step(told(S.SHUTDOWN))
    assert isinstance(under_way(world, "t1"), Signal)


def test_a_service_that_does_not_drain_is_asked_at_once() -> None:
    none = with_ports(revision())
    world = running("t1", of=none)
    stop(world, "t1", of=none)
    assert isinstance(under_way(world, "t1"), Signal)


def test_the_newest_word_on_how_long_counts() -> None:
    world = running("t1")
    stop(world, "t1", of=revision(drain_ns=60_000_000_000))
    world.step(Withdrawn(("t1",)))
    assert under_way(world, "t1") == Drain("t1", 100, 60_000)


def test_one_that_ends_by_itself_meanwhile_is_over() -> None:
    world = running("t1", "t2")
    stop(world, "t1", "t2")
    world.end("t1", 3)
    assert (world.state("t1"), world.reports[-1].status.exit_code) == (S.SHUTDOWN, 3)
    world.step(Withdrawn(("t2",)))
    world.end("t2", 4)
    assert Cancel("t2") in world.effects
    assert world.state("t2") is S.RUNNING, "the waiting has not ended yet"
    world.finish("t2", PASSING, done=False)
    assert (world.state("t2"), world.reports[-1].status.exit_code) == (S.SHUTDOWN, 4)


def test_being_dropped_does_not_hurry_it() -> None:
    world = running("t1", "t2")
    stop(world, "t1", "t2")
    world.step(Assigned(full(revisions=[])))
    assert world.pending == {}
    world.step(Withdrawn(("t1",)))
    assert under_way(world, "t1") == Drain("t1", 100, 5_000)
    world.tick(limits.withdrawal_wait_ms)
    assert isinstance(under_way(world, "t2"), Drain)


def test_one_dropped_while_it_runs_takes_leave_too() -> None:
    world = running("t1")
    world.step(Assigned(full(revisions=[])))
    assert world.pending == {}
    world.tick(limits.withdrawal_wait_ms)
    assert under_way(world, "t1") == Drain("t1", 100, 5_000, withdrawn=False)


def test_what_cannot_be_closed_or_watched_stops_nobody() -> None:
    of = with_ports(DRAINS)
    world = running("t1", of=of)
    stop(world, "t1", of=of)
    world.finish("t1", PASSING, done=False)
    world.step(Withdrawn(("t1",)))
    world.finish("t1", FATAL, done=False)
    assert isinstance(under_way(world, "t1"), Signal)
    assert world.machine.records["t1"].failure is None


def test_a_task_that_is_not_used_yet_ends_at_once() -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1"), revisions=[DRAINS])))
    for _ in range(3):
        world.finish("t1")
    assert world.state("t1") is S.STARTING
    stop(world, "t1")
    world.finish("t1")
    assert isinstance(under_way(world, "t1"), Signal)


def test_a_new_agent_begins_anew_and_gives_no_ports_back() -> None:
    of = with_ports(DRAINS)
    world = running("t1", of=of)
    stop(world, "t1", of=of)
    world.finish("t1")
    world.tick(1_500)
    world = world.restart()
    (rebuild,) = [e for e in world.effects if type(e).__name__ == "Rebuild"]
    assert [s.host_ports for s in rebuild.sandboxes] == [()]  # type: ignore[union-attr]
    assert under_way(world, "t1") == Close("t1")
    world.finish("t1")
    world.tick(limits.withdrawal_wait_ms - 1)
    assert world.pending == {}
    world.tick(1)
    assert isinstance(under_way(world, "t1"), Drain)


def test_one_dropped_before_a_restart_has_no_network_left_to_wait_for() -> None:
    world = running("t1")
    world.step(Assigned(full(revisions=[])))
    world = world.restart()
    assert isinstance(under_way(world, "t1"), Signal)
