"""Waiting for jobs, stops and rollbacks, and what keeps failing: moments in, verdicts out."""

from msgspec.structs import replace

from covey import limits
from covey.cli.show import tasks as show
from covey.cli.show.converge import Asked, assess
from covey.cli.show.jobs import total
from covey.client.views import Progress, ServiceDetail
from covey.model.objects import Meta, Revision, Service, Task, TaskStatus, UpdateStatus
from covey.model.specs import Placement, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import HealthState, ServiceModeKind, TaskState, UpdateState

RUNNING, COMPLETE, FAILED, SHUTDOWN = (
    TaskState.RUNNING,
    TaskState.COMPLETE,
    TaskState.FAILED,
    TaskState.SHUTDOWN,
)
JOB = ServiceMode(ServiceModeKind.REPLICATED_JOB, total_completions=3, max_concurrent=2)
EVERYWHERE = ServiceMode(ServiceModeKind.GLOBAL_JOB)


def task(
    slot: int,
    state: TaskState = RUNNING,
    desired: TaskState = COMPLETE,
    *,
    created: int = 1,
    revision: str = "new",
    node: str = "n1",
    err: str = "",
    quick: int = 0,
) -> Task:
    return Task(
        id=f"{slot}.{created}.{revision}.{node}",
        meta=Meta(created_at_ns=created),
        service_id="s",
        revision_id=revision,
        slot=slot,
        node_id=node,
        desired_state=desired,
        status=TaskStatus(state=state, err=err, at_ns=created),
        quick_ends=quick,
    )


def moment(
    *tasks: Task,
    mode: ServiceMode = JOB,
    update: UpdateState = UpdateState.NONE,
    stopped: bool = False,
    message: str = "",
) -> Progress:
    spec = ServiceSpec(name="web", mode=mode)
    status = UpdateStatus(state=update, message=message)
    service = Service(id="s", name="web", revision_id="new", update_status=status, stopped=stopped)
    done = len({t.slot for t in tasks if t.status.state is COMPLETE and t.revision_id == "new"})
    desired = mode.replicas if not mode.kind.job else max(min(2, 3 - done), 0)
    detail = ServiceDetail(service, Revision(id="new", spec=spec), desired=desired, completed=done)
    return Progress(detail, tasks)


def test_a_job_is_done_once_all_its_places_are() -> None:
    verdict = assess(moment(task(0, COMPLETE), task(1)), Asked.TASKS)
    assert (verdict.converged, verdict.overall) == (False, "job progress: 1 out of 3 complete")
    done = assess(moment(*[task(slot, COMPLETE) for slot in range(3)]), Asked.TASKS)
    assert (done.converged, done.final, done.failed) == (True, True, "")
    assert done.overall == "job progress: 3 out of 3 complete"


def test_a_task_that_completed_beside_another_one_counts_once() -> None:
    verdict = assess(
        moment(task(0, COMPLETE), task(0, created=2, node="n2"), task(0, FAILED, SHUTDOWN)), Asked.TASKS
    )
    assert verdict.running == 1


def test_what_an_older_iteration_did_counts_for_nothing() -> None:
    old = [task(slot, COMPLETE, revision="old") for slot in range(3)]
    assert not assess(moment(*old), Asked.UPDATE).converged


def test_a_job_that_falls_short_says_how_it_can_be_run_again() -> None:
    places = [task(0, COMPLETE), task(1, COMPLETE)]
    spent = task(2, FAILED, SHUTDOWN, err="exit code 1")
    assert assess(moment(*places, spent), Asked.TASKS).failed == (
        "1 of 3 tasks did not complete, and the restart policy lets no other follow: web.2 (exit code 1); "
        "`covey service update --force web` runs the job again"
    )
    assert not assess(moment(places[0], spent, task(1)), Asked.TASKS).failed, "one is still at work"
    assert not assess(moment(*places, spent, task(2, created=2)), Asked.TASKS).failed, "another one followed"


def test_a_global_jobs_places_are_the_nodes_there_are() -> None:
    two = (task(0, COMPLETE, node="n1"), task(0, node="n2"))
    assert not assess(moment(*two, mode=EVERYWHERE), Asked.TASKS).converged
    done = assess(moment(two[0], mode=EVERYWHERE), Asked.TASKS)
    assert (done.converged, done.final) == (True, False), "a node may just be found"


def test_a_stopped_service_is_done_once_nothing_runs() -> None:
    web = ServiceMode(replicas=2)
    running = moment(task(1, RUNNING, SHUTDOWN), task(2, SHUTDOWN, SHUTDOWN), mode=web, stopped=True)
    verdict = assess(running, Asked.TASKS)
    assert (verdict.converged, verdict.overall) == (False, "overall progress: 1 task has yet to stop")
    done = assess(moment(task(2, SHUTDOWN, SHUTDOWN), mode=web, stopped=True), Asked.UPDATE)
    assert done.converged
    assert done.final


def test_a_rollback_that_was_asked_for_is_no_failure_once_it_is_through() -> None:
    web = ServiceMode(replicas=2)
    tasks = [task(1, RUNNING, RUNNING, revision="old"), task(2, RUNNING, RUNNING)]
    under_way = moment(*tasks, mode=web, update=UpdateState.ROLLBACK_STARTED)
    through = moment(*tasks, mode=web, update=UpdateState.ROLLBACK_COMPLETED)
    assert not assess(under_way, Asked.ROLLBACK).converged
    assert assess(through, Asked.ROLLBACK).converged
    assert "was rolled back" in assess(through, Asked.UPDATE).failed
    assert assess(through, Asked.TASKS).converged, "that was long ago, when somebody starts it again"
    paused = moment(*tasks, mode=web, update=UpdateState.ROLLBACK_PAUSED, message="why")
    assert assess(paused, Asked.ROLLBACK).failed == "the rollback is paused: why"


