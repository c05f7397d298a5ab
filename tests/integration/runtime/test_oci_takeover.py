"""What survives: a killed agent, a killed conmon, a half-made container, a reboot."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from agent.runtime.oci import cgroups
from agent.runtime.oci.bundle import Bundle, Phase, Record
from agent.runtime.seam import ContainerState, Exit
from covey.errors import Unavailable
from tests.support.container_bed import ContainerBed
from tests.support.runtime_contract import OBEYS_TERM, end_of, running

pytestmark = pytest.mark.root
ROOT = Path(__file__).parents[3]

AGENT = """
import asyncio, sys
from pathlib import Path
from agent.runtime.oci.driver import OciRuntime
from agent.runtime.seam import Container

async def main():
    directory, cgroup, layer = sys.argv[1:4]
    runtime = OciRuntime(Path(directory) / "state", Path(directory) / "run", cgroup)
    await runtime.open()
    scripts = {"ticks": "while :; do date; sleep 0.1; done", "dies": "sleep 3600", "ends": "sleep 0.5; exit 9"}
    for name, script in scripts.items():
        await runtime.create(Container(id=name, layers=(layer,), args=("sh", "-c", script)))
        await runtime.start(name)
    await runtime.create(Container(id="unstarted", layers=(layer,), args=("sh", "-c", "exit 3")))
    print("ready", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def kill_agent(bed: ContainerBed) -> None:
    """Let another process be the agent, and kill -9 it while its containers run."""
    command = [sys.executable, "-c", AGENT, str(bed.directory), bed.cgroup, bed.layers[0]]
    agent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert agent.stdout is not None
    try:
        assert agent.stdout.readline() == b"ready\n"
    finally:
        agent.kill()
        agent.wait()
        agent.stdout.close()


def test_containers_outlive_a_killed_agent_and_are_taken_over(bed: ContainerBed) -> None:
    kill_agent(bed)
    lines = len(bed.file("ticks", "log").read_text())
    bed.kill("dies")
    time.sleep(1)
    assert len(bed.file("ticks", "log").read_text()) > lines, "the log goes on without an agent"

    async def main() -> None:
        await bed.runtime.open()
        found = {each.id: (each.state, each.exit) for each in await bed.runtime.list()}
        assert found == {
            "dies": (ContainerState.EXITED, Exit(137)),
            "ends": (ContainerState.EXITED, Exit(9)),
            "ticks": (ContainerState.RUNNING, None),
            "unstarted": (ContainerState.CREATED, None),
        }
        await bed.runtime.start("unstarted")
        assert await end_of(bed, "unstarted") == Exit(3)
        await bed.runtime.signal("ticks", signal.SIGKILL)
        assert await end_of(bed, "ticks") == Exit(137)
        for name in found:
            await bed.runtime.remove(name)
        await bed.runtime.close()

    asyncio.run(main())
    assert bed.traces() == []


def test_without_its_monitor_a_container_lives_on_and_its_code_is_not_guessed(bed: ContainerBed) -> None:
    async def main() -> None:
        await bed.runtime.open()
        await running(bed, "a", *OBEYS_TERM)
        os.kill(int(bed.file("a", "conmon.pid").read_text()), signal.SIGKILL)
        await asyncio.sleep(0.2)
        assert (await bed.runtime.list())[0].state is ContainerState.RUNNING
        await bed.restart()
        assert (await bed.runtime.list())[0].state is ContainerState.RUNNING
        await bed.runtime.signal("a", signal.SIGKILL)
        end = await end_of(bed, "a")
        assert end.code is None
        assert "conmon" in end.reason
        await bed.runtime.remove("a")
        await bed.runtime.close()

    asyncio.run(main())
    assert bed.traces() == []


def test_after_a_reboot_nothing_runs_and_no_stranger_is_touched(bed: ContainerBed) -> None:
    """The record names a live pid, but of another boot: the process is somebody else's."""
    stranger = subprocess.Popen(["sleep", "3600"])
    bundle = Bundle(bed.directory / "state/containers/a")
    bundle.directory.mkdir(parents=True)
    bundle.write_record(
        Record(
            "a",
            Phase.RUNNING,
            "another-boot",
            f"{bed.cgroup}/a",
            pid=stranger.pid,
            pid_start=1,
            stop_signal="SIGINT",
        )
    )

    async def main() -> None:
        await bed.runtime.open()
        (found,) = await bed.runtime.list()
        assert found.state is ContainerState.EXITED
        assert found.exit is not None
        assert found.exit.code is None
        assert "restarted" in found.exit.reason
        assert found.stop_signal == "SIGINT"
        await bed.runtime.signal("a", signal.SIGKILL)
        await bed.runtime.remove("a")
        assert await bed.runtime.list() == []
        await bed.runtime.close()

    try:
        asyncio.run(main())
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize(
    "record", [None, b"", b"{", b'{"id":"a","phase":"creating","boot_id":"","cgroup":""}']
)
def test_a_half_made_container_is_listed_as_ended_and_can_be_removed(
    bed: ContainerBed, record: bytes | None
) -> None:
    directory = bed.directory / "state/containers/a"
    (directory / "rootfs").mkdir(parents=True)
    if record is not None:
        (directory / "record.json").write_bytes(record)

    async def main() -> None:
        await bed.runtime.open()
        (found,) = await bed.runtime.list()
        assert (found.id, found.state) == ("a", ContainerState.EXITED)
        assert found.exit is not None
        assert "creating" in found.exit.reason
        await bed.runtime.remove("a")
        assert await bed.runtime.list() == []
        await running(bed, "a", "true")
        assert await end_of(bed, "a") == Exit(0)
        await bed.runtime.remove("a")
        await bed.runtime.close()

    asyncio.run(main())


def test_an_agent_killed_while_creating_leaves_something_removable(bed: ContainerBed) -> None:
    """As `create` leaves it when it is killed after conmon has answered: everything is there but the record."""

    async def main() -> None:
        await bed.runtime.open()
        await bed.runtime.create(bed.container("a", "sleep", "3600"))
        bundle = Bundle(bed.directory / "state/containers/a")
        record = bundle.read_record()
        assert record is not None
        await bed.stop_agent()
        bundle.write_record(msgspec.structs.replace(record, phase=Phase.CREATING, pid=0, conmon_pid=0))
        await bed.start_agent()
        assert (await bed.runtime.list())[0].state is ContainerState.EXITED
        await bed.runtime.remove("a")
        await bed.runtime.close()

    asyncio.run(main())
    deadline = time.monotonic() + 10
    while bed.traces() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert bed.traces() == []


@pytest.mark.parametrize("started", [True, False])
def test_an_agent_killed_while_starting_asks_the_runtime_what_is(bed: ContainerBed, *, started: bool) -> None:
    async def main() -> None:
        await bed.runtime.open()
        await bed.runtime.create(bed.container("a", "sleep", "3600"))
        if started:
            await bed.runtime.start("a")
        bundle = Bundle(bed.directory / "state/containers/a")
        record = bundle.read_record()
        assert record is not None
        await bed.stop_agent()
        bundle.write_record(msgspec.structs.replace(record, phase=Phase.STARTING))
        await bed.start_agent()
        state = ContainerState.RUNNING if started else ContainerState.CREATED
        assert [each.state for each in await bed.runtime.list()] == [state]
        await bed.runtime.remove("a")
        await bed.runtime.close()

    asyncio.run(main())


def test_power_loss_takes_everything_and_remove_cleans_up(bed: ContainerBed) -> None:
    """`kill -9` of all that is in the node's cgroup, conmon included, and RUN lost."""

    async def main() -> None:
        await bed.runtime.open()
        await running(bed, "a", "sleep", "3600")
        await bed.stop_agent()
        # Power takes everything at one instant. Signals do not, and a conmon that outlives its container by
        # a moment would still write its exit code down.
        os.kill(int(bed.file("a", "conmon.pid").read_text()), signal.SIGKILL)
        while cgroups.kill(bed.host.trees, bed.cgroup):
            await asyncio.sleep(0.01)
        shutil.rmtree(bed.directory / "run")
        await bed.start_agent()
        assert (await end_of(bed, "a")).code is None
        await bed.runtime.remove("a")
        await bed.runtime.close()

    asyncio.run(main())
    assert bed.traces() == []


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01, 0.03, 0.05])
def test_a_creation_that_is_called_off_leaves_nothing(bed: ContainerBed, after_s: float) -> None:
    async def main() -> None:
        await bed.runtime.open()
        creating = asyncio.create_task(bed.runtime.create(bed.container("a", "sleep", "3600")))
        await asyncio.sleep(after_s)
        creating.cancel()
        try:
            await creating
        except asyncio.CancelledError:
            pass
        else:  # it was done before it was called off
            await bed.runtime.remove("a")
        assert await bed.runtime.list() == []
        await bed.runtime.close()

    asyncio.run(main())
    assert list((bed.directory / "state/containers").iterdir()) == []
    deadline = time.monotonic() + 10
    while bed.traces() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert bed.traces() == []


