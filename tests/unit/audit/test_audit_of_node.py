"""A node's audit of itself: what counts, what is repaired, and what is said of it. All parts are fakes."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from msgspec.structs import replace

from agent.audit import judging
from agent.audit.driver import Auditor
from agent.audit.known import Known, known
from agent.audit.look import Look, together
from agent.dns.fake import FakeNames
from agent.images.fake import FakeImages
from agent.network.fake import FakeNetworks
from agent.runtime.fake import COMMANDS, FakeHost, FakeRuntime
from agent.runtime.faulty import FaultyRuntime
from agent.runtime.seam import Container, ContainerState, Observed
from agent.session.messages import AuditQuestion
from agent.tasks.lifecycle import Act, Box, Goal
from agent.tasks.record import Record
from covey import limits
from covey.errors import Unavailable
from covey.model.audit import AuditReport, Finding, summary
from covey.model.objects import AuditCount, Task, TaskStatus
from covey.model.states import TaskState

WRONG = Finding("FDB", "net-1", "02:42 is missing on vx0")
OTHER = Finding("DNS", "t1", "its container's names are not served")


class Node:
    """A node of fakes with the containers `t1` and `t2`."""

    def __init__(self) -> None:
        self.host = FakeHost()
        self.runtime = FaultyRuntime(FakeRuntime(self.host))
        self.networks, self.names, self.images = FakeNetworks(), FakeNames(), FakeImages(anything=True)
        self.records = {id: record(id, box=Box.RUNNING) for id in ("t1", "t2")}
        self.auditor = Auditor(
            self.runtime, self.images, self.networks, self.names, lambda: known(self.records.values())
        )
        self.auditor.settle_ms = 0

    async def run(self, *ids: str) -> None:
        for id in ids:
            await self.runtime.create(Container(id=id, layers=("/l",), args=(next(iter(COMMANDS)),)))


def record(id: str, *, box: Box = Box.ABSENT, busy: Act | None = None, goal: Goal = Goal.RUN) -> Record:
    made = Record(Task(id=id), goal, TaskStatus(state=TaskState.RUNNING), box=box)
    made.busy = busy
    return made


def audit(node: Node, *, repair: bool = False, containers: Sequence[str] = ("t1", "t2")) -> AuditReport:
    async def work() -> AuditReport:
        await node.run(*containers)
        return await node.auditor.audit(repair=repair)

    return asyncio.run(work())


def words(report: AuditReport) -> list[tuple[str, str, bool]]:
    return [(each.kind, each.place, each.repaired) for each in report.findings]


def test_nothing_is_amiss() -> None:
    report = audit(Node())
    assert report.findings == ()
    assert report.counts == ()
    assert report.remarks == ()
    assert report.compared > 0
    assert report.task_ids == ("t1", "t2")


def test_what_the_parts_find_is_told_and_left_alone() -> None:
    node = Node()
    node.networks.amiss, node.names.amiss = [WRONG], [OTHER]
    node.host.leftovers = [Finding("mount", "gone", "its file system is still mounted")]
    report = audit(node, containers=("t1", "t2", "stray"))
    kinds = {"FDB", "DNS", "mount", "container"}
    assert {each.kind for each in report.findings} == kinds
    assert not any(each.repaired for each in report.findings)
    assert report.counts == tuple(AuditCount(kind, 1) for kind in sorted(kinds))
    assert (node.networks.amiss, node.names.amiss, node.host.removed) == ([WRONG], [OTHER], [])


def test_a_repair_puts_right_what_it_may_and_touches_no_task() -> None:
    node = Node()
    node.networks.amiss, node.names.amiss = [WRONG], [OTHER]
    node.host.leftovers = [
        Finding("mount", "gone", "its file system is still mounted"),
        Finding("mount", "t1", "of a task"),
    ]
    report = audit(node, repair=True, containers=("t1", "t2", "stray"))
    assert sorted(words(report)) == [
        ("DNS", "t1", True),
        ("FDB", "net-1", True),
        ("container", "stray", True),
        ("mount", "gone", True),
    ]
    assert report.counts == ()
    assert node.host.removed == ["stray"]
    assert [each.place for each in node.host.leftovers] == ["t1"]


def test_a_container_that_is_gone_is_told_and_remains() -> None:
    report = audit(Node(), repair=True, containers=("t1",))
    assert words(report) == [("container", "t2", False)]
    assert report.counts == (AuditCount("container", 1),)


def test_of_a_task_that_something_is_done_about_nothing_is_said() -> None:
    node = Node()
    node.records["t2"].busy = Act.START
    assert audit(node, containers=("t1",)).findings == ()


def test_what_was_only_under_way_is_no_finding() -> None:
    """The second look finds it put right, or finds something else."""
    found = judging.standing(Look(5, (WRONG, OTHER)), Look(6, (OTHER, Finding("VIP", "t1", "is missing"))))
    assert found == Look(6, (OTHER,))


def test_a_part_that_cannot_look_is_a_remark_and_the_others_do() -> None:
    node = Node()
    node.names.amiss = [OTHER]
    for _ in range(2):
        node.runtime.fail("audit", Unavailable("the disk does not answer"))
    report = audit(node)
    assert words(report) == [("DNS", "t1", False)]
    assert report.remarks == ("what containers left behind cannot be looked at: the disk does not answer",)


def test_a_part_that_cannot_repair_is_a_remark_and_the_others_do() -> None:
    node = Node()
    node.names.amiss = [OTHER]
    node.runtime.fail("clear", Unavailable("the disk is full"))
    report = audit(node, repair=True)
    assert words(report) == [("DNS", "t1", True)]
    assert report.remarks == ("what containers left behind cannot be repaired: the disk is full",)


def test_images_that_no_task_refers_to_are_counted_and_no_fault() -> None:
    async def work() -> AuditReport:
        node = Node()
        await node.run("t1", "t2")
        used, _ = await node.images.ensure("used"), await node.images.ensure("unused")
        node.records["t1"].image = used
        return await node.auditor.audit()

    report = asyncio.run(work())
    assert (report.unused_images, report.findings) == (1, ())


def test_a_report_is_bounded_and_counts_what_it_leaves_out() -> None:
    many = tuple(Finding("FDB", f"net-{n}", "x" * 1_000) for n in range(limits.audit_findings_max + 7))
    report = judging.report(Look(1, many), None, Known(), (0, 0), 5)
    assert len(report.findings) == limits.audit_findings_max
    assert all(len(each.words) <= limits.audit_words_chars_max for each in report.findings)
    assert report.omitted == 7
    assert report.counts == (AuditCount("FDB", len(many)),)


def test_processes_that_come_and_go_do_not_hide_where_they_run() -> None:
    looks = [
        Look(1, (Finding("cgroup", "/covey/t1", f"1 processes run in it (such as {n})"),)) for n in (7, 8)
    ]
    assert judging.standing(*looks).findings == looks[1].findings
    report = judging.report(looks[0], looks[1], Known(), (0, 0), 5)
    assert report.findings == looks[1].findings, "not repaired: others run there now"


def test_what_is_worth_knowing_is_told_beside_what_is_amiss() -> None:
    first, second = Look(notes=("2 packets were dropped",)), Look(notes=("3 packets were dropped",))
    seen = judging.standing(first, together([second, Look(1, (WRONG,))]))
    report = judging.report(seen, None, Known(), (0, 0), 5)
    assert (report.notes, report.remarks, report.findings) == (("3 packets were dropped",), (), ())


def test_tasks_that_the_managers_have_forgotten_are_not_among_those_it_has() -> None:
    report = judging.report(Look(), None, known([record("t1"), record("t2", goal=Goal.FORGET)]), (0, 0), 5)
    assert report.task_ids == ("t1",)


def test_strays_and_lost_containers() -> None:
    here = [Observed(id, ContainerState.RUNNING) for id in ("a", "b")]
    seen = judging.containers(Known(frozenset({"b", "c"}), frozenset({"b", "c"})), here)
    assert [(each.place, each.words) for each in seen.findings] == [
        ("a", "belongs to no task of this node"),
        ("c", "is gone, and its task does not know it"),
    ]
    assert seen.compared == 3


def test_an_answer_says_why_there_is_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> str:
        node = Node()
        node.runtime.hang("audit")
        monkeypatch.setattr(limits, "audit_node_s", 0.01)
        answer = await node.auditor.answer(AuditQuestion("a1"))
        assert answer.audit_id == "a1"
        return answer.refusal

    assert "took longer than 0.01 s" in asyncio.run(work())


def test_no_more_audits_are_waited_for_than_few() -> None:
    async def work() -> list[str]:
        node = Node()
        node.runtime.hang("audit")
        questions = [AuditQuestion(f"a{number}") for number in range(limits.audits_at_once + 2)]
        asking = [asyncio.create_task(node.auditor.answer(each)) for each in questions]
        for each in asking[-2:]:
            assert "4 audits to make already" in (await each).refusal
        assert not any(each.done() for each in asking[:-2])
        node.runtime.release("audit")
        refusals = [(await each).refusal for each in asking[:-2]]
        return [*refusals, (await node.auditor.answer(questions[0])).refusal]

    assert set(asyncio.run(work())) == {""}


def test_a_fault_of_our_own_in_an_audit_ends_no_agent() -> None:
    async def work() -> str:
        node = Node()
        node.runtime.fail("list", AssertionError("this cannot be"))
        return (await node.auditor.answer(AuditQuestion("a1"))).refusal

    assert asyncio.run(work()) == "internal error: AssertionError('this cannot be')"


def test_audits_that_nobody_asks_for_are_told_with_their_counts() -> None:
    async def work() -> AuditReport:
        node = Node()
        node.networks.amiss = [WRONG]
        await node.run("t1", "t2")
        told: asyncio.Queue[AuditReport] = asyncio.Queue()
        running = asyncio.create_task(node.auditor.periodic(Random(1), told.put_nowait))
        report = await told.get()
        running.cancel()
        return report

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits, "audit_period_s", 0.001)
        report = asyncio.run(work())
    assert report.counts == (AuditCount("FDB", 1),)


def test_the_summary_has_the_counts() -> None:
    report = AuditReport(at_ns=5, compared=9, counts=(AuditCount("FDB", 2),), unused_images=1)
    told = summary(replace(report, findings=(WRONG,)))
    assert (told.at_ns, told.compared, told.counts, told.unused_images) == (5, 9, (AuditCount("FDB", 2),), 1)
