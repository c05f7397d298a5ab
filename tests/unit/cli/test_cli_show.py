import json

from msgspec.structs import replace

from covey.cli.show import tasks as show
from covey.cli.show.converge import Asked, assess
from covey.cli.show.jsonable import json_array
from covey.cli.show.pretty import pretty
from covey.cli.show.text import age, ago, first_line, table
from covey.client.views import Progress, ServiceDetail
from covey.model.objects import Meta, Node, NodeDescription, Revision, Service, Task, TaskStatus, UpdateStatus
from covey.model.specs import (
    ContainerSpec,
    GenericResource,
    NodeSpec,
    PortConfig,
    ResourceRequirements,
    Resources,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import PublishMode, ServiceModeKind, TaskState, UpdateState

S = 1_000_000_000
RUNNING, FAILED, PREPARING, PENDING = (
    TaskState.RUNNING,
    TaskState.FAILED,
    TaskState.PREPARING,
    TaskState.PENDING,
)


def task(
    slot: int,
    state: TaskState = RUNNING,
    revision: str = "new",
    desired: TaskState = RUNNING,
    err: str = "",
    created: int = 1,
    node: str = "n1",
) -> Task:
    return Task(
        id=f"{slot}{state}{created}",
        meta=Meta(created_at_ns=created),
        service_id="s",
        revision_id=revision,
        slot=slot,
        node_id=node,
        desired_state=desired,
        status=TaskStatus(state=state, err=err, at_ns=created),
    )


def moment(
    *tasks: Task, desired: int = 2, update: UpdateState = UpdateState.NONE, everywhere: bool = False
) -> Progress:
    kind = ServiceModeKind.GLOBAL if everywhere else ServiceModeKind.REPLICATED
    spec = ServiceSpec(name="web", mode=ServiceMode(kind=kind, replicas=desired))
    service = Service(
        id="s", name="web", revision_id="new", update_status=UpdateStatus(state=update, message="why")
    )
    return Progress(ServiceDetail(service, Revision(id="new", spec=spec), desired=desired), tasks)


def test_a_service_has_converged_when_every_place_runs() -> None:
    assert assess(moment(task(1), task(2)), Asked.UPDATE).converged
    assert not assess(moment(task(1), task(2, PREPARING)), Asked.UPDATE).converged
    assert not assess(moment(task(1)), Asked.UPDATE).converged
    assert assess(moment(desired=0), Asked.UPDATE).converged


def test_old_tasks_do_not_count_where_new_ones_are_wanted() -> None:
    old = moment(task(1, revision="old"), task(2, revision="old"))
    assert not assess(old, Asked.UPDATE).converged
    assert assess(old, Asked.TASKS).converged
    assert assess(
        moment(task(1, revision="old"), task(2), update=UpdateState.COMPLETED), Asked.UPDATE
    ).converged
    assert not assess(moment(task(1), task(2), update=UpdateState.UPDATING), Asked.UPDATE).converged


def test_what_is_still_stopping_holds_up_an_update_but_no_scale() -> None:
    ending = task(2, desired=TaskState.SHUTDOWN, created=0)
    assert not assess(moment(task(1), task(2), ending), Asked.UPDATE).converged
    assert assess(moment(task(1), task(2), ending), Asked.TASKS).converged


def test_an_update_that_stopped_has_failed() -> None:
    verdict = assess(moment(task(1), task(2), update=UpdateState.PAUSED), Asked.UPDATE)
    assert verdict.failed == "the update is paused: why"
    assert not verdict.converged


def test_a_service_that_is_being_removed_is_not_waited_for() -> None:
    running = moment(task(1), task(2))
    service = replace(running.detail.service, pending_delete=True)
    removed = replace(running, detail=replace(running.detail, service=service))
    assert assess(removed, Asked.TASKS).failed == "the service is being removed"


def test_a_place_tells_what_went_wrong_last() -> None:
    failed = task(1, FAILED, desired=TaskState.SHUTDOWN, err="exit 1", created=1)
    (place,) = assess(moment(failed, task(1, PENDING, created=2), desired=1), Asked.UPDATE).places
    assert (place.error, place.past, place.good) == ("exit 1", True, False)
    older = replace(failed, revision_id="old")
    (place,) = assess(moment(older, task(1, PENDING, created=2), desired=1), Asked.UPDATE).places
    assert place.error == "", "that is no news of this revision"
    (place,) = assess(moment(failed, task(1, created=2), desired=1), Asked.UPDATE).places
    assert (place.error, place.good) == ("", True)


def ended(slot: int, state: TaskState, err: str = "", revision: str = "new", node: str = "n1") -> Task:
    return task(slot, state, revision, TaskState.SHUTDOWN, err, node=node)


def test_there_is_nothing_to_wait_for_once_no_attempt_will_follow() -> None:
    rejected = ended(2, TaskState.REJECTED, "no such image")
    assert not assess(moment(task(1, PREPARING), rejected), Asked.UPDATE).failed, "the others may yet come up"
    verdict = assess(moment(task(1), rejected), Asked.UPDATE)
    assert verdict.failed == "task 2 rejected, and the restart policy lets no other follow: no such image"
    assert (verdict.running, verdict.desired, verdict.converged) == (1, 2, False)
    follower = task(2, PENDING, created=2)
    assert not assess(moment(task(1), rejected, follower), Asked.UPDATE).failed
    undecided = task(2, TaskState.REJECTED, err="no such image")
    assert not assess(moment(task(1), undecided), Asked.UPDATE).failed, "the managers have yet to see it"
    older = ended(2, TaskState.REJECTED, "no such image", revision="old")
    assert not assess(moment(task(1), older), Asked.UPDATE).failed, "the new revision's task has yet to come"
    assert assess(moment(task(1), older), Asked.TASKS).failed


def test_a_task_that_was_to_run_once_and_did_has_done_what_was_asked() -> None:
    verdict = assess(moment(task(1), ended(2, TaskState.COMPLETE)), Asked.UPDATE)
    assert (verdict.converged, verdict.running, verdict.failed) == (True, 2, "")


def test_spent_places_that_are_no_longer_asked_for_do_not_matter() -> None:
    verdict = assess(moment(task(1), ended(2, FAILED, "exit code 1"), desired=1), Asked.TASKS)
    assert (verdict.converged, len(verdict.places), verdict.failed) == (True, 1, "")


def test_spent_nodes_of_a_global_service() -> None:
    failed = ended(0, FAILED, "exit code 1", node="n2")
    verdict = assess(moment(task(0, node="n1"), failed, desired=1, everywhere=True), Asked.UPDATE)
    assert verdict.failed == "task n2 failed, and the restart policy lets no other follow: exit code 1"
    complete = ended(0, TaskState.COMPLETE, node="n2")
    assert assess(moment(task(0, node="n1"), complete, desired=1, everywhere=True), Asked.UPDATE).converged


def test_a_global_services_places_are_nodes() -> None:
    verdict = assess(moment(task(0, node="n1"), task(0, node="n2"), everywhere=True), Asked.UPDATE)
    assert [place.name for place in verdict.places] == ["n1", "n2"]
    assert verdict.converged


def test_tables_are_plain() -> None:
    assert table(("A", "LONG"), [("xx", ""), ("y", "z")]) == "A    LONG\nxx\ny    z"


def test_ages() -> None:
    assert [age(s) for s in (0, 1, 59, 60, 3600, 86_400 * 3, 86_400 * 30, 86_400 * 800)] == [
        "less than a second",
        "1 second",
        "59 seconds",
        "1 minute",
        "1 hour",
        "3 days",
        "4 weeks",
        "2 years",
    ]
    assert ago(0, 5 * S) == ""
    assert ago(S, 3 * S) == "2 seconds ago"


def test_errors_are_cut_for_a_table_only() -> None:
    assert first_line("") == ""
    assert first_line("a\nb") == '"a"'
    assert first_line("a\n  b\n", whole=True) == '"a | b"'
    assert len(first_line("x" * 100)) == 62


WEB = {"s": show.Called("web", ServiceModeKind.REPLICATED)}


def test_tasks_stand_newest_first_in_each_place() -> None:
    old, new = task(1, FAILED, desired=TaskState.SHUTDOWN, created=1, err="exit 1"), task(1, created=2)
    lines = show.rows(show.newest_first([old, task(2), new], WEB), WEB, {"new": "img"}, {"n1": "w1"}, 10)
    assert [line[1] for line in lines] == ["web.1", " \\_ web.1", "web.2"]
    assert lines[1][2:7] == ("img", "w1", "Shutdown", "Failed less than a second ago", '"exit 1"')


def test_ports() -> None:
    mesh = PortConfig(target_port=80, published_port=8080)
    host = PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST)
    assert show.ports_text((mesh, host)) == "*:8080->80/tcp, 8080->80/tcp"


