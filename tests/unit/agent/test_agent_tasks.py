import pytest

from agent.network.seam import Attachment
from agent.tasks.assigned import WITHHELD
from agent.tasks.events import (
    Assigned,
    Attach,
    Cancel,
    Create,
    Discard,
    Failure,
    Pull,
    Release,
    Save,
    Signal,
    Trouble,
)
from covey import limits
from covey.model.assignments import Assignments, AssignmentSet
from covey.model.objects import ClusterVersion
from covey.model.specs import RegistryAuth
from covey.model.states import TaskState
from tests.support.agent_world import (
    FATAL,
    NETWORK,
    NOT_BEGUN,
    PASSING,
    World,
    endpoint,
    full,
    revision,
    task,
)

S = TaskState


def running(*task_ids: str) -> World:
    world = World()
    world.settle()
    world.step(Assigned(full(*map(task, task_ids))))
    world.run()
    return world


def test_a_task_comes_up_step_by_step() -> None:
    world = running("t1")
    assert world.states("t1") == [S.ACCEPTED, S.PREPARING, S.READY, S.STARTING, S.RUNNING]
    assert [type(e) for e in world.effects if hasattr(e, "task_id")][:3] == [Pull, Attach, Create]
    assert world.starts == ["t1"]
    assert world.watched == {"t1"}


def test_starting_is_on_disk_before_the_runtime_hears_of_it() -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1"))))
    for _ in range(3):
        world.finish("t1")
    kinds = [e.value.status.state for e in world.effects if isinstance(e, Save) and e.kind == "local"]
    assert kinds[-1] is S.STARTING
    assert type(world.pending["t1"]).__name__ == "Start"


def test_the_container_is_on_its_networks_in_the_order_of_the_spec() -> None:
    world = World()
    world.step(Assigned(full(task("t1"))))
    world.finish("t1")
    attach = world.pending["t1"]
    assert isinstance(attach, Attach)
    assert attach.sandbox.attachments == (Attachment(NETWORK, endpoint("t1", 2)),)


def test_the_start_waits_for_the_first_table_but_not_for_ever() -> None:
    world = World()
    world.step(Assigned(full(task("t1"), task("t2"))))
    world.run()
    assert world.state("t1") is S.READY
    world.settle()
    world.run()
    assert world.state("t1") is S.RUNNING

    late = World()
    late.step(Assigned(full(task("t1"))))
    late.run()
    late.tick(limits.task_table_wait_ms)
    late.run()
    assert late.state("t1") is S.RUNNING


def test_desired_ready_waits() -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1", S.READY))))
    world.run()
    assert world.state("t1") is S.READY
    world.step(Assigned(full(task("t1", S.RUNNING))))
    world.run()
    assert world.state("t1") is S.RUNNING


def test_an_exit_ends_the_task_with_its_code() -> None:
    world = running("t1", "t2", "t3")
    world.end("t1", 0)
    world.end("t2", 3)
    world.end("t3", None)
    statuses = {r.task_id: r.status for r in world.reports}
    assert (statuses["t1"].state, statuses["t1"].exit_code, statuses["t1"].err) == (S.COMPLETE, 0, "")
    assert (statuses["t2"].state, statuses["t2"].exit_code, statuses["t2"].err) == (
        S.FAILED,
        3,
        "exit code 3",
    )
    assert statuses["t3"].exit_code is None
    assert "nobody saw" in statuses["t3"].err
    world.run()
    assert world.attached == set()
    assert set(world.boxes) == {"t1", "t2", "t3"}  # with their logs


def test_a_dropped_task_leaves_no_trace() -> None:
    world = running("t1")
    world.end("t1", 0)
    world.run()
    world.step(Assigned(full()))
    world.run()
    assert world.boxes == {}
    assert world.machine.records == {}
    assert not any(id == "t1" for _, id in world.disk)