def test_a_start_or_removal_that_is_called_off_is_finished(bed: ContainerBed) -> None:
    async def main() -> None:
        await bed.runtime.open()
        await bed.runtime.create(bed.container("a", "sleep", "3600"))
        for call in (bed.runtime.start("a"), bed.runtime.remove("a")):
            task = asyncio.create_task(call)
            await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await bed.runtime.close()
        assert list((bed.directory / "state/containers").iterdir()) == []

    asyncio.run(main())


def test_a_full_disk_is_said_and_leaves_nothing(bed: ContainerBed) -> None:
    state = bed.directory / "state"
    state.mkdir()
    assert os.system(f"mount -t tmpfs -o size=64k tmpfs {state}") == 0

    async def main() -> None:
        await bed.runtime.open()
        (state / "ballast").write_bytes(bytes(4096))
        with suppress(OSError), (state / "fill").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(Unavailable, match="free some disk space"):
            await bed.runtime.create(bed.container("a", "true"))
        assert await bed.runtime.list() == []
        assert list((state / "containers").iterdir()) == []
        (state / "fill").unlink()
        await running(bed, "a", "true")
        assert await end_of(bed, "a") == Exit(0)
        await bed.runtime.remove("a")
        await bed.runtime.close()

    asyncio.run(main())


