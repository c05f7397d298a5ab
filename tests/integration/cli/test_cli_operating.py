"""Jobs, histories, going back, stopping and starting: the command against a manager's real API."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.cli_command import covey, listed
from tests.support.cli_stand import CliStand
from tests.support.leftovers import prefix


@pytest.fixture(scope="module")
def stand() -> Iterator[CliStand]:
    with TemporaryDirectory(prefix=f"{prefix()}-op-") as folder, CliStand(Path(folder)) as made:
        yield made


def wanted(stand: CliStand, service: str) -> set[str]:
    tasks = listed(stand, "service", "ps", service, "--filter", "desired-state=running")
    return {task["task"]["id"] for task in tasks}


def test_a_job_is_waited_for_until_it_is_complete(stand: CliStand) -> None:
    words = ("--mode", "replicated-job", "--replicas", "5", "--max-concurrent", "2", "--name", "sums", "img")
    out, _ = covey(stand, "service", "create", *words)
    assert "job progress: 5 out of 5 complete" in out
    assert "verify: Job sums is complete: 5 of 5 tasks" in out
    assert "0/0 (5/5 completed)" in covey(stand, "service", "ls")[0]
    rows = covey(stand, "service", "ps", "sums")[0].splitlines()[1:]
    assert [row.split()[1] for row in rows] == [f"sums.{slot}" for slot in range(5)]
    assert all("Complete" in row for row in rows)
    out, _ = covey(stand, "service", "update", "--force", "sums")
    assert "verify: Job sums is complete" in out
    covey(stand, "service", "rm", "sums")


def test_a_global_job_runs_once_on_every_node(stand: CliStand) -> None:
    out, _ = covey(stand, "service", "create", "--mode", "global-job", "--name", "each", "img")
    assert "verify: Job each is complete: 2 of 2 tasks" in out
    covey(stand, "service", "rm", "each")


def test_a_history_says_who_changed_what_and_a_rollback_brings_it_back(stand: CliStand) -> None:
    covey(stand, "service", "create", "-d", "--name", "hist", "--update-parallelism", "0", "img:1")
    covey(
        stand, "service", "update", "-d", "--image", "img:2", "--env-add", "LEVEL=debug", "hist",
        SUDO_USER="alice",
    )  # fmt: skip
    covey(stand, "service", "scale", "-d", "hist=3")
    found = listed(stand, "service", "history", "hist")
    assert [(entry["revision"], entry["mark"]) for entry in found] == [
        (3, "current"),
        (2, ""),
        (1, "previous"),
    ]
    assert found[1]["author"] == "root on m1 (alice)"
    assert {change["path"]: change["after"] for change in found[1]["changes"]} == {
        "image": "img:2",
        "env LEVEL": "debug",
    }
    out, _ = covey(stand, "service", "update", "--rollback", "hist")
    assert "hist goes back to revision 1" in out
    assert "Service hist converged" in out
    (shown,) = json.loads(covey(stand, "service", "inspect", "hist")[0])
    assert shown["revision"]["spec"]["task"]["container"]["image"] == "img:1"
    assert shown["revision"]["spec"]["mode"]["replicas"] == 3
    newest = listed(stand, "service", "history", "hist")[0]
    assert (newest["revision"], newest["restores"], newest["mark"]) == (4, 1, "current")
    assert "hist goes back to revision 2" in covey(stand, "service", "rollback", "-d", "--to", "2", "hist")[0]
    _, err = covey(stand, "service", "rollback", "--to", "77", "hist", code=1)
    assert "77" in err
    covey(stand, "service", "rm", "hist")


def test_a_service_stops_starts_and_restarts(stand: CliStand) -> None:
    covey(stand, "service", "create", "--name", "life", "--replicas", "2", "img")
    out, _ = covey(stand, "service", "stop", "life")
    assert "Service life is stopped" in out
    assert "0/2 (stopped)" in covey(stand, "service", "ls", "--filter", "name=life")[0]
    _, err = covey(stand, "service", "restart", "life", code=1)
    assert "covey service start life" in err
    assert "is stopped" in covey(stand, "service", "scale", "life=3")[0]
    assert "Service life converged" in covey(stand, "service", "start", "life")[0]
    assert "3/3" in covey(stand, "service", "ls", "--filter", "name=life")[0]
    before = wanted(stand, "life")
    assert "Service life converged" in covey(stand, "service", "restart", "life")[0]
    after = wanted(stand, "life")
    assert len(after) == 3
    assert not before & after
    _, err = covey(stand, "service", "stop", "life", "nosuch", code=1)
    assert "nosuch" in err
    covey(stand, "service", "rm", "life")


def test_an_update_that_changes_nothing_says_so(stand: CliStand) -> None:
    covey(stand, "service", "create", "-d", "--name", "same", "img")
    _, err = covey(stand, "service", "update", "-d", "--replicas", "1", "same")
    assert "Nothing was changed" in err
    covey(stand, "service", "rm", "same")


def test_a_paused_update_says_how_to_go_on_and_goes_on(stand: CliStand) -> None:
    create = ("--name", "pause", "--restart-condition", "none", "--update-monitor", "100ms")
    covey(stand, "service", "create", *create, "img")
    _, err = covey(stand, "service", "update", "--image", "broken", "pause", code=1)
    assert "the update is paused" in err
    assert "(update paused)" in covey(stand, "service", "ls", "--filter", "name=pause")[0]
    _, err = covey(stand, "service", "update", "-d", "pause")
    assert "the paused update of pause goes on" in err
    covey(stand, "service", "rm", "pause")


def test_a_drain_has_a_deadline(stand: CliStand) -> None:
    covey(stand, "node", "update", "--availability", "drain", "--drain-deadline", "10m", "w1")
    (shown,) = json.loads(covey(stand, "node", "inspect", "w1")[0])
    assert shown["spec"]["drain_deadline_ns"] == 600 * 10**9
    covey(stand, "node", "update", "--availability", "active", "w1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("service update --rollback --replicas 2 web", "--rollback and --replicas"),
        ("service create --mode replicated-job --update-order start-first img", "--update-order"),
        ("service create --max-concurrent 2 img", "--max-concurrent 2"),
        ("service create --no-healthcheck --health-cmd true img", "--no-healthcheck and --health-cmd"),
        ("service create --generic-resource gpu img", "KIND=COUNT"),
        ("service rollback --to 0 web", "--to"),
        ("node update --drain-deadline soon w1", "'soon' is not a duration"),
    ],
)
def test_what_contradicts_itself_is_refused_by_its_flag(stand: CliStand, words: str, says: str) -> None:
    assert says in covey(stand, *words.split(), code=2)[1]


def test_a_plan_says_what_would_happen_and_changes_nothing(stand: CliStand) -> None:
    out, _ = covey(stand, "service", "create", "--plan", "--name", "plans", "--replicas", "2", "img:1")
    assert "create plans.1 on " in out
    assert "create plans.2 on " in out
    assert "This is a plan for plans: nothing was changed." in out
    assert "plans" not in covey(stand, "service", "ls")[0]

    covey(stand, "service", "create", "--name", "plans", "--replicas", "2", "img:1")
    before = covey(stand, "service", "inspect", "plans")[0], covey(stand, "service", "ps", "-q", "plans")[0]
    out, _ = covey(stand, "service", "update", "--plan", "--image", "img:2", "plans")
    assert "image: img:1 → img:2" in out
    assert out.count("stop   plans.") == out.count("create plans.") == 2
    assert "How: 2 tasks replaced, 1 at a time, the old one stops first" in out
    out, _ = covey(stand, "service", "scale", "--plan", "plans=3")
    assert "replicas: 2 → 3" in out
    assert "create plans.3 on " in out
    assert "2 tasks would stay as they are." in out
    out, _ = covey(stand, "service", "update", "--plan", "--label-add", "a=b", "plans")
    assert "label a: b (new)" in out
    assert "create" not in out
    out, _ = covey(stand, "service", "update", "--plan", "--force", "plans")
    assert "force: 0 → 1" in out
    _, err = covey(stand, "service", "update", "--plan", "--limit-memory", "1k", "plans", code=2)
    assert "--limit-memory 1k" in err
    after = covey(stand, "service", "inspect", "plans")[0], covey(stand, "service", "ps", "-q", "plans")[0]
    assert before == after

    covey(stand, "service", "update", "--update-parallelism", "0", "--image", "img:2", "plans")
    out, _ = covey(stand, "service", "rollback", "--plan", "plans")
    assert "image: img:2 → img:1" in out
    assert "1 at a time" in out, "by the rules of rollbacks, which were left as they are"
    _, err = covey(stand, "service", "rollback", "--plan", "--to", "9", "plans", code=1)
    assert "revision: there is no 9" in err
    covey(stand, "service", "rm", "plans")
