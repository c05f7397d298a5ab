"""The runtime in memory keeps the runtime's contract."""

import asyncio
from signal import SIGTERM

import pytest

from agent.runtime.fake import Behaviour, FakeHost, FakeRuntime
from agent.runtime.faulty import FaultyRuntime
from agent.runtime.seam import Container, Exit
from covey.errors import Unavailable
from covey.model.specs import Mount
from tests.support.runtime_contract import (
    EXITS_7,
    HANGS_DEAF,
    LEAVES_DAEMONS,
    OBEYS_TERM,
    SAYS_BOTH,
    SAYS_MUCH,
    SCENES,
    Scene,
)


class FakeBed:
    def __init__(self) -> None:
        commands = {
            " ".join(EXITS_7): Behaviour(exit_code=7),
            " ".join(OBEYS_TERM): Behaviour(on_signal={SIGTERM: 5}),
            " ".join(SAYS_BOTH): Behaviour(exit_code=0, log="out\nerr\n"),
            " ".join(SAYS_MUCH): Behaviour(exit_code=3, log="x" * 9000),
            " ".join(LEAVES_DAEMONS): Behaviour(exit_code=4),
            " ".join(HANGS_DEAF): Behaviour(log="so far\n"),
        }
        self.host = FakeHost(commands)
        self.host.missing_sources.add("/no/such/source")
        self.runtime = FakeRuntime(self.host)

    def container(self, name: str, *args: str, mounts: tuple[Mount, ...] = ()) -> Container:
        return Container(id=name, layers=("/layer",), args=args, mounts=mounts)

    async def restart(self) -> None:
        await self.stop_agent()
        await self.start_agent()

    async def stop_agent(self) -> None:
        await self.runtime.close()

    async def start_agent(self) -> None:
        self.runtime = FakeRuntime(self.host)
        await self.runtime.open()

    async def settled(self, name: str) -> None:
        """At once."""

    def kill(self, name: str) -> None:
        self.host.end(name, 137)

    def processes(self, name: str) -> int:
        return 1 + len(self.host.containers[name].execs)


@pytest.mark.parametrize("play", SCENES, ids=lambda each: each.__name__)
def test_contract(play: Scene) -> None:
    async def main() -> None:
        bed = FakeBed()
        await bed.runtime.open()
        await play(bed)
        await bed.runtime.close()

    asyncio.run(main())


def test_a_reboot_ends_everything_unseen() -> None:
    async def main() -> None:
        bed = FakeBed()
        await bed.runtime.create(bed.container("a", "sleep", "1"))
        bed.host.reboot()
        assert (await bed.runtime.wait("a")).code is None

    asyncio.run(main())


def test_planned_faults_happen_once_and_in_order() -> None:
    async def main() -> None:
        bed = FakeBed()
        faulty = FaultyRuntime(bed.runtime)
        faulty.fail("create", Unavailable("disk full"))
        faulty.fail("create", Unavailable("answer lost"), after=True)
        for message, made in (("disk full", False), ("answer lost", True)):
            with pytest.raises(Unavailable, match=message):
                await faulty.create(bed.container("a", "true"))
            assert ("a" in bed.host.containers) is made
        await faulty.start("a")
        assert await faulty.wait("a") == Exit(0)

    asyncio.run(main())


def test_a_hanging_call_goes_on_when_released() -> None:
    async def main() -> None:
        bed = FakeBed()
        faulty = FaultyRuntime(bed.runtime)
        faulty.hang("create")
        task = asyncio.create_task(faulty.create(bed.container("a", "true")))
        await asyncio.sleep(0.01)
        assert not task.done()
        faulty.release("create")
        assert await task > 0

    asyncio.run(main())
