"""The whole agent over fakes of the host, and a manager over real TLS."""

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

import covey.wire  # noqa: F401  before grpc
from agent.images.fake import FakeImages
from agent.network.fake import FakeNetworks
from agent.network.seam import NOBODY, Sandbox
from agent.runtime.fake import FakeRuntime
from agent.session.messages import LogOptions, LogSubscription, Membership, Redirect, SessionStarted
from agent.tasks.io.stop import stop_everything
from covey.errors import Unavailable
from covey.io.netns import Process
from covey.model.assignments import Assignments
from covey.model.objects import ClusterVersion, Network, TunnelKey
from covey.model.states import NodeRole, TaskState
from covey.model.tables import EndpointRow, NetworkTable, NetworkTableDelta
from tests.support.agent_node import AUTHORITY, Node, holds, play, registered
from tests.support.agent_world import full, task
from tests.support.fake_manager import BOUND_S, FakeManager

S = TaskState
TABLE = NetworkTable("net", ClusterVersion(1, 1), (EndpointRow("e-t1", task_id="t1"),))


def test_a_network_the_host_denies_at_the_start_is_asked_for_until_it_is_granted(tmp_path: Path) -> None:
    """The agent goes on meanwhile, and does not say that the network's table is in force."""

    async def story(node: Node, manager: FakeManager) -> None:
        async with node.agent():
            await registered(manager)
            manager.say(full(task("t1")), TABLE)
            await manager.until(lambda: manager.state("t1") is S.RUNNING)
        manager.applied.clear()
        node.networks.denied = frozenset({"net"})
        node.networks.fail["net"] = Unavailable("VNI 4096 is taken")
        async with node.agent() as agent:
            await registered(manager, 2)
            assert agent.session.in_force == {}
            await manager.until(lambda: manager.applied == {"net": ClusterVersion(1, 1)})
            assert node.networks.fail == {}

    play(tmp_path, story)


class SlowNetworks(FakeNetworks):
    """What stands takes longer to be made right than a manager to answer."""

    async def reconcile(
        self,
        networks: Iterable[Network],
        tables: Iterable[NetworkTable],
        sandboxes: Iterable[Sandbox],
        processes: Mapping[str, Process] = NOBODY,
    ) -> frozenset[str]:
        await asyncio.sleep(0.3)
        return await super().reconcile(networks, tables, sandboxes, processes)


def test_a_node_registers_with_the_keys_that_its_tunnels_have(tmp_path: Path) -> None:
    """Others would take down their tunnels to a node that seems to have none."""
    keys = (TunnelKey(3, "a key", 4794),)

    async def story(node: Node, manager: FakeManager) -> None:
        node.networks = SlowNetworks()
        node.tunnels.public_keys = keys
        async with node.agent():
            await registered(manager)
        said = manager.registers[0].description.networking.tunnel_keys  # type: ignore[attr-defined]
        assert [key.public_key for key in said] == ["a key"]

    play(tmp_path, story)


