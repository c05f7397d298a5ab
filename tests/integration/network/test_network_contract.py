"""What every make of `Networks` promises, held against the fake and the kernel."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.network.fake import FakeNetworks
from agent.network.seam import Attachment, Networks, Sandbox
from covey.errors import FailedPrecondition
from covey.io import netns
from covey.model.objects import Endpoint, Network
from covey.model.tables import NetworkTable
from tests.support.network_bed import INGRESS, NET, Bed

pytestmark = pytest.mark.root

Script = Callable[[Networks, Bed], Awaitable[None]]


async def attaching_twice_is_attaching_once(networks: Networks, bed: Bed) -> None:
    sandbox = bed.sandbox(bed.hosts[0], "t1")
    path = await networks.attach(sandbox)
    assert path.endswith("/t1")
    assert await networks.attach(sandbox) == path


async def what_is_unknown_can_be_taken_away(networks: Networks, bed: Bed) -> None:
    await networks.detach("nobody")
    await networks.forget("nothing")


async def tables_may_come_before_and_after_tasks(networks: Networks, bed: Bed) -> None:
    await networks.apply(NetworkTable(NET.id))
    await networks.attach(bed.sandbox(bed.hosts[0], "t1"))
    await networks.learn(NET)
    await networks.apply(NetworkTable(NET.id))
    await networks.forget(NET.id)
    await networks.detach("t1")
    await networks.detach("t1")


async def a_sandbox_that_cannot_be_is_refused_and_harms_nobody(networks: Networks, bed: Bed) -> None:
    unnumbered = Sandbox("t9", (Attachment(Network(id="x"), Endpoint(id="e", addresses=("10.7.0.9",))),))
    with pytest.raises(FailedPrecondition, match="no VNI"):
        await networks.attach(unnumbered)
    sandboxes = [unnumbered, bed.sandbox(bed.hosts[0], "t1")]
    assert await networks.reconcile([NET, INGRESS], [], sandboxes) == frozenset()
    await networks.attach(bed.sandbox(bed.hosts[0], "t2"))


SCRIPTS: list[Script] = [
    attaching_twice_is_attaching_once,
    what_is_unknown_can_be_taken_away,
    tables_may_come_before_and_after_tasks,
    a_sandbox_that_cannot_be_is_refused_and_harms_nobody,
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_fake_keeps_the_contract(script: Script, tmp_path: Path) -> None:
    async def play() -> None:
        networks = FakeNetworks()
        await script(networks, Bed(tmp_path))
        await networks.close()

    asyncio.run(play())


class Remote:
    """The real make in its own host, behind the same methods."""

    def __init__(self, bed: Bed) -> None:
        self._host = bed.hosts[0]

    async def learn(self, network: object) -> None:
        self._do("learn", networks=[network])

    async def attach(self, sandbox: object) -> str:
        return self._do("attach", sandbox=sandbox)

    async def detach(self, task_id: str) -> None:
        self._do("detach", name=task_id)

    async def apply(self, table: object) -> None:
        self._do("apply", table=table)

    async def forget(self, network_id: str) -> None:
        self._do("forget", name=network_id)

    async def reconcile(self, networks: object, tables: object, sandboxes: object) -> frozenset[str]:
        return frozenset(self._do("reconcile", networks=networks, tables=tables, sandboxes=sandboxes).split())

    async def close(self) -> None:
        self._host.stop()

    def _do(self, method: str, **arguments: object) -> str:
        try:
            return self._host.ask(method, **arguments)
        except AssertionError as error:
            if "FailedPrecondition" in str(error):
                raise FailedPrecondition(str(error)) from error
            raise


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_kernel_keeps_the_contract(script: Script, scratch: Path) -> None:
    bed = Bed(scratch, hosts=1)
    try:
        bed.build()
        asyncio.run(script(Remote(bed), bed))
        left = list(bed.hosts[0].netns_dir.glob("*"))
        assert {each.name for each in left} <= {"t1", "t2", f"net-{NET.id}"}
        assert all(netns.exists(each) for each in left)
    finally:
        bed.close()
