"""Rolling back, stopping, starting and forcing a service; and who a history says it was."""

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest
from msgspec.structs import replace

from covey.errors import Conflict, FailedPrecondition, InvalidArgument
from covey.model.objects import Revision, Service, Task, TaskStatus, UpdateStatus
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    NetworkAttachmentSpec,
    PortConfig,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import ServiceModeKind, TaskState, UpdateState
from covey.v1.control_pb2 import ServiceDetail
from covey.wire.service import Caller, Role
from manager.control.services import (
    create_service,
    current_revision,
    describe,
    roll_back_service,
    start_service,
    stop_service,
    update_service,
)
from manager.control.services.author import author
from manager.store.draft import Draft
from manager.store.tables import Tables
from tests.support.cluster_objects import change, two_nodes_one_service

T = TypeVar("T")
SPEC = ServiceSpec(name="api", task=TaskSpec(container=ContainerSpec(image="demo/api:1")))


def image(spec: ServiceSpec, name: str) -> ServiceSpec:
    return replace(spec, task=replace(spec.task, container=replace(spec.task.container, image=name)))


class Stage:
    """A store, and one service on it that is changed as people would."""

    def __init__(self, spec: ServiceSpec = SPEC) -> None:
        self.tables = two_nodes_one_service()
        self._dice = Random(2)
        self._id = self.do(lambda draft: create_service(draft, spec, Random(1), "the first")).id

    def do(self, act: Callable[[Draft], T]) -> T:
        draft = Draft(self.tables)
        result = act(draft)
        if transaction := draft.transaction():
            self.tables.commit(transaction)
        return result

    @property
    def service(self) -> Service:
        present = self.tables.get(Service, self._id)
        assert present is not None
        return present

    @property
    def revision(self) -> Revision:
        return current_revision(self.tables, self.service)

    @property
    def detail(self) -> ServiceDetail:
        return describe(self.tables, self.service)

    def update(self, spec: ServiceSpec, *, force: bool = False) -> None:
        version = self.service.meta.version
        self.do(
            lambda draft: update_service(
                draft, self._id, version, spec, self._dice, force=force, author="bob"
            )
        )

    def roll_back(self, number: int = 0, behind: int = 0) -> Revision:
        version = self.service.meta.version - behind
        return self.do(
            lambda draft: roll_back_service(
                draft, self._id, version, number, self._dice, now_ns=7, author="carol"
            )
        )

    def set_status(self, state: UpdateState) -> None:
        change(self.tables, replace(self.service, update_status=UpdateStatus(state, 1, 0, "why")))

    def task(self, slot: int, state: TaskState, revision: str = "", node: str = "n1") -> None:
        change(
            self.tables,
            Task(
                id=f"{slot}{node}{self.revision.number}{revision}",
                service_id=self._id,
                revision_id=revision or self.revision.id,
                slot=slot,
                node_id=node,
                status=TaskStatus(state=state),
                desired_state=TaskState.COMPLETE,
            ),
        )


def test_a_rollback_is_a_revision_that_says_what_it_restores() -> None:
    stage = Stage()
    first = stage.revision
    stage.update(replace(image(SPEC, "demo/api:2"), mode=ServiceMode(replicas=4)))
    assert stage.roll_back().number == 1
    back = stage.revision
    assert (back.number, back.restores, back.author) == (3, 1, "carol")
    assert back.restart_generation == first.restart_generation  # what still runs of it is right as it is
    assert back.spec == replace(SPEC, mode=ServiceMode(replicas=4))  # how many was not what went wrong
    status = stage.service.update_status
    assert (status.state, status.started_at_ns) == (UpdateState.ROLLBACK_STARTED, 7)


def test_any_revision_that_is_kept_can_be_brought_back_by_its_number() -> None:
    stage = Stage()
    for tag in "234":
        stage.update(image(SPEC, f"demo/api:{tag}"))
    assert stage.roll_back(2).number == 2
    assert stage.revision.spec.task.container.image == "demo/api:2"
    for number in (5, 9):
        with pytest.raises(InvalidArgument, match=f"revision: .*{number}"):
            stage.roll_back(number)


def test_a_rollback_needs_something_to_go_back_to_and_the_newest_reading() -> None:
    stage = Stage()
    with pytest.raises(FailedPrecondition, match="none before 1"):
        stage.roll_back()
    stage.update(image(SPEC, "demo/api:2"))
    with pytest.raises(Conflict):
        stage.roll_back(behind=1)


