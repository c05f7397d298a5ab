"""Health and leave-taking through the whole agent, over fakes of the host."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.network.fake import FakeNetworks
from agent.runtime.fake import Behaviour
from agent.session.messages import Withdrawn
from covey import limits
from covey.errors import Unavailable
from covey.model.objects import ClusterVersion, Revision, TaskStatus
from covey.model.specs import EndpointSpec, HealthCheck, PortConfig, ServiceSpec
from covey.model.states import HealthState, PublishMode, TaskState
from covey.model.tables import NetworkTable
from tests.support.agent_node import Node, holds, play, registered
from tests.support.agent_world import full, revision, task
from tests.support.fake_manager import FakeManager

S, H = TaskState, HealthState
TABLE = NetworkTable("net", ClusterVersion(1, 1))
CHECK = HealthCheck(
    test=("CMD", "ask"), interval_ns=1, timeout_ns=200_000_000, start_interval_ns=1, retries=2
)
NOTHING = TaskStatus()
CHECKED = revision(health=CHECK, stop_grace_ns=50_000_000)


def draining(drain_ns: int = 20_000_000_000) -> Revision:
    """A revision whose tasks drain, with a port of the node's own."""
    port = PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST)
    made = revision()
    endpoint = EndpointSpec(ports=(port,), drain_ns=drain_ns)
    return Revision("r1", service_id="web", spec=ServiceSpec("web", task=made.spec.task, endpoint=endpoint))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "health_pause_ms_min", 20)


async def running(node: Node, manager: FakeManager, of: Revision, *ids: str) -> None:
    await registered(manager)
    manager.say(full(*map(task, ids), revisions=[of]), TABLE)
    await manager.until(lambda: all(manager.state(id) is S.RUNNING for id in ids))


def stop(manager: FakeManager, of: Revision, *ids: str) -> None:
    manager.say(full(*(task(id, S.SHUTDOWN, S.RUNNING) for id in ids), revisions=[of]))


