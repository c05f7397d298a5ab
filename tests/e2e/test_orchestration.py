"""Jobs, health, histories, going back, stopping and starting, plans and explanations, as people type them."""

import pytest

from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


def create(stand: Stand, name: str, *options: str, version: int = 1) -> str:
    return stand.covey("service", "create", "--name", name, *options, f"{stand.web}:{version}")


def image(stand: Stand, name: str) -> str:
    (shown,) = stand.rows("service", "ls", "--filter", f"name={name}")
    return str(shown["image"])


def test_a_job_completes_just_what_was_asked_and_runs_again(stand: Stand) -> None:
    options = ("--mode", "replicated-job", "--replicas", "4", "--max-concurrent", "2")
    words = ("sh", "-c", "echo slot $SLOT")
    env = ("--env", "SLOT={{.Task.Slot}}")
    said = stand.covey("service", "create", "--name", "sums", *options, *env, stand.tools, *words)
    assert "Job sums is complete: 4 of 4 tasks" in said
    assert "0/0 (4/4 completed)" in stand.covey("service", "ls")

    def wrote() -> list[str]:
        lines = stand.covey("service", "logs", "sums").splitlines()
        return sorted(line.partition("| ")[2] for line in lines)

    stand.until("each slot's output once", lambda: wrote() == [f"slot {slot}" for slot in range(4)])
    assert "Job sums is complete" in stand.covey("service", "restart", "sums")
    stand.until("each slot's output twice", lambda: len(wrote()) == 8)


def test_a_job_that_falls_short_says_so(stand: Stand) -> None:
    words = ("--mode", "replicated-job", "--restart-condition", "none", stand.tools, "sh", "-c", "exit 3")
    said = stand.refused("service", "create", "--name", "short", *words)
    assert "1 of 1 tasks did not complete" in said
    assert "exit code 3" in said


def test_a_global_job_runs_once_on_every_node(stand: Stand) -> None:
    said = stand.covey(
        "service", "create", "--name", "each", "--mode", "global-job", stand.tools, "cat", "/etc/hostname"
    )
    assert "Job each is complete: 3 of 3 tasks" in said


def test_a_history_and_the_way_back(stand: Stand) -> None:
    create(stand, "hist", "--replicas", "3", "--update-parallelism", "0", "--rollback-parallelism", "0")
    stand.covey("service", "update", "--image", f"{stand.web}:2", "--env-add", "LEVEL=debug", "hist")
    stand.covey("service", "scale", "hist=2")
    found = stand.rows("service", "history", "hist")
    assert [(entry["revision"], entry["mark"]) for entry in found] == [
        (3, "current"),
        (2, ""),
        (1, "previous"),
    ]
    assert all(str(entry["author"]).startswith("root on m1") for entry in found)
    changes = found[1]["changes"]
    assert isinstance(changes, list)
    assert {change["path"] for change in changes} == {"image", "env LEVEL"}

    assert "hist goes back to revision 1" in stand.covey("service", "rollback", "hist")
    assert image(stand, "hist") == f"{stand.web}:1"
    stand.until("two tasks, as many as there were", lambda: len(stand.running("hist")) == 2)
    stand.covey("service", "rollback", "--to", "2", "hist")
    assert image(stand, "hist") == f"{stand.web}:2"
    assert [entry["restores"] for entry in stand.rows("service", "history", "hist")][:2] == [2, 1]
    assert "there is no 77" in stand.refused("service", "rollback", "--to", "77", "hist")


def test_stop_start_and_restart(stand: Stand) -> None:
    create(stand, "life", "--replicas", "3", "--publish", "8081:80", "--update-parallelism", "0")
    before = {task.id for task in stand.running("life")}
    assert "is stopped" in stand.covey("service", "stop", "life")
    assert not stand.running("life")
    assert "0/3 (stopped)" in stand.covey("service", "ls")
    stand.covey("service", "start", "life")
    stand.until("the port to answer again", lambda: stand.answers("w1", 8081))
    between = {task.id for task in stand.running("life")}
    stand.covey("service", "restart", "life")
    after = {task.id for task in stand.running("life")}
    assert len(before) == len(between) == len(after) == 3
    assert not before & between
    assert not between & after


