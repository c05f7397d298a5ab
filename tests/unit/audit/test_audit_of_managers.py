"""The managers' part of an audit: what they compare, whom they ask, and who does not answer."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from random import Random

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import NotFound, NotLeader, ResourceExhausted
from covey.model.audit import AuditReport, Finding
from covey.model.objects import (
    KINDS,
    AuditCount,
    AuditSummary,
    Cluster,
    ClusterVersion,
    Endpoint,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
)
from covey.model.specs import NetworkSpec
from covey.model.states import EndpointState, NodeState, TaskState
from covey.v1 import audit_pb2
from covey.v1 import control_pb2 as pb
from covey.v1.dispatcher_pb2 import AuditAnswer, ManagerMessage
from covey.wire.codec import from_message, to_message
from covey.wire.service import Caller, Role
from manager.allocator.allocator import Allocator
from manager.audit import judging
from manager.audit.server import AuditServer
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.tables import network_table
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import Disk, FakeLog
from manager.store.tables import Tables
from manager.store.transaction import Change
from tests.support.cluster_objects import change, task, two_nodes_one_service

ROOT = Caller(Role.LOCAL)


def look(tables: Tables, sent: Tables | None = None) -> judging.Look:
    """Look at a store; the dispatcher's table of `net` is that of the store `sent`."""
    view = sent or tables
    network = view.get(Network, "net")
    assert network is not None
    table = network_table(view, network, ClusterVersion(1, view.index))
    return judging.look(tables, {"net": table}, lambda: False, Random(1))


def tables_found(found: judging.Look) -> list[str]:
    return [each.words for each in found.findings if each.kind == "table"]


def test_a_table_that_is_an_old_one_is_found() -> None:
    old, new = two_nodes_one_service(), two_nodes_one_service()
    assert tables_found(look(new)) == []
    e1 = new.get(Endpoint, "e1")
    assert e1 is not None
    change(new, replace(e1, state=EndpointState.DRAINING))
    assert tables_found(look(new, old)) == ["the row of endpoint e1 is missing or an old one"]
    draft = Draft(new)
    draft.delete(Endpoint, "e1")
    new.commit(draft.transaction())
    assert tables_found(look(new, old)) == ["there is a row of endpoint e1, which is gone"]


def test_the_store_is_held_to_its_own_rules() -> None:
    tables = two_nodes_one_service()
    change(tables, Network(id="other", spec=NetworkSpec(name="other"), vni=4096))
    assert "VNI 4096 is given 2 times" in [each.words for each in look(tables).findings]


def test_what_is_found_once_only_is_no_finding() -> None:
    tables = two_nodes_one_service()
    first = look(tables)
    second = replace_findings(first, (Finding("store", "the managers", "passing"),))
    assert list(judging.standing(tables, replace_findings(first, ()), second)) == []
    assert list(judging.standing(tables, second, second)) == [Finding("store", "the managers", "passing")]


def replace_findings(look: judging.Look, findings: tuple[Finding, ...]) -> judging.Look:
    return judging.Look(findings, look.compared, look.tasks, look.known, look.allocator, look.behind)


def behind(look: judging.Look, sent: int, applied: int) -> judging.Look:
    versions = {("n1", "net"): (ClusterVersion(1, sent), ClusterVersion(1, applied))}
    return judging.Look((), look.compared, look.tasks, look.known, look.allocator, versions)


@pytest.mark.parametrize(
    ("before", "after", "lags"),
    [((9, 5), (9, 5), True), ((9, 5), (12, 9), False), ((9, 5), (12, 8), True), ((9, 0), (9, 0), True)],
)
def test_a_node_that_follows_an_old_table_all_the_time_lags(
    before: tuple[int, int], after: tuple[int, int], lags: bool
) -> None:
    tables = two_nodes_one_service()
    found = list(judging.standing(tables, behind(look(tables), *before), behind(look(tables), *after)))
    assert bool(found) is lags
    if lags:
        assert "node host1 still follows" in found[0].words


def test_tasks_that_their_node_does_not_know_and_tasks_that_nobody_knows() -> None:
    tables = two_nodes_one_service()
    first = look(tables)
    change(tables, task("t2", "n1", TaskState.RUNNING), task("t3", "n1", TaskState.ASSIGNED))
    second = look(tables)
    report = AuditReport(task_ids=("t1", "ghost"))
    assert [each.place for each in judging.reported(tables, second, second, {"n1": report})] == [
        "t2",
        "ghost",
    ]
    assert [each.place for each in judging.reported(tables, first, second, {"n1": report})] == ["ghost"], (
        "t2 is new"
    )
    short = AuditReport(task_ids=("t1",), omitted_tasks=1)
    assert list(judging.reported(tables, second, second, {"n1": short})) == []


