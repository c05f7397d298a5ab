"""Commands in real containers: whatever they do, and whatever happens to the agent, nothing of them is left."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.runtime.seam import ExecResult
from covey import limits
from covey.errors import FailedPrecondition, Unavailable
from covey.model.specs import Resources
from devcluster.images.layout import directory, text
from tests.support.container_bed import ContainerBed
from tests.support.runtime_contract import HANGS_DEAF, LEAVES_DAEMONS, hanging, running

pytestmark = pytest.mark.root
ROOT = Path(__file__).parents[3]
WAITS_FOR_ALL = ("sh", "-c", "sleep 3608 & while :; do wait; done")
FORK_BOMB = ("sh", "-c", "trap '' TERM HUP; bomb() { bomb | bomb & }; bomb; sleep 3600")
WRITES_ON = ("sh", "-c", "yes some words")


def played(
    bed: ContainerBed,
    scene: Callable[[], Awaitable[None]],
    first: Sequence[str] = ("sleep", "3600"),
    **settings: Any,
) -> None:
    """Play a scene beside a container `a` that sleeps; nothing may be left of either."""

    async def main() -> None:
        await bed.runtime.open()
        await bed.runtime.create(bed.container("a", *first, **settings))
        await bed.runtime.start("a")
        await bed.settled("a")
        await scene()
        for each in await bed.runtime.list():
            await bed.runtime.remove(each.id)
        await bed.runtime.close()

    asyncio.run(main())
    deadline = time.monotonic() + 10
    while bed.traces() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert bed.traces() == []


async def said(bed: ContainerBed, script: str) -> str:
    result = await bed.runtime.exec("a", ("sh", "-c", script), 30)
    assert result.code == 0, result
    return result.output


def test_it_is_the_containers_user_environment_and_directory(bed: ContainerBed) -> None:
    bed.add_layer(directory("etc"), text("etc/passwd", "app:x:1000:1001::/data:/bin/sh\n"), directory("data"))

    async def scene() -> None:
        assert await said(bed, "id -u; id -g; echo $A; pwd; hostname") == "1000\n1001\nx\n/data\nweb1\n"
        status = "grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\t'"
        assert await said(bed, status) == "CapEff:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n"

    settings = {"user": "app", "env": ("A=x",), "cwd": "/data", "hostname": "web1", "no_new_privileges": True}
    played(bed, scene, **settings)


def test_what_forks_faster_than_one_can_look_is_ended(bed: ContainerBed) -> None:
    async def scene() -> None:
        async with asyncio.timeout(10):
            while bed.processes("a") < 2:
                await asyncio.sleep(0.005)
        for _ in range(3):
            result = await bed.runtime.exec("a", FORK_BOMB, 1)
            assert result.code != 0
            assert bed.processes("a") == 2
            async with asyncio.timeout(10):
                while len(bed.adopted("a")) > 1:
                    await asyncio.sleep(0.005)
            assert await bed.runtime.exec("a", ("true",), 30) == ExecResult(0)

    played(bed, scene, WAITS_FOR_ALL, resources=Resources(pids=60))


def test_what_fills_a_container_up_is_told(bed: ContainerBed) -> None:
    """Its first process waits for nobody, so what had been put in the background counts on."""

    async def scene() -> None:
        await bed.runtime.exec("a", FORK_BOMB, 1)
        assert bed.processes("a") == 1
        for _ in range(3):
            result = await bed.runtime.exec("a", ("sh", "-c", "true; exit 0"), 30)
            assert result == ExecResult(0) or "can't fork" in result.output or "may (40)" in result.reason, (
                result
            )

    played(bed, scene, resources=Resources(pids=40))


@pytest.mark.parametrize("script", ["sleep 3605; true", "(sleep 3606; true) | sleep 3607; true"])
def test_no_zombies_are_left_with_a_first_process_that_waits_for_none(bed: ContainerBed, script: str) -> None:
    """They would count against the bound on processes, until the container could not begin anything."""

    async def scene() -> None:
        for _ in range(3):
            result = await bed.runtime.exec("a", ("sh", "-c", script), 0.5)
            assert (result.code, result.reason) == (None, "it took longer than 0.5 s")
            assert bed.adopted("a") == []

    played(bed, scene)


def test_nothing_stays_open_whatever_a_command_did(bed: ContainerBed) -> None:
    async def scene() -> None:
        await bed.runtime.exec("a", ("true",), 30)
        before = sorted(os.listdir("/proc/self/fd"))
        for argv in (("true",), ("no-such-command",), WRITES_ON, HANGS_DEAF, LEAVES_DAEMONS):
            await bed.runtime.exec("a", argv, 0.5)
        assert sorted(os.listdir("/proc/self/fd")) == before
        assert list((bed.directory / "state/containers/a").glob("*exec*")) == []

    played(bed, scene)


def test_what_is_no_text_is_shown_as_far_as_it_is(bed: ContainerBed) -> None:
    async def scene() -> None:
        result = await bed.runtime.exec("a", ("sh", "-c", r"printf 'a\377\376\0z'; exit 1"), 30)
        assert result == ExecResult(1, "a\ufffd\ufffd\0z")

    played(bed, scene)


@pytest.mark.parametrize("program", ["/bin/no-such-shell", "no-such-command", "ask-whether-paused"])
def test_a_missing_program_is_named_each_time_in_the_same_words(bed: ContainerBed, program: str) -> None:
    """Whoever is told when the words change would be told each time, if they held the time."""

    async def scene() -> None:
        first = await bed.runtime.exec("a", (program, "-c", "true"), 30)
        assert first.reason.startswith(f"there is no {program} in the container (exec: ")
        await asyncio.sleep(1.1)
        assert await bed.runtime.exec("a", (program, "-c", "true"), 30) == first

    played(bed, scene)


def test_what_writes_without_end_does_not_keep_us_busy(bed: ContainerBed) -> None:
    async def scene() -> None:
        before = time.process_time()
        result = await bed.runtime.exec("a", WRITES_ON, 1)
        assert (result.code, len(result.output)) == (None, limits.exec_output_bytes_max)
        assert time.process_time() - before < 0.5
        assert bed.processes("a") == 1

    played(bed, scene)


def test_a_container_with_no_process_to_spare_says_so(bed: ContainerBed) -> None:
    async def scene() -> None:
        for tree in bed.host.trees:  # not from the beginning: the runtime's own first process needs some
            bound = Path(tree.mount) / bed.cgroup.lstrip("/") / "a" / "pids.max"
            if bound.exists():
                bound.write_text("1")
        for command in (("true",), ("sh", "-c", "true | true; exit 0")):
            result = await bed.runtime.exec("a", command, 30)
            assert result == ExecResult(0) or "can't fork" in result.output or "may (1)" in result.reason, (
                result
            )
            assert bed.processes("a") == 1

    played(bed, scene, resources=Resources(pids=50))


def test_one_that_takes_all_the_memory_is_ended_by_the_kernel(bed: ContainerBed) -> None:
    async def scene() -> None:
        result = await bed.runtime.exec(
            "a", ("sh", "-c", "x=$(head -c 300000000 /dev/zero | tr '\\0' x)"), 30
        )
        assert result.code not in (None, 0)
        assert "memory" in result.reason
        assert bed.processes("a") == 1
        assert await bed.runtime.exec("a", ("true",), 30) == ExecResult(0)

    played(bed, scene, resources=Resources(memory_bytes=32 << 20))


def test_nothing_can_be_asked_of_a_paused_container(bed: ContainerBed) -> None:
    def runc(word: str) -> None:
        root = str(bed.directory / "run/runtime")
        subprocess.run([bed.host.runtime, "--root", root, word, "a"], check=True)

    async def scene() -> None:
        runc("pause")
        with pytest.raises(Unavailable, match="container a is paused"):
            await bed.runtime.exec("a", ("true",), 30)
        runc("resume")
        assert await bed.runtime.exec("a", ("true",), 30) == ExecResult(0)

    played(bed, scene)


def test_one_paused_under_way_is_ended_once_it_goes_on(bed: ContainerBed) -> None:
    """On cgroup v1 a frozen process is deaf even to SIGKILL: that is said, and made up for by the next one."""

    def runc(word: str) -> None:
        root = str(bed.directory / "run/runtime")
        subprocess.run([bed.host.runtime, "--root", root, word, "a"], check=True)

    async def scene() -> None:
        asking = await hanging(bed, "a")
        runc("pause")
        asking.cancel()
        with pytest.raises((asyncio.CancelledError, Unavailable)):
            await asking
        runc("resume")
        assert await bed.runtime.exec("a", ("true",), 30) == ExecResult(0)
        assert bed.processes("a") == 1

    played(bed, scene)


@pytest.mark.parametrize("after_s", [0.0, 0.002, 0.01, 0.02, 0.03, 0.05])
def test_one_that_is_called_off_at_any_moment_leaves_nothing(bed: ContainerBed, after_s: float) -> None:
    async def scene() -> None:
        for _ in range(5):
            asking = asyncio.create_task(bed.runtime.exec("a", HANGS_DEAF, 30))
            await asyncio.sleep(after_s)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            async with asyncio.timeout(5):  # a runtime that was killed on its way in ends a moment later
                while bed.processes("a") > 1:
                    await asyncio.sleep(0.005)

    played(bed, scene)


AGENT = """
import asyncio, sys
from pathlib import Path
from agent.runtime.oci.driver import OciRuntime

