"""What a plan says, and that it is what then happens."""

from collections import Counter
from collections.abc import Callable
from itertools import chain
from random import Random

from msgspec.structs import replace

from covey.model.objects import Service
from covey.model.specs import (
    ContainerSpec,
    Placement,
    ResourceRequirements,
    Resources,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from covey.model.states import Availability, ServiceModeKind, UpdateOrder
from covey.v1.control_pb2 import (
    PLAN_ACTION_CREATE,
    PLAN_ACTION_KEEP,
    PLAN_ACTION_STOP,
    PLAN_ACTION_WAIT,
    PlanStep,
)
from manager.orchestrator import revisions
from manager.rehearsal.driver import Make, Rehearsed, rehearse_on
from manager.store.draft import Draft
from manager.store.tables import Tables
from tests.support.planner_cluster import PlannerCluster

CREATE, STOP, KEEP, WAIT = PLAN_ACTION_CREATE, PLAN_ACTION_STOP, PLAN_ACTION_KEEP, PLAN_ACTION_WAIT
WEB = ServiceSpec(name="web", task=TaskSpec(container=ContainerSpec(image="web:1")))


def town(nodes: str = "abc") -> PlannerCluster:
    cluster = PlannerCluster()
    for name in nodes:
        cluster.node(name, cpus=4, memory=1 << 30)
    return cluster


def rehearsed(cluster: PlannerCluster, make: Make, given_up: Callable[[], bool] = lambda: False) -> Rehearsed:
    """Rehearse on a copy, and see that nothing of the original has changed."""
    before = (cluster.tables.index, cluster.tables.objects())
    objects = chain.from_iterable(rows.values() for rows in before[1].values())
    tables = Tables(cluster.tables.index, objects)
    result = rehearse_on(tables, make, Random(7), cluster.now_ns(), given_up)
    assert before == (cluster.tables.index, cluster.tables.objects())
    return result


def creating(spec: ServiceSpec) -> Make:
    def make(draft: Draft, dice: Random) -> str:
        revision = revisions.first_revision("svc-web", spec, dice)
        draft.put(revision)
        draft.put(revisions.adopt(Service(id="svc-web", name=spec.name), None, revision))
        return "svc-web"

    return make


def changing(
    cluster: PlannerCluster, change: Callable[[ServiceSpec], ServiceSpec], force: bool = False
) -> Make:
    def make(draft: Draft, dice: Random) -> str:
        service, current = cluster.service("svc-web"), cluster.revision("svc-web")
        after = revisions.next_revision(service, current, change(current.spec), dice, force=force)
        draft.put(after)
        draft.put(revisions.adopt(service, current, after))
        return "svc-web"

    return make


def of(action: int, plan: Rehearsed) -> list[PlanStep]:
    return [step for step in plan.steps if step.action == action]


def with_replicas(count: int) -> ServiceSpec:
    return replace(WEB, mode=ServiceMode(replicas=count))


def image(spec: ServiceSpec) -> ServiceSpec:
    return replace(spec, task=replace(spec.task, container=ContainerSpec(image="web:2")))


def test_a_new_service_shows_where_its_tasks_would_go() -> None:
    plan = rehearsed(town(), creating(with_replicas(6)))
    assert plan.before is None
    assert Counter(step.node_name for step in of(CREATE, plan)) == {"a": 2, "b": 2, "c": 2}
    assert sorted(step.slot for step in plan.steps) == [1, 2, 3, 4, 5, 6]
    assert (plan.rollout, plan.warnings) == ("", [])


def test_what_finds_no_node_waits_and_says_why() -> None:
    needy = replace(
        WEB,
        mode=ServiceMode(replicas=4),
        task=replace(WEB.task, resources=ResourceRequirements(reservations=Resources(nano_cpus=3 * 10**9))),
    )
    plan = rehearsed(town(), creating(needy))
    assert len(of(CREATE, plan)) == 3
    (waiting,) = of(WAIT, plan)
    assert waiting.reason.startswith("no suitable node of 3: resources 3 nodes: needs 3.0 cpus")
    assert not waiting.node_id


def test_an_update_shows_what_is_replaced_in_the_order_of_the_rollout() -> None:
    cluster = town()
    cluster.create(replace(with_replicas(4), update=UpdateConfig(parallelism=2)))
    cluster.run(5)
    old = {task.id for task in cluster.live("svc-web")}
    plan = rehearsed(cluster, changing(cluster, image))
    assert [step.action for step in plan.steps] == [CREATE, CREATE, STOP, STOP] * 2
    assert {step.replaces for step in of(CREATE, plan)} == old == {step.task_id for step in of(STOP, plan)}
    assert {step.revision for step in of(CREATE, plan)} == {2}
    assert {step.reason for step in of(STOP, plan)} == {"another task takes its place"}
    assert (
        plan.rollout
        == "4 tasks replaced, 2 at a time, the old one stops first, paused if one fails within 5 s"
    )
    assert plan.before is not None
    assert (plan.before.task.container.image, plan.after.task.container.image) == ("web:1", "web:2")


def test_a_change_that_needs_no_restart_keeps_all_tasks() -> None:
    cluster = town()
    cluster.create(with_replicas(3))
    cluster.run(2)
    plan = rehearsed(cluster, changing(cluster, lambda spec: replace(spec, labels={"a": "b"})))
    assert [step.action for step in plan.steps] == [KEEP] * 3


def test_scaling_down_names_who_goes_and_forcing_replaces_all() -> None:
    cluster = town()
    cluster.create(with_replicas(4))
    cluster.run(2)
    plan = rehearsed(cluster, changing(cluster, lambda spec: replace(spec, mode=ServiceMode(replicas=2))))
    assert [step.action for step in plan.steps] == [STOP, STOP, KEEP, KEEP]
    assert {step.reason for step in of(STOP, plan)} == {"its place is one too many for 2"}
    forced = rehearsed(cluster, changing(cluster, lambda spec: spec, force=True))
    assert len(of(CREATE, forced)) == len(of(STOP, forced)) == 4


def test_an_update_that_cannot_be_placed_says_that_it_would_come_to_a_standstill() -> None:
    cluster = town()
    cluster.create(replace(with_replicas(2), update=UpdateConfig(order=UpdateOrder.START_FIRST)))
    cluster.run(5)

    def nowhere(spec: ServiceSpec) -> ServiceSpec:
        task = replace(image(spec).task, placement=Placement(constraints=("node.labels.disk==ssd",)))
        return replace(spec, task=task)

    plan = rehearsed(cluster, changing(cluster, nowhere))
    assert of(WAIT, plan)
    assert any(text.startswith("it would come to a standstill: update paused") for text in plan.warnings)


def test_global_services_and_jobs_are_followed_to_their_end() -> None:
    everywhere = replace(WEB, mode=ServiceMode(kind=ServiceModeKind.GLOBAL))
    assert sorted(step.node_name for step in of(CREATE, rehearsed(town(), creating(everywhere)))) == list(
        "abc"
    )
    job = ServiceMode(kind=ServiceModeKind.REPLICATED_JOB, total_completions=5, max_concurrent=2)
    plan = rehearsed(town(), creating(replace(WEB, mode=job)))
    assert [step.slot for step in plan.steps] == [0, 1, 2, 3, 4]
    assert {step.action for step in plan.steps} == {CREATE}


def test_a_job_that_is_to_do_less_says_how_much() -> None:
    def at_once(count: int) -> ServiceMode:
        return ServiceMode(kind=ServiceModeKind.REPLICATED_JOB, max_concurrent=count)  # and as many in all

    cluster = town()
    cluster.finishes = lambda _: False
    cluster.create(replace(WEB, mode=at_once(3)))
    cluster.run(1)
    plan = rehearsed(cluster, changing(cluster, lambda spec: replace(spec, mode=at_once(2))))
    assert [step.reason for step in of(STOP, plan) if step.slot == 2] == ["its place is one too many for 2"]


def test_a_drained_node_is_no_place() -> None:
    cluster = town()
    cluster.set_node("a", availability=Availability.DRAIN)
    plan = rehearsed(cluster, creating(with_replicas(4)))
    assert {step.node_name for step in plan.steps} == {"b", "c"}


def test_a_plan_that_is_given_up_says_so() -> None:
    plan = rehearsed(town(), creating(with_replicas(3)), given_up=lambda: True)
    assert plan.warnings == ["this was not followed to its end, which is too far away: more would happen"]


def test_what_was_planned_is_what_happens() -> None:
    for seed in range(12):
        dice = Random(seed)
        cluster = PlannerCluster(seed)
        for name in "abcdef"[: dice.randint(2, 6)]:
            cluster.node(name, cpus=dice.randint(1, 4), memory=1 << 30)
        first = dice.randint(1, 8)
        order = dice.choice(list(UpdateOrder))
        cluster.create(
            replace(with_replicas(first), update=UpdateConfig(parallelism=dice.randint(0, 3), order=order))
        )
        cluster.run(8)
        then = dice.randint(1, 8)

        def change(spec: ServiceSpec, then: int = then) -> ServiceSpec:
            return replace(image(spec), mode=ServiceMode(replicas=then))

        plan = rehearsed(cluster, changing(cluster, change))
        cluster.update("svc-web", change)
        cluster.run(40, step_ms=1000)
        real = Counter(node for node, count in cluster.spread("svc-web").items() for _ in range(count))
        there = [step for step in plan.steps if step.action in (CREATE, KEEP)]
        assert sum(real.values()) == then == len(there) + len(of(WAIT, plan)), f"seed {seed}"
        assert sorted(real.values()) == sorted(Counter(step.node_name for step in there).values()), (
            f"seed {seed}"
        )