def test_an_allocator_that_forgot_or_kept_an_address_is_found() -> None:
    tables = two_nodes_one_service()
    right, wrong = Allocator(Random(1)), Allocator(Random(1))
    for allocator in (right, wrong):
        for kind in KINDS:
            for item in tables.all(kind):
                allocator.observe(Change(kind, None, item))
    assert list(wrong.differences(right)) == []
    gone = Endpoint(id="gone", network_id="net", number=77)
    wrong.observe(Change(Endpoint, None, gone))
    assert list(wrong.differences(right)) == [
        "gone holds none, and is thought to hold number 77 of network net"
    ]


class Stand:
    """A leader over a real store; agents are functions that answer what they are told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.machine = Sessions(store)
        self.sessions = {"n1": "s1", "n2": "s2"}
        self.asked: list[tuple[str, bool]] = []
        self.agents: dict[str, Callable[[AuditAnswer], None]] = {}
        self.leads = True
        self.server = AuditServer(store, lambda: self if self.leads else None, lambda: None, Random(1))
        self.server.settle_ms = 0

    def session_of(self, node_id: str) -> str:
        return self.sessions.get(node_id, "")

    def tell(self, node_id: str, message: ManagerMessage) -> bool:
        if node_id not in self.sessions:
            return False
        question = message.audit_question
        self.asked.append((node_id, question.repair))
        answer = AuditAnswer(audit_id=question.audit_id, report=audit_pb2.AuditReport(compared=5))
        if node_id in self.agents:
            self.agents[node_id](answer)
        self.server.answered(node_id, answer)
        return True

    async def audit(self, *nodes: str, repair: bool = False) -> list[pb.AuditClusterResponse]:
        request = pb.AuditClusterRequest(nodes=nodes, repair=repair)
        return [each async for each in self.server.audit(request, ROOT)]


def run(work: Callable[[Stand], Coroutine[None, None, None]]) -> None:
    async def whole() -> None:
        store = await Store.start(FakeLog(Disk()))
        try:

            def write(draft: Draft) -> None:
                draft.put(Cluster(id="c"))
                for number in (1, 2):
                    description = NodeDescription(hostname=f"host{number}")
                    status = NodeStatus(state=NodeState.READY)
                    draft.put(Node(id=f"n{number}", description=description, status=status))

            await store.update(write)
            await work(Stand(store))
        finally:
            await store.close()

    asyncio.run(whole())


def nodes_of(answers: list[pb.AuditClusterResponse]) -> dict[str, pb.AuditedNode]:
    return {node.node_id: node for answer in answers for node in answer.nodes}


def test_all_nodes_are_asked_and_the_managers_come_last() -> None:
    async def work(stand: Stand) -> None:
        answers = await stand.audit(repair=True)
        assert sorted(stand.asked) == [("n1", True), ("n2", True)]
        found = nodes_of(answers)
        assert {id: node.hostname for id, node in found.items()} == {"n1": "host1", "n2": "host2"}
        assert all(node.report.compared == 5 for node in found.values())
        assert answers[-1].HasField("managers")
        assert from_message(answers[-1].managers, AuditReport).compared == 3

    run(work)


def test_one_node_is_asked_by_its_name_and_one_that_is_not_there_refused() -> None:
    async def work(stand: Stand) -> None:
        await stand.audit("host2")
        assert stand.asked == [("n2", False)]
        with pytest.raises(NotFound, match="host9"):
            await stand.audit("host9")

    run(work)


def test_those_who_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "audit_wait_s", 0.05)

    async def work(stand: Stand) -> None:
        def silent(answer: AuditAnswer) -> None:
            answer.audit_id = "another"

        stand.agents["n1"] = silent
        del stand.sessions["n2"]
        found = nodes_of(await stand.audit())
        assert "did not answer within" in found["n1"].unanswered
        assert "is not connected" in found["n2"].unanswered

    run(work)


def test_one_that_goes_away_is_not_waited_for() -> None:
    async def work(stand: Stand) -> None:
        def restarts(answer: AuditAnswer) -> None:
            answer.audit_id = "another"
            stand.sessions["n1"] = "s9"

        stand.agents["n1"] = restarts
        assert "went away" in nodes_of(await stand.audit())["n1"].unanswered

    run(work)


def test_refusals_and_answers_that_make_no_sense_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "audit_answer_bytes_max", 2_000)

    async def work(stand: Stand) -> None:
        def refuses(answer: AuditAnswer) -> None:
            answer.refusal = "the audit took longer than 40 s"

        def floods(answer: AuditAnswer) -> None:
            finding = Finding("FDB", "x" * 3_000, "")
            answer.report.CopyFrom(to_message(AuditReport(findings=(finding,)), audit_pb2.AuditReport))

        stand.agents |= {"n1": refuses, "n2": floods}
        found = nodes_of(await stand.audit())
        assert found["n1"].unanswered == "the audit took longer than 40 s"
        assert "more than 2000 bytes" in found["n2"].unanswered

    run(work)


def test_nobody_answers_for_another_node_or_without_being_asked() -> None:
    async def work(stand: Stand) -> None:
        def forged(answer: AuditAnswer) -> None:
            other = AuditAnswer(audit_id=answer.audit_id, report=audit_pb2.AuditReport(compared=99))
            stand.server.answered("n3", other)

        stand.agents["n1"] = forged
        stand.server.answered("n1", AuditAnswer(audit_id="nobody asked"))
        found = nodes_of(await stand.audit("n1"))
        assert {id: node.report.compared for id, node in found.items()} == {"n1": 5}

    run(work)


def test_of_many_answers_of_one_node_none_but_the_first_is_kept() -> None:
    async def work(stand: Stand) -> None:
        answers: list[AuditAnswer] = []
        stand.agents["n1"] = answers.append
        audit = stand.server.audit(pb.AuditClusterRequest(nodes=["n1", "n2"]), ROOT)
        first = await anext(audit)  # whoever asked takes his time to read on
        more = AuditAnswer(audit_id=answers[0].audit_id, report=audit_pb2.AuditReport(compared=99))
        before = sys.getrefcount(more)
        for _ in range(3):
            stand.server.answered("n2", more)
        assert sys.getrefcount(more) == before
        found = nodes_of([first, *[each async for each in audit]])
        assert {id: node.report.compared for id, node in found.items()} == {"n1": 5, "n2": 5}

    run(work)


def test_no_more_audits_are_made_at_once_than_few() -> None:
    async def work(stand: Stand) -> None:
        def keeps(answer: AuditAnswer) -> None:
            answer.audit_id = "not yet"

        stand.agents = {"n1": keeps}
        audits = [
            stand.server.audit(pb.AuditClusterRequest(nodes=["n1", "n2"]), ROOT)
            for _ in range(limits.audits_at_once)
        ]
        for each in audits:
            await anext(each)
        with pytest.raises(ResourceExhausted, match="4 audits are under way"):
            await stand.audit()
        for each in audits:
            await each.aclose()
        stand.agents.clear()
        assert nodes_of(await stand.audit()).keys() == {"n1", "n2"}

    run(work)


def test_only_the_leader_audits() -> None:
    async def work(stand: Stand) -> None:
        stand.leads = False
        with pytest.raises(NotLeader):
            await stand.audit()

    run(work)


def test_what_managers_keep_is_audited_now_and_then_and_its_counts_are_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "audit_period_s", 0.001)

    async def work(stand: Stand) -> None:
        def break_it(draft: Draft) -> None:
            draft.put(Network(id="a", spec=NetworkSpec(name="a"), vni=5001))
            draft.put(Network(id="b", spec=NetworkSpec(name="b"), vni=5001))

        async def until(counts: tuple[AuditCount, ...]) -> None:
            async with asyncio.timeout(30):
                while not stand.server.last.at_ns or stand.server.last.counts != counts:
                    await asyncio.sleep(0.001)

        assert stand.server.last == AuditSummary()
        running = asyncio.create_task(stand.server.periodic())
        await until(())
        await stand.store.update(break_it)
        await until((AuditCount("store", 1),))
        assert stand.server.last.compared == 5
        stand.leads = False  # for a moment: it goes on
        await asyncio.sleep(0.01)
        stand.leads = True
        await stand.store.update(lambda draft: draft.delete(Network, "b"))
        await until(())
        running.cancel()
        assert not stand.asked, "nodes audit themselves"

    run(work)
    assert "VNI 5001" in caplog.text


def test_whoever_asks_has_the_counts_kept() -> None:
    async def work(stand: Stand) -> None:
        await stand.audit("n1")
        assert (stand.server.last.compared, stand.server.last.counts) == (3, ())

    run(work)