def test_a_task_told_to_end_gets_its_signal_then_grace_then_kill() -> None:
    world = World()
    world.settle()
    stubborn = revision(stop_signal="SIGQUIT", stop_grace_ns=3_000_000_000)
    world.step(Assigned(full(task("t1"), revisions=[stubborn])))
    world.run()
    world.step(Assigned(full(task("t1", S.SHUTDOWN), revisions=[stubborn])))
    asked = world.pending["t1"]
    assert isinstance(asked, Signal)
    assert asked.signal == 3
    world.finish("t1")
    world.tick(2_999)
    assert world.pending == {}
    world.tick(1)
    killed = world.pending["t1"]
    assert isinstance(killed, Signal)
    assert killed.signal == 9
    world.run()
    assert world.state("t1") is S.SHUTDOWN
    assert world.reports[-1].status.exit_code == 137


def test_a_task_dropped_while_it_runs_is_stopped_and_removed() -> None:
    world = running("t1")
    before = len(world.reports)
    world.step(Assigned(full()))
    world.finish("t1")
    world.end("t1", 143)
    world.run()
    assert world.boxes == {}
    assert len(world.reports) == before  # nobody wants to know


def test_a_change_of_mind_cancels_the_pull() -> None:
    world = World()
    world.step(Assigned(full(task("t1"))))
    effects = world.step(Assigned(full(task("t1", S.SHUTDOWN))))
    assert Cancel("t1") in effects
    world.finish("t1", PASSING, done=False)
    assert world.state("t1") is S.SHUTDOWN
    assert world.pending == {}


@pytest.mark.parametrize("done", [False, True])
def test_networks_that_could_not_be_joined_are_joined_before_the_container_is_made(done: bool) -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1", S.RUNNING))))
    world.finish("t1")
    for _ in range(2):
        assert isinstance(world.pending["t1"], Attach)
        world.finish("t1", Failure(Trouble.PASSING, "the kernel is busy"), done=done)
        world.tick(limits.task_retry_delay_ms)
    world.run()
    assert world.state("t1") is S.RUNNING
    assert world.attached == {"t1"}
    made = next(effect for effect in world.effects if isinstance(effect, Create))
    assert made.container.netns == "/netns/t1"


def test_what_can_never_work_is_rejected_before_the_start_and_failed_after() -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1"), task("t2"))))
    world.finish("t1", FATAL, done=False)
    assert world.state("t1") is S.REJECTED
    assert world.reports[-1].status.err == "there is no such image"
    for _ in range(3):
        world.finish("t2")
    world.finish("t2", FATAL, done=False)
    assert world.state("t2") is S.FAILED
    world.run()
    assert world.boxes == {}
    assert world.attached == set()


def test_a_start_of_unknown_outcome_is_never_repeated() -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1"))))
    for _ in range(3):
        world.finish("t1")
    world.finish("t1", PASSING, done=True)
    assert world.state("t1") is S.FAILED
    assert isinstance(world.pending["t1"], Discard)
    world.run()
    assert world.starts == ["t1"]
    assert world.boxes == {}


def test_passing_trouble_is_tried_again_with_its_reason_and_not_for_ever() -> None:
    world = World()
    world.step(Assigned(full(task("t1"))))
    for attempt in range(1, limits.task_attempts_max + 1):
        world.finish("t1", PASSING, done=False)
        if attempt < limits.task_attempts_max:
            assert world.reports[-1].status.state is S.PREPARING
            assert world.reports[-1].status.err.startswith("the registry does not answer")
            world.tick(limits.task_retry_delay_ms - 1)
            assert world.pending == {}
            world.tick(1)
    assert world.state("t1") is S.REJECTED


def test_a_full_disk_holds_tasks_up_without_failing_them() -> None:
    world = World()
    world.step(Assigned(full(task("t1"))))
    for _ in range(3 * limits.task_attempts_max):
        world.finish("t1", NOT_BEGUN, done=False)
        assert world.reports[-1].status.err == "disk full; trying again"
        world.tick(limits.task_retry_delay_ms)
    world.run()
    assert world.state("t1") is S.READY
    assert world.reports[-1].status.err == ""