def test_an_ended_container_keeps_its_log_and_no_mount(bed: ContainerBed) -> None:
    """An image's layers must not stay in use for as long as somebody may want to read an old log."""

    def mounted() -> bool:
        return str(bed.directory / "state/containers") in Path("/proc/self/mountinfo").read_text()

    async def unmounted() -> None:
        async with asyncio.timeout(10):
            while mounted():
                await asyncio.sleep(0.005)

    async def main() -> None:
        await bed.runtime.open()
        await running(bed, "a", "sh", "-c", "echo said; sleep 3600")
        await running(bed, "b", "sleep", "3600")
        assert mounted()
        bed.kill("b")
        await end_of(bed, "b")
        await bed.stop_agent()
        bed.kill("a")
        await bed.start_agent()
        assert await end_of(bed, "a") == Exit(137)
        await unmounted()
        assert bed.runtime.log_path("a").read_text().endswith("said\n")
        for name in ("a", "b"):
            await bed.runtime.remove(name)
        await bed.runtime.close()

    asyncio.run(main())
    assert bed.traces() == []


def test_a_container_that_the_host_cannot_hold_leaves_nothing(bed: ContainerBed) -> None:
    """Its monitor cannot be moved: the parent of its cgroup is a file."""
    bed.cgroup = "/cgroup.procs"

    async def main() -> None:
        await bed.start_agent()
        with pytest.raises(Unavailable, match="container a cannot be created"):
            await bed.runtime.create(bed.container("a", "true"))
        assert list((bed.directory / "state/containers").iterdir()) == []
        (bed.directory / "state/containers/lost+found").write_bytes(b"")  # no container, and no trouble
        await bed.restart()
        assert await bed.runtime.list() == []
        await bed.runtime.close()

    asyncio.run(main())
    assert str(bed.directory) not in Path("/proc/self/mountinfo").read_text()
