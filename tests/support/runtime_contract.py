"""What every make of the runtime seam must do, as scenes played on a test bed.

The commands used are `sleep 3600` (which, as the first process of its namespace, ignores SIGTERM), `true`, `false`
and the shell lines below; a bed must know them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from signal import SIGKILL, SIGTERM
from typing import Protocol

import pytest

from agent.runtime.seam import Container, ContainerState, ExecResult, Exit, Observed, Runtime
from covey import limits
from covey.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from covey.model.specs import Mount
from covey.model.states import MountKind

EXITS_7 = ("sh", "-c", "exit 7")
OBEYS_TERM = ("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
SAYS_MUCH = ("sh", "-c", "head -c 9000 /dev/zero | tr '\\0' x; exit 3")
SAYS_BOTH = ("sh", "-c", "echo out; sleep 0.1; echo err >&2")
LEAVES_DAEMONS = ("sh", "-c", "setsid sleep 3601 & (trap '' TERM HUP; sleep 3602) & exit 4")
HANGS_DEAF = ("sh", "-c", "echo so far; trap '' TERM HUP INT; setsid sleep 3603 & sleep 3604")
PATIENCE_S = 30


class Bed(Protocol):
    runtime: Runtime

    def container(self, name: str, *args: str, mounts: tuple[Mount, ...] = ()) -> Container: ...

    async def restart(self) -> None:
        """The agent is gone, another one comes: a fresh runtime on the same host."""

    async def stop_agent(self) -> None: ...

    async def start_agent(self) -> None: ...

    async def settled(self, name: str) -> None:
        """Wait until the command itself runs: before, a signal ends the OCI runtime's own first process."""

    def kill(self, name: str) -> None:
        """The container's process dies by SIGKILL, without the runtime being asked."""

    def processes(self, name: str) -> int:
        """How many processes are in the container."""


Scene = Callable[[Bed], Awaitable[None]]
SCENES: list[Scene] = []


def scene(function: Scene) -> Scene:
    SCENES.append(function)
    return function


async def running(bed: Bed, name: str, *args: str) -> int:
    pid = await bed.runtime.create(bed.container(name, *args))
    await bed.runtime.start(name)
    return pid


async def end_of(bed: Bed, name: str) -> Exit:
    async with asyncio.timeout(PATIENCE_S):
        return await bed.runtime.wait(name)


async def seen(bed: Bed) -> dict[str, ContainerState]:
    return {each.id: each.state for each in await bed.runtime.list()}


@scene
async def a_whole_life(bed: Bed) -> None:
    pid = await bed.runtime.create(bed.container("a", "sleep", "3600"))
    assert pid > 0
    (found,) = await bed.runtime.list()
    assert found == Observed("a", ContainerState.CREATED, pid, began=found.began)
    assert found.began
    await bed.runtime.start("a")
    assert await bed.runtime.list() == [Observed("a", ContainerState.RUNNING, pid, began=found.began)]
    await bed.runtime.signal("a", SIGKILL)
    assert await end_of(bed, "a") == Exit(137)
    assert await bed.runtime.list() == [Observed("a", ContainerState.EXITED, pid, Exit(137))]
    await bed.runtime.remove("a")
    assert await bed.runtime.list() == []


@scene
async def exit_codes_are_kept(bed: Bed) -> None:
    for name, args, code in (("t", ("true",), 0), ("f", ("false",), 1), ("s", EXITS_7, 7)):
        await running(bed, name, *args)
        assert await end_of(bed, name) == Exit(code)
        assert await end_of(bed, name) == Exit(code), "as often as one asks"


@scene
async def a_signal_reaches_the_process(bed: Bed) -> None:
    await running(bed, "a", *OBEYS_TERM)
    await bed.settled("a")
    for _ in range(PATIENCE_S * 10):  # the shell may not have come to its trap yet
        await bed.runtime.signal("a", SIGTERM)
        if (await seen(bed))["a"] is ContainerState.EXITED:
            break
        await asyncio.sleep(0.1)
    assert await end_of(bed, "a") == Exit(5)
    await bed.runtime.signal("a", SIGTERM)  # too late, and no error