async def main():
    directory, cgroup, pause_s, *argv = sys.argv[1:]
    runtime = OciRuntime(Path(directory) / "state", Path(directory) / "run", cgroup)
    await runtime.open()
    asking = asyncio.create_task(runtime.exec("a", argv, 3600))
    await asyncio.sleep(float(pause_s))
    print("ready", flush=True)
    await asking

asyncio.run(main())
"""


def kill_agent(command: list[str]) -> None:
    """Let another process be the agent, and kill -9 it while a command runs."""
    agent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert agent.stdout is not None
    try:
        assert agent.stdout.readline() == b"ready\n"
    finally:
        agent.kill()
        agent.wait()
        agent.stdout.close()


@pytest.mark.parametrize("pause_s", [0.0, 0.01, 0.02, 0.03, 0.05, 0.5])
def test_what_a_killed_agent_left_the_next_one_ends(bed: ContainerBed, pause_s: float) -> None:
    async def scene() -> None:
        await bed.stop_agent()
        command = [sys.executable, "-c", AGENT, str(bed.directory), bed.cgroup, str(pause_s), *HANGS_DEAF]
        kill_agent(command)
        if pause_s >= 0.5:
            assert bed.processes("a") > 1
        await bed.start_agent()
        async with asyncio.timeout(5):
            while bed.processes("a") > 1:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        assert bed.processes("a") == 1, "nor does anything come later"
        assert await bed.runtime.exec("a", ("true",), 30) == ExecResult(0)
        assert list((bed.directory / "state/containers/a").glob("*exec*")) == []

    played(bed, scene)


def test_files_of_a_command_that_got_no_further_go_with_the_next_agent(bed: ContainerBed) -> None:
    async def scene() -> None:
        left = [bed.file("a", f"covey-exec-77-1.{kind}") for kind in ("json", "pid")]
        for file in left:
            file.write_text("{}")
        await bed.restart()
        assert [file for file in left if file.exists()] == []
        assert bed.file("a", "config.json").exists()

    played(bed, scene)


def test_a_runtime_that_cannot_do_it_is_named(bed: ContainerBed) -> None:
    old = bed.directory / "old-runc"

    async def scene() -> None:
        old.write_text(f'#!/bin/sh\n[ "$2" = --help ] && exit 0\nexec {bed.host.runtime} "$@"\n')
        old.chmod(0o755)
        bed.runtime._executor._argv = (str(old), *bed.runtime._executor._argv[1:])
        with pytest.raises(FailedPrecondition, match=r"install runc 1\.1"):
            await bed.runtime.exec("a", ("true",), 30)

    played(bed, scene)


def test_many_containers_are_asked_at_once(bed: ContainerBed) -> None:
    names = [f"n{number}" for number in range(10)]

    async def scene() -> None:
        await asyncio.gather(*(running(bed, name, "sleep", "3600") for name in names))
        for name in names:
            await bed.settled(name)
        began = time.monotonic()
        results = await asyncio.gather(*(bed.runtime.exec(name, ("true",), 30) for name in names * 4))
        print(f"{(time.monotonic() - began) / 40 * 1000:.0f} ms each, {os.getloadavg()[0]:.1f} load")
        assert results == [ExecResult(0)] * 40

    played(bed, scene)
