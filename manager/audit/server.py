"""`Control.AuditCluster`: asks the agents, looks at what the managers keep, and hands on what comes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Protocol

from covey import limits
from covey.errors import CoveyError, NotLeader, ResourceExhausted
from covey.ids import new_id
from covey.model.audit import AuditReport, Finding, counts, summary
from covey.model.objects import AuditSummary, Node
from covey.model.states import NodeState
from covey.v1 import audit_pb2
from covey.v1 import control_pb2 as pb
from covey.v1.dispatcher_pb2 import AuditAnswer, AuditQuestion, ManagerMessage
from covey.wire.codec import from_message, to_message
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control
from manager.allocator.allocator import Allocator
from manager.audit import judging
from manager.audit.judging import Look
from manager.control.lookup import find_node
from manager.dispatcher.sessions import Sessions
from manager.store.driver import Store
from manager.store.io.aside import Aside

log = logging.getLogger(__name__)

_LOOK_S = 1.0  # how often it is seen whether a node that was asked has gone


class Leading(Protocol):
    """What of a manager that leads is looked at; made with its term, and gone with it."""

    @property
    def machine(self) -> Sessions:
        """The dispatcher's machine."""
        ...

    def tell(self, node_id: str, message: ManagerMessage) -> bool:
        """Send a message to a node's agent; False if it has no session here."""
        ...

    def session_of(self, node_id: str) -> str:
        """The id of a node's session, an empty one if it has none here."""
        ...


class _Asked:
    """One audit under way: the nodes asked, with the sessions they were asked in, and what has come."""

    def __init__(self) -> None:
        self.sessions: dict[str, str] = {}
        self.heard: set[str] = set()  # nodes of which an answer has come: of each one counts
        self.answers: asyncio.Queue[tuple[str, AuditAnswer]] = asyncio.Queue()