def test_a_plan_comes_true_and_changes_nothing_itself(stand: Stand) -> None:
    create(stand, "plans", "--replicas", "2")
    tasks = {task.id for task in stand.running("plans")}
    planned = stand.covey("service", "scale", "--plan", "plans=5")
    lines = [line.split() for line in planned.splitlines() if line.startswith("  create ")]
    assert [line[1] for line in lines] == ["plans.3", "plans.4", "plans.5"]
    assert {task.id for task in stand.running("plans")} == tasks
    stand.covey("service", "scale", "plans=5")
    new = [task for task in stand.running("plans") if task.id not in tasks]
    # Which of the three gets which node is open; which nodes get one is not.
    assert sorted(task.node for task in new) == sorted(line[3] for line in lines)

    planned = stand.covey("service", "update", "--plan", "--label-add", "a=b", "plans")
    assert "5 tasks would stay as they are." in planned
    planned = stand.covey("service", "update", "--plan", "--image", f"{stand.web}:2", "plans")
    assert planned.count("  create plans.") == planned.count("  stop   plans.") == 5
    assert image(stand, "plans") == f"{stand.web}:1"


def test_why_says_what_would_help_and_it_does(stand: Stand) -> None:
    create(stand, "picky", "-d", "--constraint", "node.labels.disk==ssd")
    stand.until("an answer", lambda: "label a node disk=ssd" in stand.covey("service", "why", "picky"))
    stand.covey("node", "update", "--label-add", "disk=ssd", "w2")
    stand.until("it to run", lambda: stand.spread("picky") == {"w2": 1})
    assert "1 of 1 tasks of picky run" in stand.covey("service", "why", "picky")
    (task,) = stand.running("picky")
    assert "runs on w2" in stand.covey("service", "why", task.id)
    stand.covey("node", "update", "--label-rm", "disk", "w2")


def test_health_decides_what_counts(stand: Stand) -> None:
    check = ("--health-cmd", "test ! -e /tmp/broken", "--health-interval", "500ms", "--health-retries", "2")
    create(stand, "site", *check)
    assert "(healthy)" in stand.covey("service", "ps", "site")
    sick = ("--health-cmd", "echo no database; false", "--health-interval", "300ms", "--health-retries", "1")
    said = stand.refused(
        "service", "create", "--name", "sick", "--restart-condition", "none", *sick, f"{stand.web}:1"
    )
    assert "unhealthy" in said
    assert "no database" in said


def test_the_clusters_settings_are_changed_and_impossible_ones_refused(stand: Stand) -> None:
    assert "Task history limit: 3" in stand.covey("cluster", "update", "--task-history-limit", "3")
    assert "too short or too long; use 0.1s" in stand.refused(
        "cluster", "update", "--dispatcher-heartbeat", "0s"
    )
    assert "'1s' is too short" in stand.refused("cluster", "update", "--cert-expiry", "1s")
    assert "Task history limit: 5" in stand.covey("cluster", "update", "--task-history-limit", "5")


def test_what_is_typed_by_habit_does_what_was_meant(stand: Stand) -> None:
    create(stand, "habit", "--detach=true", "--read-only=false")
    stand.until("it to run", lambda: len(stand.running("habit")) == 1)
    assert "habit" in stand.covey("service", "list", "--filter", "mode=Replicated")
    assert "--publish-rm 9999/tcp: is not there" in stand.refused(
        "service", "update", "--publish-rm", "9999", "habit"
    )
    assert "ids of their tasks" in stand.refused("service", "logs", "habit.1")
    assert stand.covey("service", "remove", "habit").split() == ["habit"]


def test_a_drained_node_says_when_it_is_empty(stand: Stand) -> None:
    create(stand, "moves", "--replicas", "6")
    stand.covey("node", "update", "--availability", "drain", "--drain-deadline", "30s", "w1")
    try:
        stand.until("its tasks to move", lambda: stand.spread("moves")["w1"] == 0)
        stand.until("six tasks elsewhere", lambda: sum(stand.spread("moves").values()) == 6)
        stand.until("it to be empty", lambda: "left" not in stand.covey("node", "ls"))
    finally:
        stand.covey("node", "update", "--availability", "active", "--drain-deadline", "1m", "w1")
