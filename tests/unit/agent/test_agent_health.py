"""A task with a health check runs once it is healthy, and fails once it is not."""

from agent.images.seam import ImageConfig, ImageHealthcheck, LocalImage
from agent.runtime.seam import ContainerState
from agent.tasks.events import Assigned, Create, Report, Save, Signal, WallClock, Withdrawn
from covey import limits
from covey.model.objects import Revision
from covey.model.specs import HealthCheck
from covey.model.states import HealthState, TaskState
from tests.support.agent_world import World, full, revision, task

S, H = TaskState, HealthState
CHECK = HealthCheck(
    test=("CMD", "ask"),
    interval_ns=10_000_000_000,
    timeout_ns=1_000_000_000,
    start_period_ns=5_000_000_000,
    start_interval_ns=1_000_000_000,
    retries=2,
)
CHECKED = revision(health=CHECK)
DRAINS = revision(health=CHECK, drain_ns=5_000_000_000)


def started(*task_ids: str, of: Revision = CHECKED) -> World:
    world = World()
    world.settle()
    world.step(Assigned(full(*map(task, task_ids), revisions=[of])))
    world.run()
    return world


def healthy(*task_ids: str, of: Revision = CHECKED) -> World:
    world = started(*task_ids, of=of)
    world.tick(1_000)
    for task_id in task_ids:
        world.answer(task_id)
    return world


def sicken(world: World, task_id: str) -> None:
    """Let as many checks fail as it takes."""
    for _ in range(CHECK.retries):
        world.tick(10_000)
        world.answer(task_id, 1, "no answer")


def reported(world: World, task_id: str) -> list[tuple[TaskState, HealthState, str]]:
    return [(r.status.state, r.status.health, r.status.err) for r in world.reports if r.task_id == task_id]


def test_it_is_starting_until_it_is_healthy() -> None:
    world = started("t1")
    assert (world.state("t1"), world.probes) == (S.STARTING, {})
    assert world.machine.wake_ms == 1_000
    world.tick(1_000)
    assert world.probes["t1"].argv == ("ask",)
    world.answer("t1")
    assert reported(world, "t1")[-2:] == [(S.STARTING, H.STARTING, ""), (S.RUNNING, H.HEALTHY, "")]
    assert world.reports[-1].status.pid == 100


def test_the_images_check_counts_as_well() -> None:
    config = ImageConfig(cmd=("serve",), healthcheck=ImageHealthcheck(("CMD-SHELL", "ask me")))
    world = World(image=LocalImage("i", ("/l",), config))
    world.settle()
    world.step(Assigned(full(task("t1"))))
    world.run()
    assert world.state("t1") is S.STARTING
    world.tick(30_000)
    assert world.probes["t1"].argv == ("/bin/sh", "-c", "ask me")


def test_a_check_that_cannot_be_read_rejects_the_task_with_the_reason() -> None:
    config = ImageConfig(cmd=("serve",), healthcheck=ImageHealthcheck(("PING",)))
    world = World(image=LocalImage("i", ("/l",), config))
    world.step(Assigned(full(task("t1"))))
    world.run()
    assert world.state("t1") is S.REJECTED
    assert "PING" in world.reports[-1].status.err
    assert "--no-healthcheck" in world.reports[-1].status.err
    assert world.boxes == {}


def test_what_it_waits_for_is_said_once_for_each_way_to_fail() -> None:
    world = started("t1")
    world.reports.clear()
    for code, output in ((1, "at 1"), (1, "at 2"), (7, "at 3"), (7, "at 4")):
        world.tick(1_000)
        world.answer("t1", code, output)
    assert reported(world, "t1") == [
        (S.STARTING, H.STARTING, "its health check fails: exit code 1: at 1"),
        (S.STARTING, H.STARTING, "its health check fails: exit code 7: at 3"),
    ]
    world.tick(1_000)
    world.answer("t1", trouble="disk full")
    assert reported(world, "t1")[-1][2] == "its health check cannot be run: disk full"
    world.tick(10_000)
    world.answer("t1")
    assert reported(world, "t1")[-1] == (S.RUNNING, H.HEALTHY, "")