def test_credentials_never_reach_the_disk_and_are_waited_for_after_a_restart() -> None:
    world = World()
    world.settle()
    private = revision(registry_auth=RegistryAuth("ann", "secret"))
    world.step(Assigned(full(task("t1"), revisions=[private])))
    assert isinstance(world.pending["t1"], Pull)
    assert world.pending["t1"].auth == RegistryAuth("ann", "secret")
    assert "secret" not in repr(world.disk)

    world = world.restart()
    assert world.pending["t1"].auth is None  # type: ignore[union-attr]
    denied = Failure(Trouble.FATAL, "denied", denied=True)
    for _ in range(2 * limits.task_attempts_max):
        world.finish("t1", denied, done=False)
        world.tick(limits.task_retry_delay_ms)
    world.finish("t1", denied, done=False)
    world.step(Assigned(full(task("t1"), revisions=[private])))
    world.tick(limits.task_retry_delay_ms)
    assert world.pending["t1"].auth == RegistryAuth("ann", "secret")  # type: ignore[union-attr]
    assert world.machine.held.revisions["r1"].spec.task.container.registry_auth != WITHHELD


def test_a_restarted_agent_takes_over_and_reports_what_it_missed() -> None:
    world = running("t1", "t2", "t3")
    world.end("t2", 7, told=False)
    world.boxes.pop("t3")
    world = world.restart()
    assert world.attached == {"t1"}
    assert world.watched == {"t1"}
    assert world.state("t1") is S.RUNNING
    assert (world.state("t2"), world.machine.records["t2"].status.exit_code) == (S.FAILED, 7)
    assert world.state("t3") is S.FAILED
    assert {r.task_id for r in world.reports} == {"t1", "t2", "t3"}
    assert len(world.starts) == 3


def test_containers_of_no_task_are_swept() -> None:
    world = running("t1")
    del world.disk["task", "t1"], world.disk["local", "t1"]
    world = world.restart()
    assert world.boxes == {}


def test_a_dropped_task_keeps_its_grace_period_over_a_restart() -> None:
    patient = revision(stop_grace_ns=30_000_000_000)
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1"), revisions=[patient])))
    world.run()
    world.step(Assigned(full()))
    world.finish("t1")
    world = world.restart()
    assert world.boxes.keys() == {"t1"}
    assert world.watched == {"t1"}
    asked = world.pending["t1"]
    assert isinstance(asked, Signal)
    assert asked.signal == 15
    world.finish("t1")
    world.tick(29_999)
    assert world.pending == {}
    world.tick(1)
    world.run()
    assert world.boxes == {}
    assert world.machine.records == {}
    assert not any(id == "t1" for _, id in world.disk)
    assert world.reports == []


def test_what_is_left_of_a_dropped_task_without_a_container_goes_too() -> None:
    world = running("t1")
    world.step(Assigned(full()))
    world.boxes.clear()
    world = world.restart()
    world.run()
    assert not any(id == "t1" for _, id in world.disk)


def test_a_container_whose_namespace_was_not_written_down_is_made_anew() -> None:
    """Else its names would be served in no namespace at all."""
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1"))))
    world.finish("t1")
    before = dict(world.disk)
    world.finish("t1")
    world.finish("t1")
    world.disk.clear()
    world.disk.update(before)  # the agent was killed before the next write
    world = world.restart()
    world.settle()
    assert isinstance(world.pending["t1"], Discard)
    world.run()
    assert world.state("t1") is S.RUNNING
    assert world.machine.records["t1"].netns == "/netns/t1"


def test_after_a_reboot_what_ran_is_lost_and_what_was_only_prepared_is_prepared_again() -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1"), task("t2", S.READY))))
    world.run()
    world = world.reboot()
    world.settle()
    assert world.state("t1") is S.FAILED
    assert world.machine.records["t1"].status.err == "lost: the host restarted"
    world.run()
    assert world.state("t2") is S.READY
    assert world.starts == ["t1"]


def test_a_task_the_managers_know_better_than_this_node_is_lost_not_new() -> None:
    world = World()
    world.step(Assigned(full(task("t1", state=S.RUNNING))))
    assert world.state("t1") is S.FAILED
    assert world.pending == {}


def test_a_full_set_makes_the_agent_say_again_what_managers_do_not_know() -> None:
    world = running("t1", "t2")
    world.reports.clear()
    world.step(Assigned(full(task("t1"), task("t2", state=S.RUNNING), index=9)))
    assert [r.task_id for r in world.reports] == ["t1"]


