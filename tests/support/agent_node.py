"""The whole agent over fakes of its host, with a manager over real TLS to talk to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import covey.wire  # noqa: F401  before grpc
from agent.audit.server import AuditServer
from agent.dns.fake import FakeNames
from agent.driver import Agent, Parts
from agent.images.fake import FakeImages
from agent.network.fake import FakeNetworks
from agent.runtime.fake import Behaviour, FakeHost, FakeRuntime
from agent.runtime.faulty import FaultyRuntime
from agent.session.machine import Session
from agent.session.messages import Membership
from agent.tasks.io.db import Database
from agent.tasks.machine import Tasks
from agent.tunnels.fake import FakeTunnels
from covey.errors import FailedPrecondition
from covey.model.objects import NodeDescription
from covey.model.states import NodeRole
from covey.wire.client import connect_control
from tests.support.agent_world import NODE
from tests.support.fake_manager import BOUND_S, FakeManager
from tests.support.pki import Authority

AUTHORITY = Authority()


@dataclass
class Node:
    """One host, on which agents come and go."""

    state: Path
    host: FakeHost = field(default_factory=lambda: FakeHost({"sleep": Behaviour(on_signal={15: 143})}))
    images: FakeImages = field(default_factory=lambda: FakeImages(anything=True))
    networks: FakeNetworks = field(default_factory=FakeNetworks)
    tunnels: FakeTunnels = field(default_factory=FakeTunnels)
    names: FakeNames = field(default_factory=FakeNames)
    managers: tuple[str, ...] = ()
    runtime: FaultyRuntime = field(init=False)
    audits: AuditServer = field(default_factory=AuditServer)
    followed: list[Membership] = field(default_factory=list)
    refusals: int = 0

    async def follow(self, membership: Membership) -> None:
        """Be this host's coveyd, which refuses the first few times."""
        if self.refusals:
            self.refusals -= 1
            raise FailedPrecondition("a join is under way on this host; wait for it to end")
        self.followed.append(membership)

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        """An agent that runs until the block ends, and then is ended as SIGTERM would."""
        identity = AUTHORITY.node(NodeRole.WORKER)
        database = Database(self.state / "tasks.db", "c1")
        stored = database.load()
        self.runtime = FaultyRuntime(FakeRuntime(self.host, self.state / "containers"))
        parts = Parts(
            self.runtime,
            self.images,
            self.networks,
            self.tunnels,
            self.names,
            database,
            lambda address: connect_control(address, identity),
            self.follow,
            self.audits,
        )
        session = Session(
            NodeDescription(hostname="host1"),
            self.managers,
            Random(1),
            stored.remembered.last_seen,
            dict(stored.tables),
        )
        agent = Agent(parts, session, Tasks(NODE), stored)
        running = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            running.cancel()
            ended = await asyncio.gather(running, return_exceptions=True)
            await self.runtime.close()
            await database.close()
            assert isinstance(ended[0], asyncio.CancelledError), ended[0]


def play(tmp_path: Path, story: Callable[[Node, FakeManager], Awaitable[None]]) -> None:
    async def main() -> None:
        manager = FakeManager(AUTHORITY)
        node = Node(tmp_path, managers=(await manager.serve(),))
        try:
            async with asyncio.timeout(2 * BOUND_S):
                await story(node, manager)
        finally:
            await manager.stop()

    asyncio.run(main())


async def registered(manager: FakeManager, times: int = 1) -> None:
    await manager.until(lambda: len(manager.registers) >= times)


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0.01)