def test_one_found_unhealthy_is_reported_then_stopped_then_failed() -> None:
    world = healthy("t1")
    world.reports.clear()
    sicken(world, "t1")
    why = "unhealthy: exit code 1: no answer"
    assert reported(world, "t1") == [(S.RUNNING, H.UNHEALTHY, why)]
    last = [e for e in world.effects if isinstance(e, Save | Report | Signal)][-3:]
    assert [type(e) for e in last] == [Save, Report, Signal], "known before anything is done about it"
    world.finish("t1")
    world.tick(9_999)
    assert world.pending == {}
    world.tick(1)
    world.run()
    assert reported(world, "t1")[-1] == (S.FAILED, H.UNHEALTHY, why)
    assert world.reports[-1].status.exit_code == 137
    assert world.attached == set()
    assert world.probes == {}


def test_one_that_never_was_healthy_fails_the_same_way() -> None:
    world = started("t1")
    for _ in range(5):
        world.tick(1_000)
        world.answer("t1", 1, "no answer")  # in its start period, but for the last
    assert world.state("t1") is S.STARTING
    world.tick(10_000)
    world.answer("t1", None, "so far")
    assert isinstance(world.pending["t1"], Signal)
    world.finish("t1")
    world.end("t1", 0)
    why = "unhealthy: it took longer than 1 s: so far"
    assert reported(world, "t1")[-2:] == [(S.STARTING, H.UNHEALTHY, why), (S.FAILED, H.UNHEALTHY, why)]


def test_an_unhealthy_one_gets_nothing_new_but_nobody_waits_for_its_connections() -> None:
    world = healthy("t1", of=DRAINS)
    sicken(world, "t1")
    assert world.pending == {}
    world.step(Withdrawn(("t1",)))
    assert isinstance(world.pending["t1"], Signal)
    late = healthy("t1", of=DRAINS)
    sicken(late, "t1")
    late.tick(limits.withdrawal_wait_ms)
    assert isinstance(late.pending["t1"], Signal)


def test_one_that_ends_before_it_was_asked_to_keeps_the_reason() -> None:
    world = healthy("t1", of=DRAINS)
    sicken(world, "t1")
    world.end("t1", 0)
    assert reported(world, "t1")[-1] == (S.FAILED, H.UNHEALTHY, "unhealthy: exit code 1: no answer")


def test_an_unhealthy_one_that_is_told_to_end_is_shut_down() -> None:
    world = healthy("t1", of=DRAINS)
    sicken(world, "t1")
    world.step(Assigned(full(task("t1", S.SHUTDOWN), revisions=[DRAINS])))
    world.step(Withdrawn(("t1",)))
    world.run()
    world.tick(60_000)
    world.run()
    assert world.states("t1")[-2:] == [S.RUNNING, S.SHUTDOWN]


def test_whoever_is_to_end_is_asked_no_more() -> None:
    world = healthy("t1", "t2", of=DRAINS)
    world.tick(10_000)
    assert set(world.probes) == {"t1", "t2"}
    world.step(Assigned(full(task("t1", S.SHUTDOWN), task("t2", S.SHUTDOWN), revisions=[DRAINS])))
    for _ in range(3):
        world.step(Assigned(full(task("t1", S.SHUTDOWN), task("t2", S.SHUTDOWN), revisions=[DRAINS])))
    before = len(world.reports)
    world.answer("t1", 1)
    world.answer("t2", 1)
    world.tick(1_000)
    assert world.probes == {}
    assert len(world.reports) == before


def test_an_exit_ends_the_checks_and_a_late_answer_does_no_harm() -> None:
    world = healthy("t1")
    world.tick(10_000)
    world.end("t1", 3)
    assert world.state("t1") is S.FAILED
    assert world.reports[-1].status.err == "exit code 3"
    world.answer("t1", trouble="container t1 has ended meanwhile")
    world.run()
    world.step(Assigned(full(revisions=[])))
    world.run()
    assert world.machine.records == {}
    assert world.machine.checks.monitors == {}
    assert world.machine.checks.under_way == set()


def test_a_new_agent_goes_on_checking_a_healthy_one() -> None:
    world = healthy("t1").restart()
    assert (world.state("t1"), reported(world, "t1")) == (S.RUNNING, [(S.RUNNING, H.HEALTHY, "")])
    world.tick(10_000)
    world.answer("t1")
    sicken(world, "t1")
    assert reported(world, "t1")[-1][1] is H.UNHEALTHY


def test_a_new_agent_goes_on_checking_one_that_starts() -> None:
    world = started("t1").restart()
    assert world.state("t1") is S.STARTING
    world.tick(1_000)
    world.answer("t1")
    assert reported(world, "t1")[-1] == (S.RUNNING, H.HEALTHY, "")


