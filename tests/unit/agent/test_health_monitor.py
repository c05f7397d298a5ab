"""Docker's rules of health, on one container and on many."""

from agent.health.check import Check
from agent.health.checks import Checks, Probe, Probed
from agent.health.monitor import Monitor
from agent.runtime.seam import ExecResult
from covey import limits
from covey.model.states import HealthState

H = HealthState
CHECK = Check(
    ("ask",), interval_ms=10_000, timeout_ms=1_000, start_period_ms=5_000, start_interval_ms=1_000, retries=3
)
WELL = ExecResult(0)
SICK = ExecResult(1, "no\n  answer\n")


def ask(monitor: Monitor, at_ms: int, result: ExecResult) -> HealthState:
    monitor.asked(at_ms)
    monitor.answered(result)
    return monitor.state


def test_one_success_is_enough() -> None:
    monitor = Monitor(CHECK, 0)
    assert ask(monitor, 1_000, WELL) is H.HEALTHY


def test_failures_in_the_start_period_do_not_count() -> None:
    monitor = Monitor(CHECK, 0)
    assert [ask(monitor, at, SICK) for at in range(1_000, 5_000, 500)] == [H.STARTING] * 8
    assert [ask(monitor, at, SICK) for at in (5_000, 15_000, 25_000)] == [H.STARTING, H.STARTING, H.UNHEALTHY]


def test_what_was_asked_within_the_start_period_does_not_count_though_it_answers_later() -> None:
    monitor = Monitor(CHECK, 0)
    monitor.asked(4_999)
    monitor.answered(SICK)
    assert monitor.failures == 0


def test_the_start_period_is_over_with_the_first_success() -> None:
    monitor = Monitor(CHECK, 0)
    ask(monitor, 1_000, WELL)
    assert [ask(monitor, at, SICK) for at in (1_100, 1_200, 1_300)] == [H.HEALTHY, H.HEALTHY, H.UNHEALTHY]


def test_only_failures_in_a_row_count() -> None:
    monitor = Monitor(CHECK, 0)
    for _ in range(5):
        assert ask(monitor, 9_000, SICK) is not H.UNHEALTHY
        assert ask(monitor, 9_000, SICK) is not H.UNHEALTHY
        assert ask(monitor, 9_000, WELL) is H.HEALTHY


def test_it_is_asked_often_until_it_is_well_or_the_period_is_over() -> None:
    monitor = Monitor(CHECK, 0)
    assert monitor.pause_ms(0) == 1_000
    assert monitor.pause_ms(5_000) == 10_000
    ask(monitor, 1_000, WELL)
    assert monitor.pause_ms(1_000) == 10_000


def test_how_it_failed_in_words() -> None:
    monitor = Monitor(CHECK, 0)
    for result, words, how in (
        (SICK, "exit code 1: no answer", "exit code 1"),
        (ExecResult(137), "exit code 137 (signal 9)", "exit code 137 (signal 9)"),
        (
            ExecResult(None, "so far", "it took longer than 1 s"),
            "it took longer than 1 s: so far",
            "it took longer than 1 s",
        ),
    ):
        ask(monitor, 0, result)
        assert (monitor.failed, monitor.failed_how) == (words, how)
    ask(monitor, 0, WELL)
    assert (monitor.failed, monitor.failed_how) == ("", "")


def test_a_container_is_asked_after_a_pause_and_then_after_each_answer() -> None:
    checks = Checks()
    checks.begin("t1", CHECK, 100)
    assert (checks.probes(1_099), checks.wake_ms) == ([], 1_100)
    assert (checks.probes(1_100), checks.wake_ms) == ([Probe("t1", ("ask",), 1_000)], None)
    assert checks.probes(50_000) == [], "one at a time"
    assert checks.answered(Probed("t1", WELL), 1_500) is checks.monitors["t1"]
    assert checks.wake_ms == 11_500


def test_trouble_changes_nothing_and_it_is_asked_again() -> None:
    checks = Checks()
    checks.begin("t1", CHECK, 0)
    for at_ms in range(1_000, 200_000, 10_000):
        checks.probes(at_ms)
        monitor = checks.answered(Probed("t1", None, "disk full"), at_ms)
        assert monitor is not None
        assert (monitor.state, monitor.failures) == (H.STARTING, 0)


def test_an_answer_that_nobody_waits_for_gives_its_place_back() -> None:
    checks = Checks()
    checks.begin("t1", CHECK, 0)
    checks.probes(1_000)
    checks.end("t1")
    assert checks.under_way == {"t1"}
    assert checks.answered(Probed("t1", SICK), 2_000) is None
    assert checks.under_way == set()
    assert checks.probes(10_000_000) == []


def test_many_are_asked_in_turn_and_never_too_many_at_once() -> None:
    checks = Checks()
    names = [f"t{number:03}" for number in range(500)]
    for name in names:
        checks.begin(name, CHECK, 0)
    asked: list[str] = []
    under_way = [probe.task_id for probe in checks.probes(1_000)]
    while under_way:
        assert len(under_way) <= limits.health_probes_at_once
        asked += under_way
        for task_id in under_way:
            checks.answered(Probed(task_id, WELL), 1_000)
        under_way = [probe.task_id for probe in checks.probes(1_000)]
    assert asked == names


def test_those_taken_over_are_spread_over_the_interval_and_always_alike() -> None:
    def first_looks() -> list[int]:
        checks, looks = Checks(), []
        for number in range(500):
            checks.take_over(f"task{number}", CHECK, H.HEALTHY, 50_000)
        for at_ms in range(50_000, 60_001, 100):
            looks.append(len(probes := checks.probes(at_ms)))
            for probe in probes:
                checks.answered(Probed(probe.task_id, WELL), at_ms)
        return looks

    looks = first_looks()
    assert sum(looks) == 500, "each within the first interval"
    assert max(looks) < 20
    assert looks == first_looks()
    assert Checks().monitors == {}


def test_a_healthy_one_that_is_taken_over_has_no_start_period() -> None:
    checks = Checks()
    checks.take_over("t1", CHECK, H.HEALTHY, 0)
    for _ in range(3):
        checks.probes(100_000)
        checks.answered(Probed("t1", SICK), 0)
    assert checks.monitors["t1"].state is H.UNHEALTHY