def test_json_names_enumerations_and_dates() -> None:
    (shown,) = json.loads(json_array([task(1, created=1_900_000_000 * S + 5)]))
    assert shown["desired_state"] == "running"
    assert shown["meta"]["created_at"] == "2030-03-17T17:46:40.000000005Z"
    assert shown["meta"]["updated_at"] is None
    assert shown["status"]["exit_code"] is None


def test_pretty_writes_generic_resources_as_people_do() -> None:
    generic = (GenericResource("gpu", "UUID-1", 1), GenericResource("ssd", count=3))
    assert pretty(Resources(generic=generic)) == "Generic:\n  - gpu=UUID-1\n  - ssd=3"


def test_pretty_shows_what_is_set() -> None:
    node = Node(id="n", spec=NodeSpec(labels={"disk": "ssd"}), description=NodeDescription(hostname="w1"))
    assert pretty(node) == "Id: n\nSpec:\n  Labels:\n    disk=ssd\nDescription:\n  Hostname: w1"
    container = ContainerSpec(image="i", env=("A=1",), stop_grace_ns=90 * S)
    limits = ResourceRequirements(limits=Resources(nano_cpus=S // 2, memory_bytes=64 << 20))
    assert pretty(TaskSpec(container=container, resources=limits)).splitlines() == [
        "Container:",
        "  Image: i",
        "  Env:",
        "    - A=1",
        "  Stop grace: 1m30s",
        "Resources:",
        "  Limits:",
        "    Cpus: 0.5",
        "    Memory: 64m",
    ]