class AuditServer:
    """Serves `AuditCluster`. `leading` gives the dispatcher while this manager leads; `planner`, its allocator."""

    def __init__(
        self,
        store: Store,
        leading: Callable[[], Leading | None],
        planner: Callable[[], Allocator | None],
        dice: Random,
    ) -> None:
        self._store = store
        self._leading = leading
        self._planner = planner
        self._dice = dice
        self._aside = Aside(store)
        self._under_way: dict[str, _Asked] = {}
        self.settle_ms = limits.audit_settle_ms
        self.last = AuditSummary()

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [bind(Control.audit_cluster, self.audit)]

    def answered(self, node_id: str, answer: AuditAnswer) -> None:
        """Take what a node's agent answers, once; nothing that nobody asked that node for."""
        asked = self._under_way.get(answer.audit_id)
        if asked is not None and node_id in asked.sessions and node_id not in asked.heard:
            asked.heard.add(node_id)
            asked.answers.put_nowait((node_id, answer))

    async def audit(
        self, request: pb.AuditClusterRequest, caller: Caller
    ) -> AsyncIterator[pb.AuditClusterResponse]:
        """Audit the cluster."""
        dispatcher = self._leader()
        nodes = [find_node(self._store, each) for each in request.nodes] or list(self._store.all(Node))
        if len(self._under_way) >= limits.audits_at_once:
            raise ResourceExhausted(
                f"{len(self._under_way)} audits are under way; ask again once one of them has ended"
            )
        began_s = time.monotonic()
        audit_id, asked = new_id(self._dice), _Asked()
        self._under_way[audit_id] = asked
        reports: dict[str, AuditReport] = {}
        try:
            first = await self._look(dispatcher)
            lost = self._ask(dispatcher, asked, audit_id, nodes, repair=request.repair)
            if lost:
                yield pb.AuditClusterResponse(nodes=lost)
            async for come in self._answers(dispatcher, asked):
                for each in come:
                    if not each.unanswered:
                        reports[each.node_id] = from_message(each.report, AuditReport)
                yield pb.AuditClusterResponse(nodes=come)
            await asyncio.sleep(max(0.0, began_s + self.settle_ms / 1000 - time.monotonic()))
            second = await self._look(self._leader())
        finally:
            del self._under_way[audit_id]
        findings = [
            *judging.standing(self._store, first, second),
            *judging.reported(self._store, first, second, reports),
        ]
        report = _report(findings, second)
        self.last = summary(report)
        yield pb.AuditClusterResponse(managers=to_message(report, audit_pb2.AuditReport))

    def _leader(self) -> Leading:
        dispatcher = self._leading()
        if dispatcher is None:
            raise NotLeader("this manager does not lead (any more)")
        return dispatcher

    async def _look(self, dispatcher: Leading) -> Look:
        tables = dict(dispatcher.machine.tables)
        found = await self._aside.work(
            lambda view, given_up: judging.look(view, tables, given_up, self._dice)
        )
        allocator = self._planner()
        wrong = allocator.differences(found.allocator) if allocator is not None else ()
        cached = (Finding("allocator", "the managers", words) for words in wrong)
        return replace(found, findings=(*found.findings, *cached), behind=dict(dispatcher.machine.behind()))

    async def periodic(self) -> None:
        """Audit what the managers keep, now and then, for as long as this one leads; `last` has the counts."""
        self.last = AuditSummary()
        while True:
            await asyncio.sleep(limits.audit_period_s * self._dice.uniform(0.5, 1.5))
            try:
                told = await self._audit_kept()
            except CoveyError as error:
                log.warning("what the managers keep cannot be audited now: %s", error)
                continue
            except Exception:  # whoever leads goes on leading
                log.exception("the audit of what the managers keep failed by our own fault")
                continue
            self.last = summary(told)
            for each in told.findings:
                log.warning("amiss: %s %s: %s", each.kind, each.place, each.words)
            log.info(
                "what the managers keep: %d amiss, %d things compared", len(told.findings), told.compared
            )

    async def _audit_kept(self) -> AuditReport:
        first = await self._look(self._leader())
        await asyncio.sleep(self.settle_ms / 1000)
        second = await self._look(self._leader())
        return _report(list(judging.standing(self._store, first, second)), second)

    # --- asking ---

    def _ask(
        self, dispatcher: Leading, asked: _Asked, audit_id: str, nodes: Sequence[Node], *, repair: bool
    ) -> list[pb.AuditedNode]:
        """Ask the nodes; returns those that cannot be."""
        lost = []
        question = ManagerMessage(audit_question=AuditQuestion(audit_id=audit_id, repair=repair))
        for node in nodes:
            asked.sessions[node.id] = dispatcher.session_of(node.id)
            if not dispatcher.tell(node.id, question):
                del asked.sessions[node.id]
                state = "is down" if node.status.state is NodeState.DOWN else "is not connected"
                lost.append(
                    self._node(node.id, unanswered=f"it {state}; is its coveyd running, and reachable?")
                )
        return lost

    async def _answers(self, dispatcher: Leading, asked: _Asked) -> AsyncIterator[list[pb.AuditedNode]]:
        """Wait for each node that was asked, as long as its agent may take, and no longer than it is there."""
        until_s = time.monotonic() + limits.audit_wait_s
        while asked.sessions:
            try:
                async with asyncio.timeout(min(_LOOK_S, max(0.0, until_s - time.monotonic()))):
                    node_id, answer = await asked.answers.get()
            except TimeoutError:
                if lost := self._give_up(dispatcher, asked, late=time.monotonic() >= until_s):
                    yield lost
                continue
            if asked.sessions.pop(node_id, None) is not None:
                yield [self._answer(node_id, answer)]

    def _give_up(self, dispatcher: Leading, asked: _Asked, *, late: bool) -> list[pb.AuditedNode]:
        lost = []
        for node_id, session_id in list(asked.sessions.items()):
            gone = dispatcher.session_of(node_id) != session_id
            if gone or late:
                del asked.sessions[node_id]
                why = "it went away" if gone else f"it did not answer within {limits.audit_wait_s:g} s"
                lost.append(self._node(node_id, unanswered=f"{why}; ask again, or look at its agent's log"))
        return lost

    def _answer(self, node_id: str, answer: AuditAnswer) -> pb.AuditedNode:
        """Take an answer as it came, if it makes sense: it goes on to people."""
        if answer.ByteSize() > limits.audit_answer_bytes_max:
            most = limits.audit_answer_bytes_max
            return self._node(
                node_id, unanswered=f"its answer has more than {most} bytes; is its agent newer?"
            )
        if answer.refusal:
            return self._node(node_id, unanswered=answer.refusal[: limits.audit_words_chars_max])
        try:
            from_message(answer.report, AuditReport)
        except CoveyError as error:
            return self._node(node_id, unanswered=f"its answer cannot be read ({error}); is its agent newer?")
        node = self._node(node_id)
        node.report.CopyFrom(answer.report)
        return node

    def _node(self, node_id: str, unanswered: str = "") -> pb.AuditedNode:
        node = self._store.get(Node, node_id)
        name = node.description.hostname if node is not None else ""
        return pb.AuditedNode(node_id=node_id, hostname=name, unanswered=unanswered)


def _report(findings: Sequence[Finding], look: Look) -> AuditReport:
    shown = tuple(findings[: limits.audit_findings_max])
    return AuditReport(
        at_ns=time.time_ns(),
        compared=look.compared,
        findings=shown,
        counts=counts(findings),
        omitted=len(findings) - len(shown),
    )
