"""Histories, plans and explanations, laid out."""

from msgspec.structs import replace

from covey.cli.show.history import entries, history_json, history_table
from covey.cli.show.plan import plan_text
from covey.cli.show.why import why_text
from covey.client.views import (
    Explanation,
    Plan,
    PlanAction,
    PlanStep,
    RuledOut,
    ServiceDetail,
    TaskExplanation,
)
from covey.model.difference import FieldChange
from covey.model.objects import Meta, Revision, Service
from covey.model.specs import ContainerSpec, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import ServiceModeKind

S = 1_000_000_000


def spec(image: str, replicas: int = 1) -> ServiceSpec:
    container = ContainerSpec(image=image, env=(f"TAG={image}",))
    return ServiceSpec(name="web", task=TaskSpec(container=container), mode=ServiceMode(replicas=replicas))


def revision(
    number: int, what: ServiceSpec, generation: int, who: str = "root on m1", back: int = 0
) -> Revision:
    return Revision(
        id=f"r{number}",
        number=number,
        restart_generation=generation,
        spec=what,
        author=who,
        restores=back,
        meta=Meta(created_at_ns=number * S),
    )


HISTORY = [
    revision(1, spec("web:1"), 1),
    revision(2, spec("web:2"), 2, "root on m1 (alice)"),
    revision(3, spec("web:2", 5), 2),
]


def detail(current: str = "r3") -> ServiceDetail:
    return ServiceDetail(Service(id="s", name="web", revision_id=current))


def test_a_history_is_told_newest_first_field_by_field() -> None:
    assert history_table(entries(detail(), HISTORY, {}), 4 * S).splitlines() == [
        "REVISION     WHEN            WHO                  WHAT",
        "3 current    1 second ago    root on m1           replicas: 1 → 5",
        "2            2 seconds ago   root on m1 (alice)   image: web:1 → web:2",
        "                                                  env TAG: web:1 → web:2",
        "1 previous   3 seconds ago   root on m1           created: web:1",
    ]


def test_a_rollback_says_what_it_restores_and_a_gap_that_it_is_one() -> None:
    back = replace(revision(9, spec("web:1", 5), 1, "covey", 1))
    older = revision(7, spec("web:2", 5), 2)
    newest, oldest = entries(detail("r9"), [back, older], {})
    assert (newest.mark, oldest.mark) == ("current", "previous")
    said = history_table([newest, oldest], 9 * S)
    assert "restores 1" in said
    assert "(the revision before it is not kept any more)" in said


def test_a_restart_is_told_as_one_and_not_as_a_count() -> None:
    def forced(number: int, count: int, back: int = 0) -> Revision:
        made = spec("web:1")
        again = replace(made, task=replace(made.task, force_update=count))
        return revision(number, again, number, back=back)

    kept = [forced(1, 0), forced(2, 1), forced(3, 0, back=1)]
    said = history_table(entries(detail(), kept, {}), 9 * S).splitlines()
    assert said[1].endswith("restores 1")
    assert said[2].endswith("all tasks replaced (restart, or update --force)")


def test_a_history_for_scripts() -> None:
    first = history_json(entries(detail(), HISTORY, {}))[0]
    assert first["revision"] == 3
    assert first["mark"] == "current"
    assert first["changes"] == [FieldChange("replicas", "1", "5")]


def test_a_plan_is_told_step_by_step_and_what_stays_is_counted() -> None:
    plan = Plan(
        steps=(
            PlanStep(PlanAction.CREATE, slot=2, node_name="w1", replaces="t" * 25),
            PlanStep(
                PlanAction.STOP, task_id="t" * 25, slot=2, node_name="w2", reason="of an older revision"
            ),
            PlanStep(PlanAction.WAIT, slot=3, reason="no suitable node"),
            PlanStep(PlanAction.KEEP, task_id="k" * 25, slot=1),
        ),
        changes=(FieldChange("image", "web:1", "web:2"), FieldChange("limit-memory", "", "64m")),
        rollout="1 task at a time",
    )
    assert plan_text(plan, "web", ServiceModeKind.REPLICATED).splitlines() == [
        "What would change:",
        "  image: web:1 → web:2",
        "  limit-memory: 64m (new)",
        "What would happen:",
        "  create web.2 on w1, in place of tttttttttttt",
        "  stop   web.2 on w2 (task tttttttttttt): of an older revision",
        "  wait   web.3 would find no node: no suitable node",
        "1 task would stay as it is.",
        "How: 1 task at a time",
        "This is a plan for web: nothing was changed.",
    ]
    assert "No task would be created or stopped." in plan_text(Plan(), "web", ServiceModeKind.GLOBAL)
    step = PlanStep(PlanAction.CREATE, node_name="w1")
    assert "create web.w1 on w1" in plan_text(Plan((step,)), "web", ServiceModeKind.GLOBAL)