def test_a_rollback_does_not_take_a_port_from_another_service() -> None:
    published = replace(SPEC, endpoint=EndpointSpec(ports=(PortConfig(target_port=80, published_port=8080),)))
    stage = Stage(published)
    stage.update(SPEC)
    other = replace(published, name="other")
    stage.do(lambda draft: create_service(draft, other, Random(9)))
    with pytest.raises(Exception, match="port 8080/tcp is taken by service other"):
        stage.roll_back()


def test_force_replaces_all_tasks_though_nothing_changed() -> None:
    stage = Stage()
    stage.update(SPEC)
    assert stage.revision.number == 1
    stage.update(SPEC, force=True)
    assert (stage.revision.number, stage.revision.restart_generation) == (2, 2)
    assert stage.revision.author == "bob"


@pytest.mark.parametrize(
    ("paused", "goes_on"),
    [
        (UpdateState.PAUSED, UpdateState.UPDATING),
        (UpdateState.ROLLBACK_PAUSED, UpdateState.ROLLBACK_STARTED),
    ],
)
def test_an_update_without_a_change_lets_a_paused_rollout_go_on(
    paused: UpdateState, goes_on: UpdateState
) -> None:
    stage = Stage()
    stage.set_status(paused)
    stage.update(SPEC)
    assert (stage.service.update_status.state, stage.revision.number) == (goes_on, 1)


def test_an_update_without_a_change_leaves_all_else_alone() -> None:
    stage = Stage()
    for state in (UpdateState.NONE, UpdateState.UPDATING, UpdateState.COMPLETED):
        stage.set_status(state)
        stage.update(SPEC)
        assert stage.service.update_status.state is state


def test_a_stopped_service_keeps_its_definition() -> None:
    stage = Stage()
    before = stage.service
    stage.do(lambda draft: stop_service(draft, before.id))
    assert stage.service.stopped
    assert replace(stage.service, stopped=False, meta=before.meta) == before
    stage.do(lambda draft: start_service(draft, before.id))
    assert not stage.service.stopped


JOB = replace(
    SPEC, mode=ServiceMode(kind=ServiceModeKind.REPLICATED_JOB, total_completions=5, max_concurrent=2)
)


def test_a_job_counts_the_places_that_are_done_in_this_iteration() -> None:
    stage = Stage(JOB)
    assert (stage.detail.desired, stage.detail.completed) == (2, 0)
    old = stage.revision.id
    stage.task(0, TaskState.COMPLETE)
    stage.update(image(JOB, "demo/api:2"))
    assert stage.detail.completed == 0
    for slot in range(4):
        stage.task(slot, TaskState.COMPLETE)
    stage.task(3, TaskState.COMPLETE, node="n2")  # a lost node came back, and had done it too
    stage.task(4, TaskState.COMPLETE, old)
    assert (stage.detail.desired, stage.detail.completed) == (1, 4)


def test_a_global_job_counts_nodes() -> None:
    stage = Stage(replace(SPEC, mode=ServiceMode(kind=ServiceModeKind.GLOBAL_JOB)))
    stage.task(0, TaskState.COMPLETE, node="n1")
    stage.task(0, TaskState.RUNNING, node="n2")
    assert (stage.detail.running, stage.detail.desired, stage.detail.completed) == (1, 1, 1)


def test_a_rolled_back_service_still_joins_its_networks() -> None:
    spec = replace(SPEC, task=replace(SPEC.task, networks=(NetworkAttachmentSpec(target="net"),)))
    stage = Stage(spec)
    stage.update(image(spec, "demo/api:2"))
    stage.roll_back()
    assert [n.target for n in stage.revision.spec.task.networks] == ["net"]


@pytest.mark.parametrize(
    ("caller", "said"),
    [
        (Caller(Role.LOCAL), "root on host1"),
        (Caller(Role.LOCAL, user="alice"), "root on host1 (alice)"),
        (Caller(Role.LOCAL, via="n2", user="alice"), "root on host2 (alice)"),
        (Caller(Role.MANAGER, "n2", host="192.0.2.2"), "manager host2"),
        (Caller(Role.MANAGER, "gone"), "manager gone"),
    ],
)
def test_a_history_says_who_it_was(caller: Caller, said: str) -> None:
    assert author(two_nodes_one_service(), caller, "n1") == said


def test_a_store_that_does_not_know_this_manager_yet_says_less() -> None:
    assert author(Tables(), Caller(Role.LOCAL), "") == "root on this host"
