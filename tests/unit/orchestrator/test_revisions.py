from random import Random

import pytest
from msgspec.structs import replace

from covey.errors import FailedPrecondition, InvalidArgument
from covey.model.history import AUTOMATIC
from covey.model.objects import Revision, Service, UpdateStatus
from covey.model.specs import (
    EndpointSpec,
    NetworkAttachmentSpec,
    Placement,
    PortConfig,
    RegistryAuth,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
)
from covey.model.states import EndpointMode, PublishMode, ServiceModeKind, UpdateState
from manager.orchestrator.revisions import (
    adopt,
    before,
    find_rollback,
    first_revision,
    needs_new_tasks,
    next_revision,
    prunable,
    resumed,
    rolled_back,
    rolling_back,
)

SPEC = ServiceSpec(name="web")
PORT = PortConfig(target_port=80, published_port=8080)


def of_task(**changes: object) -> ServiceSpec:
    return replace(SPEC, task=replace(SPEC.task, **changes))


def of_container(**changes: object) -> ServiceSpec:
    return of_task(container=replace(SPEC.task.container, **changes))


@pytest.mark.parametrize(
    "changed",
    [
        of_container(image="web:2"),
        of_container(env=("A=1",)),
        of_task(networks=(NetworkAttachmentSpec("net"),)),
        of_task(force_update=1),
        replace(SPEC, endpoint=EndpointSpec(ports=(PORT,))),  # its tasks lack an ingress interface
        replace(SPEC, endpoint=EndpointSpec(ports=(replace(PORT, publish_mode=PublishMode.HOST),))),
    ],
)
def test_what_a_container_is_made_of_needs_new_tasks(changed: ServiceSpec) -> None:
    assert needs_new_tasks(SPEC, changed)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SPEC, mode=ServiceMode(replicas=9)),
        replace(SPEC, labels={"a": "b"}),
        replace(SPEC, update=UpdateConfig(parallelism=3)),
        replace(SPEC, update=UpdateConfig(start_deadline_ns=1)),
        replace(SPEC, rollback=UpdateConfig(parallelism=3)),
        replace(SPEC, endpoint=EndpointSpec(mode=EndpointMode.DNSRR)),
        replace(SPEC, endpoint=EndpointSpec(drain_ns=1)),
        of_task(placement=Placement(constraints=("node.role==worker",))),
        of_task(restart=RestartPolicy(max_attempts=3)),
        of_container(registry_auth=RegistryAuth("me", "secret")),
    ],
)
def test_what_only_managers_act_on_does_not(changed: ServiceSpec) -> None:
    assert not needs_new_tasks(SPEC, changed)


def test_moving_an_ingress_port_does_not() -> None:
    one = replace(SPEC, endpoint=EndpointSpec(ports=(PORT,)))
    other = replace(SPEC, endpoint=EndpointSpec(ports=(replace(PORT, published_port=9090),)))
    assert not needs_new_tasks(one, other)


def history() -> tuple[Service, list[Revision]]:
    """A service that was updated, then scaled."""
    dice = Random(1)
    one = first_revision("s", SPEC, dice)
    service = adopt(Service(id="s", name="web"), None, one)
    two = next_revision(service, one, of_container(image="web:2"), dice)
    service = adopt(service, one, two)
    three = next_revision(service, two, replace(two.spec, mode=ServiceMode(replicas=5)), dice)
    return adopt(service, two, three), [one, two, three]


def test_generations_count_restarts_and_numbers_count_revisions() -> None:
    service, revisions = history()
    assert [(r.number, r.restart_generation) for r in revisions] == [(1, 1), (2, 2), (3, 2)]
    assert (service.revision_id, service.previous_revision_id) == (revisions[2].id, revisions[1].id)
    forced = next_revision(service, revisions[2], revisions[2].spec, Random(2), force=True)
    assert (forced.number, forced.restart_generation) == (4, 4)


def test_a_rollback_goes_past_a_scale_and_keeps_its_replicas() -> None:
    service, revisions = history()
    to = before(revisions[2], revisions)
    assert to == revisions[0]
    back = rolled_back(service, revisions[2], to, Random(3))
    assert (back.number, back.restart_generation) == (4, 1)
    assert back.spec.task == revisions[0].spec.task
    assert back.spec.mode.replicas == 5
    assert before(revisions[0], revisions) is None
    assert back.restores == 1


def test_a_rollback_after_a_change_of_constraints_only() -> None:
    service, revisions = history()
    back = rolled_back(service, revisions[2], revisions[0], Random(3))
    service = adopt(service, revisions[2], back)
    spec = replace(back.spec, task=replace(back.spec.task, placement=Placement(constraints=("node.id!=x",))))
    moved = next_revision(service, back, spec, Random(4))
    assert before(moved, [*revisions, back, moved]) == back, "not what was rolled back"


def test_people_name_a_revision_or_mean_the_one_before() -> None:
    service, revisions = history()
    current = revisions[2]
    assert find_rollback(current, revisions, 1) is revisions[0]
    assert find_rollback(current, revisions) is revisions[0], "past the scale: it would change nothing"
    labelled = next_revision(service, current, replace(current.spec, labels={"a": "b"}), Random(2))
    assert find_rollback(labelled, [*revisions, labelled]) is current