def test_an_update_that_was_taken_back_says_what_failed() -> None:
    web = ServiceMode(replicas=1)
    tasks = (
        task(1, FAILED, SHUTDOWN, revision="older", created=1, err="long ago"),
        task(1, FAILED, SHUTDOWN, revision="bad", created=2, err="no such image"),
        task(1, RUNNING, RUNNING, created=3),
    )
    back = moment(*tasks, mode=web, update=UpdateState.ROLLBACK_COMPLETED, message="rollback completed")
    said = assess(back, Asked.UPDATE).failed
    assert said == "the update failed and was rolled back; task 1 failed last: no such image"
    late = moment(
        tasks[0],
        task(1, SHUTDOWN, SHUTDOWN, revision="bad", created=2),
        mode=web,
        update=UpdateState.ROLLBACK_COMPLETED,
    )
    assert "`covey service ps web` shows" in assess(late, Asked.UPDATE).failed


def test_what_fails_again_and_again_is_not_waited_for() -> None:
    web = ServiceMode(replicas=2)
    often = limits.converge_quick_ends
    failed = task(1, FAILED, SHUTDOWN, err="exit code 7")
    again = task(1, TaskState.READY, RUNNING, created=2, quick=often)
    fine = task(2, RUNNING, RUNNING)
    said = assess(moment(failed, again, fine, mode=web), Asked.TASKS).failed
    assert said.startswith(
        f"task web.1 ends soon after each start ({often} times in a row, last: exit code 7)"
    )
    assert "covey service why web" in said
    assert not assess(moment(failed, replace(again, quick_ends=2), fine, mode=web), Asked.TASKS).failed
    coming = task(2, TaskState.PREPARING, RUNNING)
    assert not assess(moment(failed, again, coming, mode=web), Asked.TASKS).failed, "one may still come up"


def test_unhealthy_tasks_do_not_count() -> None:
    web = ServiceMode(replicas=1)
    sick = task(1, RUNNING, RUNNING)
    sick = replace(sick, status=replace(sick.status, health=HealthState.UNHEALTHY))
    assert not assess(moment(sick, mode=web), Asked.TASKS).converged


def detail(
    mode: ServiceMode, *, most: int = 0, stopped: bool = False, update: UpdateState = UpdateState.NONE
) -> ServiceDetail:
    spec = ServiceSpec(name="web", mode=mode, task=TaskSpec(placement=Placement(max_replicas_per_node=most)))
    service = Service(id="s", name="web", stopped=stopped, update_status=UpdateStatus(state=update))
    return ServiceDetail(service, Revision(spec=spec), running=2, desired=5, completed=3)


def test_replicas_are_shown_as_docker_does_and_what_is_out_of_the_ordinary() -> None:
    ten = ServiceMode(ServiceModeKind.REPLICATED_JOB, total_completions=10, max_concurrent=5)
    assert show.replicas(detail(ten)) == "2/5 (3/10 completed)"
    assert show.replicas(detail(EVERYWHERE)) == "2/5 (3/8 completed)"
    assert show.replicas(detail(ServiceMode(replicas=5), most=2)) == "2/5 (max 2 per node)"
    assert show.replicas(detail(ServiceMode(replicas=5), stopped=True)) == "2/5 (stopped)"
    assert show.replicas(detail(ServiceMode(), update=UpdateState.PAUSED)) == "2/5 (update paused)"
    assert show.replicas(detail(ServiceMode(), update=UpdateState.UPDATING)) == "2/5"
    assert total(detail(ServiceMode(ServiceModeKind.REPLICATED_JOB, max_concurrent=4))) == 4


def test_a_jobs_first_slot_is_a_place_like_any_other() -> None:
    names = {"s": show.Called("sums", ServiceModeKind.REPLICATED_JOB)}
    tasks = [task(0, FAILED, SHUTDOWN, node="n1"), task(0, created=2, node="n2"), task(1)]
    lines = show.rows(show.newest_first(tasks, names), names, {}, {}, 10)
    assert [line[1] for line in lines] == ["sums.0", " \\_ sums.0", "sums.1"]
    gone = show.rows(show.newest_first(tasks, {}), {}, {}, {}, 10)
    assert [line[1] for line in gone] == ["s.n1", "s.n2", "s.1"]


def test_a_row_says_what_health_and_a_pause_mean() -> None:
    names = {"s": show.Called("web", ServiceModeKind.REPLICATED)}
    sick = task(1, RUNNING, RUNNING)
    sick = replace(sick, status=replace(sick.status, health=HealthState.HEALTHY))
    held = task(2, TaskState.READY, TaskState.READY)
    held = replace(
        held, status=replace(held.status, message="restarting 40 s after it ended, 6 times in a row")
    )
    one, two = show.rows([sick, held], names, {}, {}, 10, whole=True)
    assert one[5].endswith("(healthy)")
    assert two[6] == '"restarting 40 s after it ended, 6 times in a row"'