def test_a_task_runs_once_it_is_healthy_and_fails_once_it_is_not(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        node.host.commands["ask"] = Behaviour(exit_code=1, log="not yet")
        async with node.agent():
            await registered(manager)
            of = revision(health=HealthCheck(("CMD", "ask"), 1, 1, 10**12, 1, 2), stop_grace_ns=50_000_000)
            manager.say(full(task("t1"), revisions=[of]), TABLE)
            await manager.until(lambda: "not yet" in manager.statuses.get("t1", NOTHING).err)
            assert manager.statuses["t1"].health is H.STARTING
            node.host.commands["ask"] = Behaviour(exit_code=0)
            await manager.until(lambda: manager.state("t1") is S.RUNNING)
            assert manager.statuses["t1"].health is H.HEALTHY
            node.host.commands["ask"] = Behaviour(exit_code=1, log="no more")
            await manager.until(lambda: manager.state("t1") is S.FAILED)
            assert manager.statuses["t1"].err == "unhealthy: exit code 1: no more"
        assert node.host.containers["t1"].signals[0] == 15

    play(tmp_path, story)


def test_a_check_that_hangs_is_a_failure_and_is_ended(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        node.host.commands["ask"] = Behaviour(log="hm")
        async with node.agent():
            await registered(manager)
            manager.say(full(task("t1"), revisions=[CHECKED]), TABLE)
            await manager.until(lambda: manager.state("t1") is S.FAILED)
            assert manager.statuses["t1"].err == "unhealthy: it took longer than 0.2 s: hm"
            assert node.host.containers["t1"].execs == []

    play(tmp_path, story)


def test_a_host_that_cannot_ask_fails_nobody(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        node.host.commands["ask"] = Behaviour(exit_code=0)
        async with node.agent():
            for _ in range(5):
                node.runtime.fail("exec", Unavailable("disk full"))
            await registered(manager)
            manager.say(full(task("t1"), revisions=[CHECKED]), TABLE)
            await manager.until(lambda: "disk full" in manager.statuses.get("t1", NOTHING).err)
            await manager.until(lambda: manager.state("t1") is S.RUNNING)
            for error in (OSError("no memory"), ValueError("a fault of ours")):
                node.runtime.fail("exec", error)
            before = len(node.runtime.calls)
            await holds(lambda: len(node.runtime.calls) > before + 5)
            assert manager.statuses["t1"].health is H.HEALTHY

    play(tmp_path, story)


def test_a_new_agent_goes_on_asking(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        node.host.commands["ask"] = Behaviour(exit_code=0)
        async with node.agent():
            await running(node, manager, CHECKED, "t1", "t2")
        node.host.commands["ask"] = Behaviour(exit_code=3)
        async with node.agent():
            await manager.until(lambda: manager.state("t1") is manager.state("t2") is S.FAILED)
        assert manager.statuses["t1"].err == "unhealthy: exit code 3"
        assert [state for id, state in manager.history if id == "t1"][-2:] == [S.RUNNING, S.FAILED]

    play(tmp_path, story)


def test_a_task_ends_once_nothing_new_comes_and_nothing_is_left(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        of = draining()
        async with node.agent() as agent:
            await running(node, manager, of, "t1")
            container = node.host.containers["t1"]
            node.networks.connected[container.pid] = last = asyncio.Event()
            assert node.networks.sandboxes["t1"].host_ports
            stop(manager, of, "t1")
            await holds(lambda: node.networks.sandboxes["t1"].host_ports == ())
            manager.say(Withdrawn(("t1",)))
            await holds(lambda: agent.tasks.records["t1"].busy == "drain")
            assert container.signals == []
            last.set()
            await manager.until(lambda: manager.state("t1") is S.SHUTDOWN)
            assert container.signals == [15]

    play(tmp_path, story)


def test_connections_that_never_end_are_waited_for_as_long_as_the_service_says(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        of = draining(100_000_000)
        async with node.agent():
            await running(node, manager, of, "t1")
            node.networks.connected[node.host.containers["t1"].pid] = asyncio.Event()
            stop(manager, of, "t1")
            await manager.until(lambda: manager.state("t1") is S.SHUTDOWN)  # nobody ever says Withdrawn

    play(tmp_path, story)


def test_a_container_that_ends_while_it_is_waited_for_is_over_at_once(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        of = draining(10**12)
        async with node.agent() as agent:
            await running(node, manager, of, "t1")
            node.networks.connected[node.host.containers["t1"].pid] = asyncio.Event()
            stop(manager, of, "t1")
            manager.say(Withdrawn(("t1",)))
            await holds(lambda: agent.tasks.records["t1"].busy == "drain")
            node.host.end("t1", 9)
            await manager.until(lambda: manager.state("t1") is S.SHUTDOWN)
            assert manager.statuses["t1"].exit_code == 9

    play(tmp_path, story)


@pytest.mark.parametrize("stage", ["ports", "offered", "busy", "signalled"])
def test_an_agent_may_be_gone_in_any_stage(tmp_path: Path, stage: str) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        of = draining()
        stages: dict[str, Callable[[], bool]] = {}
        async with node.agent() as agent:
            await running(node, manager, of, "t1")
            container = node.host.containers["t1"]
            node.networks.connected[container.pid] = last = asyncio.Event()
            if stage == "ports":
                node.networks.fail["t1"] = Unavailable("nftables is busy")
            stages["ports"] = lambda: "t1" not in node.networks.fail
            stages["offered"] = lambda: node.networks.sandboxes["t1"].host_ports == ()
            stages["busy"] = lambda: agent.tasks.records["t1"].busy == "drain"
            stages["signalled"] = lambda: container.signals != []
            stop(manager, of, "t1")
            if stage in ("busy", "signalled"):
                manager.say(Withdrawn(("t1",)))
            if stage == "signalled":
                node.host.commands["sleep"] = Behaviour()  # deaf
                last.set()
            await holds(stages[stage])
        assert node.host.containers["t1"].state == "running"
        assert (container.signals != []) is (stage == "signalled")
        node.host.commands["sleep"] = Behaviour(on_signal={15: 0})
        async with node.agent() as agent:
            await registered(manager, 2)
            stop(manager, of, "t1")
            manager.say(Withdrawn(("t1",)))
            if stage != "signalled":
                await holds(lambda: agent.tasks.records["t1"].busy == "drain")
                assert container.signals == []
                last.set()
            await manager.until(lambda: manager.state("t1") is S.SHUTDOWN)
            assert node.networks.sandboxes == {}

    play(tmp_path, story)


def test_a_networks_fault_of_our_own_is_not_in_the_way(tmp_path: Path) -> None:
    class Odd(FakeNetworks):
        async def quiet(self, pid: int) -> None:
            raise ValueError(f"what is {pid}?")

    async def story(node: Node, manager: FakeManager) -> None:
        node.networks = Odd()
        of = draining()
        async with node.agent():
            await running(node, manager, of, "t1")
            stop(manager, of, "t1")
            await manager.until(lambda: manager.state("t1") is S.SHUTDOWN)

    play(tmp_path, story)
