"""A runtime in memory, for testing whoever uses one.

A `FakeHost` stands for the machine: it outlives the `FakeRuntime` that works on it, so a test plays an
agent's restart by making a second runtime on the same host, and a host's by `FakeHost.reboot`. What a
command does is a `Behaviour`, looked up by the whole argv and then by its first word; a command nobody
described is refused as one that is not in the image.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL

from msgspec import Struct, field

from agent.audit.look import Look
from covey import limits
from covey.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from covey.model.audit import Finding

from .seam import Container, ContainerState, ExecResult, Exit, Observed


class Behaviour(Struct, frozen=True):
    """What a command does: end at once with `exit_code`, or run on until a signal of `on_signal` comes.

    It writes `log` first.

    As the first process of a pid namespace ignores what it does not handle, signals that are not listed do
    nothing, but for SIGKILL.
    """

    exit_code: int | None = None
    on_signal: Mapping[int, int] = {}
    log: str = ""


COMMANDS: dict[str, Behaviour] = {
    "sleep": Behaviour(),
    "true": Behaviour(exit_code=0),
    "false": Behaviour(exit_code=1),
}


class FakeContainer(Struct):
    """One container of a `FakeHost`."""

    spec: Container
    pid: int
    state: ContainerState = ContainerState.CREATED
    exit: Exit | None = None
    signals: list[int] = []
    execs: list[tuple[str, ...]] = []  # under way in it
    paused: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class FakeHost:
    """The machine below: its containers, the commands its images have, and the sources it can bind."""

    def __init__(self, commands: Mapping[str, Behaviour] | None = None) -> None:
        self.commands: dict[str, Behaviour] = {**COMMANDS, **(commands or {})}
        self.anything_runs: Behaviour | None = None
        self.missing_sources: set[str] = set()
        self.containers: dict[str, FakeContainer] = {}
        self.removed: list[str] = []
        self.leftovers: list[Finding] = []
        self.next_pid = 1000

    def behaviour(self, args: Sequence[str]) -> Behaviour:
        """What running `args` does; `InvalidArgument` if no such command is known."""
        found = self.commands.get(" ".join(args)) or self.commands.get(args[0] if args else "")
        found = found or self.anything_runs
        if found is None:
            name = args[0] if args else ""
            raise InvalidArgument(f"command {name!r}: executable file not found in the image's PATH")
        return found

    def end(self, container_id: str, code: int | None, *, oom_killed: bool = False, reason: str = "") -> None:
        """Let a container's process end with `code`, whether an agent is there or not."""
        container = self.containers[container_id]
        if container.state is not ContainerState.EXITED:
            container.state = ContainerState.EXITED
            container.exit = Exit(code, oom_killed, reason)
            container.ended.set()

    def reboot(self) -> None:
        """The host starts anew: everything that ran ended unseen."""
        for container_id in self.containers:
            self.end(container_id, None, reason="the host restarted while it ran")