def test_a_dropped_task_that_is_wanted_again_ends_and_says_so() -> None:
    world = running("t1")
    world.step(Assigned(full()))
    world.reports.clear()
    world.step(Assigned(full(task("t1", state=S.RUNNING))))
    world.finish("t1")
    world.end("t1", 143)
    assert world.reports[-1].status.state is S.SHUTDOWN
    world.run()
    assert world.starts == ["t1"]


def test_parallel_work_is_bounded_and_starts_go_first() -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(*[task(f"t{n}") for n in range(50)])))
    assert len(world.pending) == 50  # pulls: the image store bounds them
    for n in range(50):
        world.finish(f"t{n}")
    assert [type(a) for a in world.pending.values()] == [Attach] * limits.task_network_actions_at_once
    bound = limits.task_network_actions_at_once + limits.task_runtime_actions_at_once
    while world.pending:
        assert len(world.pending) <= bound
        world.finish(next(iter(world.pending)))
    assert len(world.starts) == 50


def test_a_difference_changes_only_what_it_names() -> None:
    world = running("t1", "t2")
    gone = Assignments(
        applies_to=ClusterVersion(1, 1),
        version=ClusterVersion(1, 2),
        removed_tasks=("t2",),
        removed_endpoints=("e-t2",),
    )
    world.step(Assigned(gone))
    assert isinstance(world.pending["t2"], Signal)
    assert world.state("t1") is S.RUNNING
    stop = Assignments(version=ClusterVersion(1, 3), changed=AssignmentSet(tasks=(task("t1", S.SHUTDOWN),)))
    world.step(Assigned(stop))
    assert isinstance(world.pending["t1"], Signal)


def test_a_task_without_its_address_says_so_and_waits_for_it() -> None:
    world = World()
    world.settle()
    whole = full(task("t1"))
    bare = Assignments(
        full=True,
        version=whole.version,
        changed=AssignmentSet(whole.changed.tasks, whole.changed.revisions, whole.changed.networks),
    )
    world.step(Assigned(bare))
    world.run()
    assert "no address on network net" in world.reports[-1].status.err
    world.step(Assigned(whole))
    world.tick(limits.task_retry_delay_ms)
    world.run()
    assert world.state("t1") is S.RUNNING


def test_what_cannot_be_removed_is_tried_again_until_it_can() -> None:
    world = running("t1")
    world.end("t1", 0)
    assert isinstance(world.pending["t1"], Release)
    for _ in range(2 * limits.task_attempts_max):
        world.finish("t1", PASSING, done=False)
        world.tick(limits.task_retry_delay_ms)
    world.run()
    assert world.attached == set()
    assert world.state("t1") is S.COMPLETE


def test_a_task_told_to_end_does_not_wait_for_the_next_try() -> None:
    world = World()
    world.step(Assigned(full(task("t1"))))
    world.finish("t1", PASSING, done=False)
    world.step(Assigned(full(task("t1", S.SHUTDOWN))))
    assert world.state("t1") is S.SHUTDOWN


def test_a_prepared_container_keeps_its_network_over_a_restart() -> None:
    world = World()
    world.settle()
    world.step(Assigned(full(task("t1", S.READY))))
    world.run()
    world = world.restart()
    world.settle()
    assert world.attached == {"t1"}
    world.step(Assigned(full(task("t1"))))
    world.run()
    assert world.state("t1") is S.RUNNING


def test_a_new_agent_does_not_start_what_was_made_before_its_networks_work() -> None:
    world = World()
    world.step(Assigned(full(task("t1"))))
    world.run()
    world = world.restart()
    world.run()
    assert (world.state("t1"), world.starts) == (S.READY, [])
    assert world.machine.wake_ms == limits.task_table_wait_ms
    world.settle()
    world.run()
    assert (world.state("t1"), world.starts) == (S.RUNNING, ["t1"])


def test_a_new_agent_waits_for_networks_only_so_long() -> None:
    world = World()
    world.step(Assigned(full(task("t1"))))
    world.run()
    world = world.restart()
    world.tick(limits.task_table_wait_ms)
    world.run()
    assert (world.state("t1"), world.starts) == (S.RUNNING, ["t1"])