def test_a_revision_that_is_not_to_be_had_is_refused_with_those_that_are() -> None:
    _, revisions = history()
    with pytest.raises(InvalidArgument, match=r"revision: there is no 7; to be had are: 1, 2$"):
        find_rollback(revisions[2], revisions, 7)
    with pytest.raises(InvalidArgument, match=r"3 is the current one; there are also: 1, 2$"):
        find_rollback(revisions[2], revisions, 3)
    with pytest.raises(FailedPrecondition, match=r"none before 1 .* to be had are: 2, 3$"):
        find_rollback(revisions[0], revisions)
    with pytest.raises(FailedPrecondition, match=r"none but the current one$"):
        find_rollback(revisions[0], revisions[:1])


def test_a_rollback_asked_for_goes_by_the_rules_of_rollbacks() -> None:
    service, revisions = history()
    back = rolled_back(service, revisions[2], revisions[0], Random(3), author="me")
    status = rolling_back(service, revisions[2], back, 7).update_status
    assert status == UpdateStatus(UpdateState.ROLLBACK_STARTED, 7, 0, "manually requested rollback")
    assert (back.author, back.restores) == ("me", 1)


def test_a_job_that_is_rolled_back_runs_anew() -> None:
    dice = Random(1)
    one = first_revision("s", replace(SPEC, mode=ServiceMode(ServiceModeKind.REPLICATED_JOB)), dice)
    service = adopt(Service(id="s", name="web"), None, one)
    two = next_revision(service, one, one.spec, dice)
    assert two.restart_generation == 2, "every revision of a job is an iteration"
    service = adopt(service, one, two)
    back = rolled_back(service, two, one, dice)
    assert back.restart_generation == 3
    assert rolling_back(service, two, back, 7).update_status == UpdateStatus()


@pytest.mark.parametrize(
    ("paused", "then"),
    [
        (UpdateState.PAUSED, UpdateState.UPDATING),
        (UpdateState.ROLLBACK_PAUSED, UpdateState.ROLLBACK_STARTED),
        (UpdateState.COMPLETED, UpdateState.COMPLETED),
    ],
)
def test_what_is_paused_goes_on_by_the_rules_it_went_by(paused: UpdateState, then: UpdateState) -> None:
    service = Service(id="s", update_status=UpdateStatus(paused, 5, 0, "why"))
    after = resumed(service).update_status
    assert (after.state, after.started_at_ns) == (then, 5)
    assert (after.message == "why") == (paused is then)


def test_only_a_restart_or_a_standstill_starts_the_update_status_anew() -> None:
    service, (_, two, three) = history()
    running = replace(service, update_status=UpdateStatus(state=UpdateState.UPDATING))
    assert adopt(running, two, three).update_status.state is UpdateState.UPDATING
    paused = replace(service, update_status=UpdateStatus(state=UpdateState.PAUSED))
    assert adopt(paused, two, three).update_status.state is UpdateState.UPDATING
    half_back = replace(service, update_status=UpdateStatus(state=UpdateState.ROLLBACK_PAUSED))
    assert adopt(half_back, two, three).update_status.state is UpdateState.ROLLBACK_STARTED
    back = replace(service, update_status=UpdateStatus(state=UpdateState.ROLLBACK_COMPLETED))
    assert adopt(back, two, three).update_status.state is UpdateState.NONE, "a scale did not fail for that"
    done = replace(service, update_status=UpdateStatus(state=UpdateState.COMPLETED))
    assert adopt(done, two, three).update_status.state is UpdateState.COMPLETED
    forced = replace(three, restart_generation=9)
    assert adopt(running, two, forced).update_status.state is UpdateState.NONE


def test_old_revisions_are_forgotten_unless_something_refers_to_them() -> None:
    revisions = [Revision(id=f"r{n}", service_id="s", number=n) for n in range(1, 16)]
    service = Service(id="s", revision_id="r15", previous_revision_id="r2")
    gone = {r.id for r in prunable(service, revisions, {"r4"})}
    assert gone == {"r1", "r3", "r5"}


def test_however_often_it_was_scaled_there_is_a_way_back() -> None:
    dice = Random(1)
    history = [first_revision("s", of_container(image="web:1"), dice)]
    service = adopt(Service(id="s", name="web"), None, history[0])
    for replicas in (1, *range(2, 30)):
        spec = replace(of_container(image="web:2"), mode=ServiceMode(replicas=replicas))
        history.append(next_revision(service, history[-1], spec, dice))
        service = adopt(service, history[-2], history[-1])
        history = [r for r in history if r not in prunable(service, history, ())]
    assert find_rollback(history[-1], history).spec.task.container.image == "web:1"


def test_what_failed_is_not_gone_back_to_after_a_scale_either() -> None:
    dice = Random(1)
    spec = of_container(image="web:1")
    history = [first_revision("s", of_container(image="web:0"), dice)]
    service = adopt(Service(id="s", name="web"), None, history[0])

    def add(revision: Revision) -> None:
        nonlocal service
        history.append(revision)
        service = adopt(service, history[-2], revision)

    add(next_revision(service, history[-1], spec, dice))
    add(next_revision(service, history[-1], of_container(image="bad:1"), dice))
    add(rolled_back(service, history[-1], history[1], dice, author=AUTOMATIC))
    assert find_rollback(history[-1], history).number == 1
    add(next_revision(service, history[-1], replace(spec, mode=ServiceMode(replicas=7)), dice))
    assert find_rollback(history[-1], history).number == 1
    add(next_revision(service, history[-1], of_container(image="web:3"), dice))
    assert find_rollback(history[-1], history).spec.task.container.image == "web:1"
