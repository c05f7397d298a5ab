"""The interface every runtime keeps: what a container is, and what can be done with one."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from agent.audit.look import Look
from covey import limits
from covey.model.specs import Mount, Resources, Ulimit

from .capabilities import DEFAULT_CAPABILITIES


class LogLimits(Struct, frozen=True, gc=False):
    """How much of a container's output is kept: at most `files` files of `max_bytes` each."""

    max_bytes: int = limits.container_log_bytes_max
    files: int = limits.container_log_files


HOST_NETNS = "host"
"""In the place of a path: the network namespace that the runtime itself is in, the node's."""


class Container(Struct, frozen=True, kw_only=True):
    """Everything a runtime needs to run one container; nothing is looked up elsewhere.

    `layers` are directories, the topmost first, as overlayfs wants its `lowerdir`. `args` is the whole
    argv. `user` is as an image writes it (`name`, `uid`, `name:group`, `uid:gid`, or empty for root) and is
    looked up in the image's own passwd and group; `groups` are further ones. `capabilities` is the final
    set (`agent.runtime.capabilities.resolve`). `netns` is the path of the network namespace to join,
    empty for a fresh one with nothing in it, or `HOST_NETNS`. `resolv_conf` and `hosts` are file contents;
    empty means the image's own file stays. `stop_signal` is kept for whoever takes the container over
    (`Observed.stop_signal`). An anonymous volume (kind volume, no source) is the container's own and goes
    with it.
    """

    id: str
    layers: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    groups: tuple[str, ...] = ()
    hostname: str = ""
    mounts: tuple[Mount, ...] = ()
    resources: Resources = Resources()
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    seccomp_unconfined: bool = False
    no_new_privileges: bool = False
    read_only: bool = False
    init: bool = False
    sysctls: dict[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    netns: str = ""
    resolv_conf: str = ""
    hosts: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""
    log: LogLimits = LogLimits()


class Exit(Struct, frozen=True, gc=False):
    """How a container ended. `code` None means nobody saw it; `reason` then says why.

    A process killed by signal N has code 128+N.
    """

    code: int | None
    oom_killed: bool = False
    reason: str = ""


class ContainerState(StrEnum):
    """Where a container is in its life."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Observed(Struct, frozen=True, gc=False):
    """A container as found on the host. `exit` is set when, and only when, `state` is EXITED.

    `pid` counts only with `began`, when that process did (clock ticks since boot): numbers are given anew.
    """

    id: str
    state: ContainerState
    pid: int = 0
    exit: Exit | None = None
    stop_signal: str = ""
    began: int = 0


class ExecResult(Struct, frozen=True, gc=False):
    """How a command in a running container ended.

    `code` None means that it did not end by itself, or never began. `reason` says what else is known of why: it
    took too long, it is not there, the container has no memory left. `output` is the
    beginning of what it wrote to stdout and stderr, at most `limits.exec_output_bytes_max` bytes of it.
    """

    code: int | None
    output: str = ""
    reason: str = ""


class Runtime(Protocol):
    """Runs containers on this host. Every method may be called concurrently for different containers.

    Raises `Refused` kinds for what the request did wrong, `NotFound` for an id that is not there, and
    `Unavailable` for what the host cannot do just now.
    """

    async def open(self) -> None:
        """Take over what a former agent left: running containers, and exits that happened meanwhile."""
        ...

    async def close(self) -> None:
        """Let go of the containers without touching them; pending `wait` calls are cancelled."""
        ...

    async def create(self, container: Container) -> int:
        """Make everything ready short of running it: mounts, cgroups, namespaces. Returns the host pid.

        After a failure nothing is left behind. `AlreadyExists` if the id is taken.
        """
        ...

    async def start(self, container_id: str) -> None:
        """Run the created container's command."""
        ...

    async def signal(self, container_id: str, signal: int) -> None:
        """Send `signal` to the container's first process; no error if it has ended already."""
        ...

    async def wait(self, container_id: str) -> Exit:
        """Wait until the container ends, however long; at once if it has. Any number may wait."""
        ...

    async def exec(self, container_id: str, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command in the running container, as its own user and with its own environment.

        It may take `timeout_s` from when it began. When this returns or raises, cancellation included,
        nothing of the command is left, also nothing that it started in the background; of an agent that is
        killed meanwhile, the next one ends it in `open`. `FailedPrecondition` if the container does not run,
        or ends meanwhile; `Unavailable` if the command could not be tried (a paused container, a full disk).
        """
        ...

    async def remove(self, container_id: str) -> None:
        """Kill it if it runs, and remove every trace of it, its log too. No error if there is none."""
        ...

    async def list(self) -> Sequence[Observed]:
        """All containers of this runtime, ordered by id."""
        ...

    async def audit(self, is_known: Callable[[str], bool]) -> Look:
        """Say what is left on this host of containers that are gone, and what those that run lack.

        `is_known` tells of which ids there may be something: they belong to tasks.
        """
        ...

    async def clear(self, is_known: Callable[[str], bool]) -> None:
        """Remove what `audit` finds left behind, as far as no process uses it; of what is known, nothing."""
        ...

    def log_path(self, container_id: str) -> Path:
        """The file of its output (format: `agent.logs.lines`); older ones end in `.1`, `.2`, and so on.

        `.1` may be another name of the current file.
        """
        ...