class FakeRuntime:
    """The runtime seam over a `FakeHost`."""

    def __init__(self, host: FakeHost | None = None, logs: Path = Path("/nonexistent")) -> None:
        self.host = host if host is not None else FakeHost()
        self._logs = logs
        self._waiting: set[asyncio.Task[Exit]] = set()

    async def open(self) -> None:
        """Nothing to take over: the host keeps it."""

    async def close(self) -> None:
        """Cancel pending waits."""
        for each in self._waiting:
            each.cancel()

    async def create(self, container: Container) -> int:
        """Check what a real runtime would check, and enter the container."""
        await asyncio.sleep(0)
        host = self.host
        if container.id in host.containers:
            raise AlreadyExists(f"container {container.id} exists already; remove it first")
        for mount in container.mounts:
            if mount.source in host.missing_sources:
                raise InvalidArgument(
                    f"mount {mount.target}: bind source {mount.source} does not exist on this node; create it"
                )
        host.behaviour(container.args)
        host.next_pid += 1
        host.containers[container.id] = FakeContainer(container, host.next_pid)
        return host.next_pid

    async def start(self, container_id: str) -> None:
        """Run it, or let it end at once if that is what its command does."""
        await asyncio.sleep(0)
        container = self._get(container_id)
        if container.state is not ContainerState.CREATED:
            raise FailedPrecondition(f"container {container_id} is {container.state}: it cannot be started")
        container.state = ContainerState.RUNNING
        code = self.host.behaviour(container.spec.args).exit_code
        if code is not None:
            self.host.end(container_id, code)

    async def signal(self, container_id: str, signal: int) -> None:
        """Do what the command's `Behaviour` says of `signal`."""
        await asyncio.sleep(0)
        container = self._get(container_id)
        container.signals.append(signal)
        answer = self.host.behaviour(container.spec.args).on_signal
        if signal == SIGKILL:
            self.host.end(container_id, 128 + SIGKILL)
        elif signal in answer and container.state is ContainerState.RUNNING:
            self.host.end(container_id, answer[signal])

    async def wait(self, container_id: str) -> Exit:
        """Wait for the container's end."""
        container = self._get(container_id)
        task = asyncio.create_task(self._ended(container))
        self._waiting.add(task)
        try:
            return await task
        finally:
            task.cancel()
            self._waiting.discard(task)

    async def exec(self, container_id: str, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Do what the command's `Behaviour` says, or say that there is no such command."""
        await asyncio.sleep(0)
        container = self._get(container_id)
        if container.state is not ContainerState.RUNNING:
            raise FailedPrecondition(
                f"container {container_id} is {container.state}: nothing can be run in it"
            )
        if container.paused:
            raise Unavailable(f"container {container_id} is paused: nothing can be run in it now")
        try:
            behaviour = self.host.behaviour(argv)
        except InvalidArgument as error:
            return ExecResult(None, reason=str(error))
        output = behaviour.log.encode()[: limits.exec_output_bytes_max].decode(errors="replace")
        if behaviour.exit_code is not None:
            return ExecResult(behaviour.exit_code, output)
        container.execs.append(tuple(argv))
        try:
            async with asyncio.timeout(timeout_s):
                await container.ended.wait()
        except TimeoutError:
            return ExecResult(None, output, f"it took longer than {timeout_s:g} s")
        finally:
            container.execs.remove(tuple(argv))
        raise FailedPrecondition(f"container {container_id} has ended meanwhile")

    async def remove(self, container_id: str) -> None:
        """Forget it; waiters learn that it was killed."""
        await asyncio.sleep(0)
        if container_id in self.host.containers:
            self.host.end(container_id, 128 + SIGKILL)
            del self.host.containers[container_id]
            self.host.removed.append(container_id)

    async def list(self) -> Sequence[Observed]:
        """All containers of the host."""
        found = sorted(self.host.containers.items())
        return [
            Observed(i, c.state, c.pid, c.exit, c.spec.stop_signal, began=0 if c.exit else c.pid)
            for i, c in found
        ]

    async def audit(self, is_known: Callable[[str], bool]) -> Look:
        """Say what was planted in `leftovers` of ids that nobody knows."""
        left = [each for each in self.host.leftovers if not is_known(each.place)]
        return Look(len(self.host.containers), tuple(left))

    async def clear(self, is_known: Callable[[str], bool]) -> None:
        """Remove those."""
        self.host.leftovers = [each for each in self.host.leftovers if is_known(each.place)]

    def log_path(self, container_id: str) -> Path:
        """Where the log would be."""
        return self._logs / container_id / "log"

    def _get(self, container_id: str) -> FakeContainer:
        container = self.host.containers.get(container_id)
        if container is None:
            raise NotFound(f"container {container_id} does not exist on this node")
        return container

    @staticmethod
    async def _ended(container: FakeContainer) -> Exit:
        await container.ended.wait()
        assert container.exit is not None, "an ended container has an exit"
        return container.exit