def test_tasks_run_tables_are_applied_and_everything_goes_again(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        async with node.agent() as agent:
            await registered(manager)
            ids = [f"t{n}" for n in range(1, 31)]
            manager.say(full(*map(task, ids)), TABLE)
            await manager.until(lambda: all(manager.state(id) is S.RUNNING for id in ids))
            assert set(node.networks.sandboxes) == set(ids) == set(node.names.resolvers)
            assert manager.applied == {"net": ClusterVersion(1, 1)}
            assert node.names.tables == node.networks.tables == {"net": TABLE}
            for id in ids:
                states = [state for of, state in manager.history if of == id]
                assert states == sorted(states)
            manager.say(
                NetworkTableDelta(
                    "net", ClusterVersion(1, 1), ClusterVersion(1, 2), endpoints_removed=("e-t1",)
                )
            )
            await manager.until(lambda: manager.applied["net"] == ClusterVersion(1, 2))
            await manager.until(lambda: manager.heartbeats >= 2)

            drop = Assignments(
                applies_to=ClusterVersion(1, 1),
                version=ClusterVersion(1, 3),
                removed_tasks=tuple(ids),
                removed_networks=("net",),
            )
            manager.say(drop)
            await holds(lambda: not node.host.containers and not agent.tasks.records)
            await holds(lambda: node.networks.networks == node.networks.tables == {})
            assert node.networks.sandboxes == node.names.resolvers == node.names.tables == {}
            assert agent.session.outbox.empty

    play(tmp_path, story)


def test_a_new_agent_takes_over_and_works_while_no_manager_answers(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        async with node.agent():
            await registered(manager)
            manager.say(full(*map(task, ("t1", "t2", "t3"))), TABLE)
            await manager.until(lambda: [manager.state(f"t{n}") for n in (1, 2, 3)] == [S.RUNNING] * 3)
        assert len(node.host.containers) == 3  # ending the agent ends no container
        node.host.end("t2", 5)
        address, node.managers = node.managers, ("127.0.0.1:1",)
        async with node.agent() as agent:
            await holds(lambda: set(node.networks.sandboxes) == {"t1", "t3"})
            there = {id: each.pid for id, each in node.host.containers.items() if each.exit is None}
            assert {id: each.pid for id, each in node.networks.found.items()} == there
            assert node.names.resets == 2
            assert node.names.tables == {"net": TABLE}
            node.host.end("t3", 0)
            await holds(lambda: agent.tasks.is_over("t3"))
            assert not agent.tasks.is_over("t1")
        node.managers = address
        async with node.agent():
            await manager.until(lambda: manager.state("t2") is S.FAILED and manager.state("t3") is S.COMPLETE)
        assert manager.statuses["t2"].exit_code == 5
        assert manager.registers[-1].last_seen.index == 1  # type: ignore[attr-defined]
        assert manager.state("t1") is S.RUNNING
        assert node.host.removed == []

    play(tmp_path, story)


def test_what_was_not_acknowledged_is_said_again_after_the_session_broke(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        manager.acknowledges = False
        async with node.agent() as agent:
            await registered(manager)
            manager.say(full(task("t1")), TABLE)
            await manager.until(lambda: manager.state("t1") is S.RUNNING)
            manager.statuses.clear()
            manager.acknowledges = True
            manager.end_sessions()
            await registered(manager, 2)
            manager.say(full(task("t1", state=S.ASSIGNED)), TABLE)
            await manager.until(lambda: manager.state("t1") is S.RUNNING)
            await holds(lambda: agent.session.outbox.empty)
        assert len(node.host.containers) == 1

    play(tmp_path, story)


def test_a_lagging_manager_stops_nothing(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        async with node.agent():
            await registered(manager)
            manager.say(full(task("t1"), index=7), TABLE)
            await manager.until(lambda: manager.state("t1") is S.RUNNING)
            manager.started = SessionStarted("s2", 200, ClusterVersion(1, 6))
            manager.end_sessions()
            await registered(manager, 3)
            manager.started = SessionStarted("s3", 200, ClusterVersion(1, 7))
            await registered(manager, 4)
            manager.say(full(task("t1", state=S.RUNNING), index=8))
            await manager.until(lambda: manager.heartbeats > 0)
            assert node.host.removed == []

    play(tmp_path, story)


def test_a_pull_that_hangs_is_given_up_when_the_task_is_to_end(tmp_path: Path) -> None:
    class SlowImages(FakeImages):
        async def ensure(self, reference: str, auth: object = None) -> object:  # type: ignore[override]
            await asyncio.sleep(3600)
            raise AssertionError

    async def story(node: Node, manager: FakeManager) -> None:
        node.images = SlowImages()
        async with node.agent():
            await registered(manager)
            manager.say(full(task("t1")), TABLE)
            await manager.until(lambda: manager.state("t1") is S.PREPARING)
            manager.say(
                Assignments(
                    applies_to=ClusterVersion(1, 1),
                    version=ClusterVersion(1, 2),
                    changed=full(task("t1", S.SHUTDOWN)).changed,
                )
            )
            await manager.until(lambda: manager.state("t1") is S.SHUTDOWN)

    play(tmp_path, story)


def test_trouble_is_reported_with_its_words_and_ends_by_itself(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        node.images = FakeImages(anything=True)
        node.images.reachable = False
        async with node.agent():
            await registered(manager)
            manager.say(full(task("t1")), TABLE)
            await manager.until(
                lambda: "does not answer" in manager.statuses["t1"].err if manager.statuses else False
            )
            assert manager.state("t1") is S.PREPARING
            node.runtime.fail("create", Unavailable("no space left on device"))
            node.images.reachable = True
            await manager.until(lambda: "no space left" in manager.statuses["t1"].err)
            await manager.until(lambda: manager.state("t1") is S.RUNNING)
            assert manager.statuses["t1"].err == ""

    play(tmp_path, story)


@pytest.mark.parametrize("follow", [False, True])
def test_logs_are_published_to_whoever_asks(tmp_path: Path, follow: bool) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        async with node.agent():
            await registered(manager)
            manager.say(full(task("t1")), TABLE)
            await manager.until(lambda: manager.state("t1") is S.RUNNING)
            path = tmp_path / "containers" / "t1" / "log"
            path.parent.mkdir(parents=True)
            path.write_bytes(
                b"2024-05-01T12:00:00Z stdout F one\n"
                b"2024-05-01T12:00:01Z stderr F two\n"
                b"2024-05-01T12:00:02Z stdout F three\n"
            )
            manager.say(LogSubscription("l1", ("t1",), LogOptions(follow=follow, tail=2)))
            await manager.until(lambda: len(manager.records) == 2)
            if follow:
                with path.open("ab") as log:
                    log.write(b"2024-05-01T12:00:03Z stdout F four\n")
                await manager.until(lambda: len(manager.records) == 3)
                assert manager.finished_logs == set()
                node.host.end("t1", 0)
            await manager.until(lambda: "l1" in manager.finished_logs)
            lines = [(r.data, r.stream, r.node_id, r.task_id) for r in manager.records]
            assert lines[:2] == [(b"two", 1, "n1", "t1"), (b"three", 0, "n1", "t1")]
            assert [r.data for r in manager.records[2:]] == ([b"four"] if follow else [])

    play(tmp_path, story)


def test_stopping_everything_leaves_nothing(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        async with node.agent():
            await registered(manager)
            manager.say(full(*map(task, ("t1", "t2"))), TABLE)
            await manager.until(lambda: [manager.state(f"t{n}") for n in (1, 2)] == [S.RUNNING] * 2)
        node.host.end("t2", 0)
        signals = node.host.containers["t1"].signals
        runtime = FakeRuntime(node.host)
        await stop_everything(runtime, node.networks, {"t1": 1000})
        await runtime.close()
        assert signals == [15]
        assert node.host.containers == {}
        assert node.networks.sandboxes == node.networks.networks == {}

    play(tmp_path, story)


def test_a_container_that_filled_the_disk_can_be_removed(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        async with node.agent() as agent:
            await registered(manager)
            manager.say(full(task("t1")), TABLE)
            await manager.until(lambda: bool(manager.statuses) and manager.state("t1") is S.RUNNING)
            with closing(sqlite3.connect(tmp_path / "tasks.db")) as another:
                another.execute("BEGIN IMMEDIATE")  # nothing can be written now
                manager.say(full())
                await holds(lambda: not node.host.containers)
            await holds(lambda: not agent.tasks.records)

    play(tmp_path, story)


def test_a_session_that_broke_leaves_no_task_behind(tmp_path: Path) -> None:
    async def story(node: Node, manager: FakeManager) -> None:
        async with node.agent():
            for times in range(1, 4):
                await registered(manager, times)
                manager.end_sessions()
            await registered(manager, 4)

            def sources() -> int:
                return sum("_consume_request_iterator" in repr(t.get_coro()) for t in asyncio.all_tasks())

            await holds(lambda: sources() <= 1)

    play(tmp_path, story)


def test_the_agent_goes_where_a_manager_sends_it_and_tells_coveyd_of_roles(tmp_path: Path) -> None:
    async def main() -> None:
        leader = FakeManager(AUTHORITY)
        there = await leader.serve()
        follower = FakeManager(AUTHORITY, redirect=Redirect(there, (there,)))
        node = Node(tmp_path, managers=(await follower.serve(),), refusals=2)
        try:
            async with asyncio.timeout(2 * BOUND_S), node.agent():
                await registered(leader)
                assert len(follower.registers) == 1
                promoted = Membership(NodeRole.MANAGER, (there,))
                leader.say(promoted)
                await holds(lambda: node.followed == [promoted])
                leader.say(promoted)
                await leader.until(lambda: leader.heartbeats > 2)
                assert node.followed == [promoted]
        finally:
            await leader.stop()
            await follower.stop()

    asyncio.run(main())