def test_an_explanation_begins_with_the_answer_and_what_to_do() -> None:
    told = Explanation(
        summary="1 of 2 tasks of web runs; 1 waits for a node.",
        advice=("label a node disk=ssd",),
        tasks=(
            TaskExplanation(name="web.1", node_name="w1", text="it runs"),
            TaskExplanation(name="web.2", text="x"),
        ),
        ruled_out=(RuledOut("constraint", ("m1", "w2"), "node.labels.disk==ssd", "label one"),),
        open=("w1",),
        nodes=3,
    )
    assert why_text(told).splitlines() == [
        "1 of 2 tasks of web runs; 1 waits for a node.",
        "To do: label a node disk=ssd",
        "",
        "TASK    NODE   WHY",
        "web.1   w1     it runs",
        "web.2   -      x",
        "",
        "Nodes that could take one more task: 1 of 3 (w1)",
        "  constraint rules out 2 (m1, w2): node.labels.disk==ssd; label one",
    ]


def test_of_very_many_nodes_some_are_named_and_all_are_counted() -> None:
    names = tuple(f"n{number}" for number in range(1000))
    ruled_out = (RuledOut("resources", names[10:], "needs 64 cpus, best free is 8 on n10"),)
    told = Explanation(summary="web waits", ruled_out=ruled_out, open=names[:10], nodes=1000)
    assert why_text(told).splitlines()[2:] == [
        "Nodes that could take one more task: 10 of 1000 (n0, n1, n2, n3, n4, n5, n6, n7, and 2 more)",
        "  resources rules out 990 (n10, n11, n12, n13, n14, n15, n16, n17, and 982 more): needs 64 cpus, best free is 8 "
        "on n10",
    ]


def test_a_plan_of_a_thousand_tasks_is_read_at_a_glance() -> None:
    placed = [PlanStep(PlanAction.CREATE, slot=n, node_name=f"n{n % 200}") for n in range(1, 601)]
    waiting = [PlanStep(PlanAction.WAIT, slot=n, reason="no suitable node of 200") for n in range(601, 1001)]
    lines = plan_text(Plan(tuple(placed + waiting)), "web", ServiceModeKind.REPLICATED).splitlines()
    assert len(lines) == 64
    assert lines[:2] == ["What would happen:", "  create web.1 on n1"]
    assert lines[-3:] == [
        "  create 540 more on n61 (3), n62 (3), n63 (3), n64 (3), n65 (3), n66 (3), n67 (3), n68 (3), and 192 more",
        "  wait   web.601, web.602, web.603, web.604, web.605, web.606, web.607, web.608, and 392 more would find no "
        "node: no suitable node of 200",
        "This is a plan for web: nothing was changed.",
    ]


def test_reasons_of_their_own_are_bounded_too() -> None:
    waiting = tuple(
        PlanStep(PlanAction.WAIT, node_name=f"n{n}", reason=f"no room on n{n}") for n in range(200)
    )
    lines = plan_text(Plan(waiting), "agent", ServiceModeKind.GLOBAL).splitlines()
    assert lines[1] == "  wait   agent.n0 would find no node: no room on n0"
    assert lines[-2] == "  wait   140 more, for reasons of their own"


def test_tasks_that_stand_alike_are_told_once() -> None:
    waiting = tuple(TaskExplanation(name=f"web.{n}", text="no suitable node of 200") for n in range(1, 501))
    runs = TaskExplanation(name="web.501", node_name="n1", text="runs on n1")
    assert why_text(Explanation(summary="web waits", tasks=(*waiting, runs))).splitlines()[2:] == [
        "TASK                 NODE   WHY",
        "web.1 and 499 more   -      no suitable node of 200",
        "web.501              n1     runs on n1",
    ]