@scene
async def the_first_process_ignores_what_it_does_not_handle(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    await bed.runtime.signal("a", SIGTERM)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await bed.runtime.wait("a")
    assert await seen(bed) == {"a": ContainerState.RUNNING}


@scene
async def an_unknown_command_is_refused_and_leaves_nothing(bed: Bed) -> None:
    with pytest.raises(InvalidArgument, match="no-such-command"):
        await bed.runtime.create(bed.container("a", "no-such-command"))
    assert await bed.runtime.list() == []
    await running(bed, "a", "true")
    assert await end_of(bed, "a") == Exit(0)


@scene
async def an_id_is_used_once(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    with pytest.raises(AlreadyExists, match="container a "):
        await bed.runtime.create(bed.container("a", "true"))
    assert await seen(bed) == {"a": ContainerState.RUNNING}


@scene
async def a_container_starts_once(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    with pytest.raises(FailedPrecondition):
        await bed.runtime.start("a")


@scene
async def what_is_not_there_is_named_but_may_be_removed(bed: Bed) -> None:
    for call in (
        bed.runtime.start("nobody"),
        bed.runtime.signal("nobody", SIGTERM),
        bed.runtime.wait("nobody"),
    ):
        with pytest.raises(NotFound, match="nobody"):
            await call
    await bed.runtime.remove("nobody")


@scene
async def removing_one_that_runs_ends_it_for_those_who_wait(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    waiting = asyncio.create_task(bed.runtime.wait("a"))
    await asyncio.sleep(0.05)
    await bed.runtime.remove("a")
    async with asyncio.timeout(PATIENCE_S):
        assert await waiting == Exit(137)
    await bed.runtime.remove("a")
    assert await bed.runtime.list() == []


@scene
async def one_who_gives_up_waiting_disturbs_nobody(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    impatient = asyncio.create_task(bed.runtime.wait("a"))
    patient = asyncio.create_task(bed.runtime.wait("a"))
    await asyncio.sleep(0.05)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    await bed.runtime.signal("a", SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        assert await patient == Exit(137)


@scene
async def a_missing_bind_source_is_named(bed: Bed) -> None:
    mount = Mount(MountKind.BIND, "/no/such/source", "/data")
    with pytest.raises(InvalidArgument, match="/no/such/source"):
        await bed.runtime.create(bed.container("a", "true", mounts=(mount,)))
    assert await bed.runtime.list() == []


@scene
async def a_new_agent_takes_running_containers_over(bed: Bed) -> None:
    pid = await running(bed, "a", "sleep", "3600")
    await bed.restart()
    (found,) = await bed.runtime.list()
    assert found == Observed("a", ContainerState.RUNNING, pid, began=found.began)
    await bed.runtime.signal("a", SIGKILL)
    assert await end_of(bed, "a") == Exit(137)


@scene
async def a_new_agent_learns_of_exits_that_happened_meanwhile(bed: Bed) -> None:
    await running(bed, "dies", "sleep", "3600")
    await running(bed, "died", *EXITS_7)
    await end_of(bed, "died")
    await bed.stop_agent()
    bed.kill("dies")
    await bed.start_agent()
    assert (await end_of(bed, "dies"), await end_of(bed, "died")) == (Exit(137), Exit(7))
    assert [each.exit for each in await bed.runtime.list()] == [Exit(7), Exit(137)]
    await bed.runtime.remove("dies")
    await bed.runtime.remove("died")
    assert await bed.runtime.list() == []


@scene
async def a_new_agent_can_start_what_was_created(bed: Bed) -> None:
    await bed.runtime.create(bed.container("a", *EXITS_7))
    await bed.restart()
    assert await seen(bed) == {"a": ContainerState.CREATED}
    await bed.runtime.start("a")
    assert await end_of(bed, "a") == Exit(7)


@scene
async def a_created_one_can_be_removed_unstarted(bed: Bed) -> None:
    await bed.runtime.create(bed.container("a", "true"))
    await bed.runtime.remove("a")
    assert await bed.runtime.list() == []


async def run_in(bed: Bed, name: str, argv: tuple[str, ...], timeout_s: float = PATIENCE_S) -> ExecResult:
    async with asyncio.timeout(PATIENCE_S * 2):
        return await bed.runtime.exec(name, argv, timeout_s)


async def hanging(bed: Bed, name: str) -> "asyncio.Task[ExecResult]":
    """A command that runs on in the container, until something is done about it."""
    task = asyncio.create_task(run_in(bed, name, HANGS_DEAF))
    async with asyncio.timeout(PATIENCE_S):
        while bed.processes(name) == 1:
            await asyncio.sleep(0.01)
    return task


@scene
async def a_command_runs_inside(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    assert await run_in(bed, "a", ("true",)) == ExecResult(0)
    assert await run_in(bed, "a", ("false",)) == ExecResult(1)
    assert await run_in(bed, "a", EXITS_7) == ExecResult(7)
    assert await run_in(bed, "a", SAYS_BOTH) == ExecResult(0, "out\nerr\n")
    assert bed.processes("a") == 1
    assert await seen(bed) == {"a": ContainerState.RUNNING}


@scene
async def only_the_beginning_of_what_a_command_says_is_kept(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    assert await run_in(bed, "a", SAYS_MUCH) == ExecResult(3, "x" * limits.exec_output_bytes_max)


@scene
async def a_command_that_is_not_there_is_named(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    result = await run_in(bed, "a", ("no-such-command",))
    assert result.code is None
    assert "no-such-command" in result.reason
    assert bed.processes("a") == 1


@scene
async def a_command_leaves_nothing_in_the_background(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    assert await run_in(bed, "a", LEAVES_DAEMONS) == ExecResult(4)
    assert bed.processes("a") == 1


@scene
async def a_command_that_takes_too_long_is_ended_with_all_it_began(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    result = await run_in(bed, "a", HANGS_DEAF, 0.5)
    assert (result.code, result.output, result.reason) == (None, "so far\n", "it took longer than 0.5 s")
    assert bed.processes("a") == 1
    assert await run_in(bed, "a", ("true",)) == ExecResult(0), "and the next one runs"


@scene
async def a_command_that_is_called_off_is_ended_with_all_it_began(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    running_in = await hanging(bed, "a")
    running_in.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running_in
    assert bed.processes("a") == 1


@scene
async def a_container_that_ends_ends_its_commands(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    running_in = await hanging(bed, "a")
    bed.kill("a")
    with pytest.raises(FailedPrecondition, match="container a"):
        await running_in
    assert await end_of(bed, "a") == Exit(137)


@scene
async def only_a_running_container_takes_commands(bed: Bed) -> None:
    await bed.runtime.create(bed.container("a", "sleep", "3600"))
    with pytest.raises(FailedPrecondition, match="container a"):
        await run_in(bed, "a", ("true",))
    await running(bed, "b", "true")
    await end_of(bed, "b")
    with pytest.raises(FailedPrecondition, match="container b"):
        await run_in(bed, "b", ("true",))
    with pytest.raises(NotFound, match="nobody"):
        await run_in(bed, "nobody", ("true",))


@scene
async def one_can_be_removed_while_a_command_runs(bed: Bed) -> None:
    await running(bed, "a", "sleep", "3600")
    await bed.settled("a")
    running_in = await hanging(bed, "a")
    await bed.runtime.remove("a")
    with pytest.raises((FailedPrecondition, NotFound)):
        await running_in
    assert await bed.runtime.list() == []


@scene
async def many_commands_at_once(bed: Bed) -> None:
    for name in ("a", "b", "c"):
        await running(bed, name, "sleep", "3600")
        await bed.settled(name)
    results = await asyncio.gather(
        *(run_in(bed, name, EXITS_7) for name in ("a", "b", "c") for _ in range(4))
    )
    assert results == [ExecResult(7)] * 12
    assert [bed.processes(name) for name in ("a", "b", "c")] == [1, 1, 1]


@scene
async def many_at_once(bed: Bed) -> None:
    names = [f"n{number}" for number in range(12)]
    await asyncio.gather(*(running(bed, name, "sleep", "3600") for name in names))
    assert await seen(bed) == dict.fromkeys(sorted(names), ContainerState.RUNNING)
    await asyncio.gather(*(bed.runtime.remove(name) for name in names))
    assert await bed.runtime.list() == []
