"""Audits by the agent's own socket: whoever is root on the host may ask, and no manager is needed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import covey.wire  # noqa: F401  before grpc
from agent.session.messages import AuditAnswer
from covey.errors import Unavailable
from covey.model.audit import Finding
from covey.model.objects import AuditCount
from covey.v1 import dispatcher_pb2
from covey.wire.client import connect_unix
from covey.wire.codec import from_message
from covey.wire.services import NodeAgent
from tests.support.agent_node import Node, holds
from tests.support.fake_manager import BOUND_S

WRONG = Finding("FDB", "net-1", "02:42 is missing on vx0")


def alone(tmp_path: Path, story: Callable[[Node, Path], Awaitable[None]]) -> None:
    """Play on a node whose managers all are dead."""

    async def main() -> None:
        node, path = Node(tmp_path, managers=("127.0.0.1:1",)), tmp_path / "agent.sock"
        async with asyncio.timeout(2 * BOUND_S), node.audits.serving(path):
            await story(node, path)

    asyncio.run(main())


async def ask(path: Path, *, repair: bool = False) -> AuditAnswer:
    async with connect_unix(path) as channel:
        told = await channel.call(NodeAgent.audit, dispatcher_pb2.AuditQuestion(repair=repair), BOUND_S)
    return from_message(told, AuditAnswer)


def test_a_node_that_no_manager_answers_is_audited_and_repaired(tmp_path: Path) -> None:
    async def story(node: Node, path: Path) -> None:
        async with node.agent() as agent:
            agent.auditor.settle_ms = 0
            await holds(lambda: node.audits.answer is not None)
            assert (await asyncio.to_thread(path.stat)).st_mode & 0o777 == 0o600
            assert (await ask(path)).report.findings == ()
            node.networks.amiss = [WRONG]
            found = await ask(path)
            assert (found.report.findings, found.refusal) == ((WRONG,), "")
            await holds(lambda: agent.session.description.audit.counts == (AuditCount("FDB", 1),))
            assert [each.repaired for each in (await ask(path, repair=True)).report.findings] == [True]
            await holds(lambda: agent.session.description.audit.counts == ())
        assert node.networks.amiss == []

    alone(tmp_path, story)


def test_one_that_is_just_taking_over_says_so(tmp_path: Path) -> None:
    """It knows nothing of its node yet: to find nothing amiss would be no news."""

    async def story(node: Node, path: Path) -> None:
        with pytest.raises(Unavailable, match="just taking over"):
            await ask(path)

    alone(tmp_path, story)


def test_a_repair_goes_on_though_whoever_asked_has_gone(tmp_path: Path) -> None:
    async def story(node: Node, path: Path) -> None:
        async with node.agent() as agent:
            agent.auditor.settle_ms = 0
            await holds(lambda: node.audits.answer is not None)
            node.networks.amiss = [WRONG]
            node.runtime.hang("audit")
            asking = asyncio.create_task(ask(path, repair=True))
            await holds(lambda: agent.auditor.asked == 1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            node.runtime.release("audit")
            await holds(lambda: node.networks.amiss == [])
            await holds(lambda: agent.auditor.asked == 0)

    alone(tmp_path, story)


def test_more_than_few_are_refused(tmp_path: Path) -> None:
    async def story(node: Node, path: Path) -> None:
        async with node.agent() as agent:
            await holds(lambda: node.audits.answer is not None)
            node.runtime.hang("audit")
            asking = [asyncio.create_task(ask(path)) for _ in range(6)]
            await holds(lambda: sum(each.done() for each in asking) == 2)
            assert all("ask later" in each.result().refusal for each in asking if each.done())
            node.runtime.release("audit")
            answers = await asyncio.gather(*asking)
            assert sum(not each.refusal for each in answers) == 4
            assert agent.auditor.asked == 0

    alone(tmp_path, story)