def test_a_new_agent_ends_what_was_found_unhealthy() -> None:
    world = healthy("t1")
    sicken(world, "t1")
    world = world.restart()
    assert world.probes == {}
    assert reported(world, "t1") == [(S.RUNNING, H.UNHEALTHY, "unhealthy: exit code 1: no answer")]
    assert isinstance(world.pending["t1"], Signal)
    world.run()
    world.tick(10_000)
    world.run()
    assert reported(world, "t1")[-1] == (S.FAILED, H.UNHEALTHY, "unhealthy: exit code 1: no answer")


def test_a_new_agent_that_starts_what_the_former_one_made_waits_for_its_health() -> None:
    world = World()
    world.step(Assigned(full(task("t1"), revisions=[CHECKED])))  # its network's table is not there yet
    world.run()
    assert world.state("t1") is S.READY
    world = world.restart()
    world.settle()
    world.run()
    assert world.state("t1") is S.STARTING
    world.tick(1_000)
    world.answer("t1")
    assert reported(world, "t1")[-1] == (S.RUNNING, H.HEALTHY, "")


def test_a_check_that_passes_in_the_same_moment_as_a_stop_starts_nothing() -> None:
    world = started("t1")
    world.tick(1_000)
    world.step(Assigned(full(task("t1", S.SHUTDOWN), revisions=[CHECKED])))
    world.answer("t1")
    assert world.state("t1") is S.STARTING


def test_without_a_check_health_is_none() -> None:
    world = started("t1", of=revision())
    assert reported(world, "t1")[-1] == (S.RUNNING, H.NONE, "")
    world.tick(100_000)
    assert world.probes == {}


def test_what_a_check_wrote_is_harmless_to_who_reads_it() -> None:
    """A container must not clear the screens of those who look at it, nor write into the next line."""
    world = started("t1")
    world.tick(1_000)
    world.answer("t1", 1, "\x1b[2J\x1b]0;title\a\u202ered\0\n  two\tthree")
    shown = "\ufffd[2J\ufffd]0;title\ufffd\ufffdred\ufffd two three"
    assert reported(world, "t1")[-1][2] == f"its health check fails: exit code 1: {shown}"


def test_nothing_is_decided_by_the_time_of_day() -> None:
    world = healthy("t1")
    for now_ns in (10**19, 0, 10**15):
        world.step(WallClock(now_ns))
        world.tick(9_999)
        assert world.probes == {}
        world.tick(1)
        world.answer("t1")
    assert world.state("t1") is S.RUNNING


def test_one_made_in_an_agents_last_moment_is_checked_as_well() -> None:
    """What its image says of health was known to that agent alone."""
    config = ImageConfig(cmd=("serve",), healthcheck=ImageHealthcheck(("CMD", "ask")))
    world = World(image=LocalImage("i", ("/l",), config))
    world.settle()
    world.step(Assigned(full(task("t1"))))
    while not isinstance(world.pending.get("t1"), Create):
        world.finish("t1")
    world.boxes["t1"] = ContainerState.CREATED  # it is made, and nobody hears of it any more
    world = world.restart()
    world.settle()
    world.run()
    assert (world.state("t1"), world.starts) == (S.STARTING, ["t1"])
    world.tick(30_000)
    assert world.probes["t1"].argv == ("ask",)


def test_a_healthy_one_whose_check_cannot_be_run_any_more_stays_so_but_says_it() -> None:
    world = healthy("t1")
    world.reports.clear()
    for _ in range(CHECK.retries - 1):
        world.tick(10_000)
        world.answer("t1", trouble="disk full")
    assert world.reports == [], "it may pass"
    for _ in range(3):
        world.tick(10_000)
        world.answer("t1", trouble="disk full")
    assert reported(world, "t1") == [(S.RUNNING, H.HEALTHY, "its health check cannot be run: disk full")]
    world.tick(10_000)
    world.answer("t1")
    assert reported(world, "t1")[1:] == [(S.RUNNING, H.HEALTHY, "")]
    world.tick(10_000)
    world.answer("t1")
    assert len(world.reports) == 2


def test_what_kept_it_from_being_healthy_is_forgotten_once_it_is() -> None:
    world = started("t1")
    world.tick(1_000)
    world.answer("t1", 1, "no answer")
    world.tick(1_000)
    world.answer("t1")
    before = len(world.reports)
    for code in (0, 1, 0):
        world.tick(10_000)
        world.answer("t1", code)
    assert len(world.reports) == before
