"""Running a command inside a running container, so that nothing of it outlives the call.

`runc exec` alone does not do: to kill it leaves the command running, and to kill the command leaves what that has
put in the background. So each command gets a cgroup of its own below the container's (`exec --cgroup`, runc 1.1
and crun 1), in one hierarchy: v2's where that is the only one, else the pids controller's, which can forbid
forks. Whatever the command does (setsid, two forks, deaf to signals), it cannot leave it, and what is in there is
killed in the end. The directory is also what a next agent finds if this one is killed meanwhile; as soon as it is
removed, a runtime that is still on its way into it fails.
"""

import asyncio
import logging
import os
import subprocess
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from agent.runtime.oci import cgroups
from agent.runtime.oci.bundle import Bundle
from agent.runtime.oci.complaints import is_dump, message_of, says_crowded, says_missing
from agent.runtime.oci.host import Host, process_start
from agent.runtime.seam import ExecResult
from covey import limits
from covey.errors import FailedPrecondition, Unavailable
from covey.io.process import ended, run

from .felling import fell

_log = logging.getLogger(__name__)
_PREFIX = "covey-exec-"
_BEGIN_POLL_S = 0.004
_LOOK_S = 0.1  # how often it is seen whether the command is over while something else holds its output open
_KILL_TRIES = 400
_KILL_PAUSE_S = 0.005
_STARVED = "the kernel killed it, or part of it: the container has used all the memory it may"
_RUNTIME_THREADS = 16  # at most, on its way into a container
_READ_BYTES = 64 * 1024
_OVERFLOW_PAUSE_S = 0.01  # whoever writes more than is kept is slowed down, not read at full speed


class Executor:
    """Runs commands in containers. `to_the_end` lets a coroutine finish whatever happens to its caller."""

    PREFIX = _PREFIX

    def __init__(
        self, host: Host, argv: Sequence[str], to_the_end: Callable[[Coroutine[Any, Any, None]], Any]
    ) -> None:
        self._host = host
        self._argv = argv  # the runtime and its options
        self._to_the_end = to_the_end
        self._tree = cgroups.tree_of_execs(host.trees)
        self._places = asyncio.Semaphore(limits.exec_starts_at_once)
        self._numbers = count(1)
        self._able: bool | None = None
        self._active: set[str] = set()

    @property
    def tree(self) -> cgroups.Hierarchy:
        """The hierarchy in which commands have cgroups of their own."""
        return self._tree

    def of_container(self, cgroup: str) -> tuple[str, frozenset[str]]:
        """The cgroup below which commands of a container have theirs, and those that are in use now."""
        home = cgroups.home_of_execs(self._tree, cgroup)
        return home, frozenset(path for path in self._active if path.startswith(f"{home}/"))

    async def run(self, bundle: Bundle, cgroup: str, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Run `argv` in the container whose cgroup is at the path `cgroup`.

        Raises `Unavailable` if that could not be tried, or if something of a command cannot be killed;
        `FailedPrecondition` if this host's runtime cannot do it at all.
        """
        await self._probe()
        await self.sweep(bundle, cgroup)
        name = f"{_PREFIX}{os.getpid()}-{next(self._numbers)}"
        home = cgroups.home_of_execs(self._tree, cgroup)
        attempt = _Attempt(f"{home}/{name}", self._tree, bundle, name)
        kills = cgroups.oom_kills(self._host.trees, cgroup)
        self._active.add(attempt.cgroup)
        try:
            async with self._places:
                attempt.spawn(self._argv, argv)
                await attempt.begun()
            try:
                async with asyncio.timeout(timeout_s):
                    code = await attempt.over()
            except TimeoutError:
                return ExecResult(None, attempt.output.text, f"it took longer than {timeout_s:g} s")
            if not attempt.pid or (code != 0 and is_dump(attempt.output.text)):
                return _not_begun(bundle.id, argv[0], attempt.output.text, self._host, cgroup)
            starved = code != 0 and cgroups.oom_kills(self._host.trees, cgroup) > kills
            return ExecResult(code, attempt.output.text, _STARVED if starved else "")
        except OSError as error:
            raise Unavailable(f"container {bundle.id}: nothing can be run in it now: {error}") from error
        finally:
            clearing = self._to_the_end(self._clear(attempt))
            await asyncio.shield(clearing)

    async def sweep(self, bundle: Bundle, cgroup: str) -> None:
        """End what is left of commands that nobody waits for; `Unavailable` if it cannot be killed."""
        home = cgroups.home_of_execs(self._tree, cgroup)
        for path in cgroups.children(self._tree, home, _PREFIX):
            if path not in self._active:
                await self._end(path, bundle)
        for file in _leftovers(bundle):  # an agent can be killed before it has made the cgroup
            if f"{home}/{file.stem}" not in self._active:
                file.unlink(missing_ok=True)

    async def _clear(self, attempt: "_Attempt") -> None:
        try:
            await attempt.stop()
            await self._end(attempt.cgroup, attempt.bundle)
        finally:
            self._active.discard(attempt.cgroup)

    async def _end(self, cgroup: str, bundle: Bundle) -> None:
        """Kill what is in a command's cgroup until nothing comes any more, and remove it and its files."""
        await fell(self._tree, cgroup)
        cgroups.forbid_forks(self._tree, cgroup)
        for _ in range(_KILL_TRIES):
            if not cgroups.kill((self._tree,), cgroup) and not cgroups.remove((self._tree,), cgroup):
                for file in _files(bundle, cgroup.rpartition("/")[2]):
                    file.unlink(missing_ok=True)
                return
            await asyncio.sleep(_KILL_PAUSE_S)
        pids = sorted(cgroups.processes((self._tree,), cgroup))
        raise Unavailable(
            f"what a command has started in a container cannot be killed: processes {pids} of the cgroup {cgroup}; "
            "see what they wait for (a disk or a network file system that does not answer)"
        )

    async def _probe(self) -> None:
        """Look once whether the runtime can put a command into a cgroup of its own."""
        if self._able is None:
            done = await run([self._argv[0], "exec", "--help"], timeout_s=limits.container_create_timeout_s)
            said = done.stdout + done.stderr
            self._able = b"--cgroup" in said and (self._tree.v2 or b"<controller>" in said)
            if self._able:
                _log.info("commands in containers get cgroups of their own, in %s", self._tree.mount)
        if not self._able:
            raise FailedPrecondition(
                f"{self._argv[0]} cannot run a command in a cgroup of its own, so no health check can be run on "
                "this node: install runc 1.1 or newer" + (", or crun 1.4 or newer" if self._tree.v2 else "")
            )


class _Attempt:
    """One command on its way: the runtime's process, its cgroup and what it writes."""

    def __init__(self, cgroup: str, tree: cgroups.Hierarchy, bundle: Bundle, name: str) -> None:
        self.cgroup = cgroup
        self.bundle = bundle
        self.pid = 0
        self._name = name
        self._pid_file, self._process = _files(bundle, name)
        self.output = _Output()
        self._tree = tree
        self._start = 0
        self._child: subprocess.Popen[bytes] | None = None

    def spawn(self, runtime: Sequence[str], argv: Sequence[str]) -> None:
        """Make the cgroup and start the runtime, with the container's own process but for what it runs."""
        self._process.write_bytes(_process(self.bundle, argv))
        cgroups.make(self._tree, self.cgroup)
        place = self._name if self._tree.v2 else f"{self._tree.controllers[0]}:{self._name}"
        options = ["--cgroup", place, "--pid-file", str(self._pid_file), "--process", str(self._process)]
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._child = subprocess.Popen(
                [*runtime, "exec", *options, self.bundle.id],
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        finally:
            os.close(writing)
            self.output.follow(reading)

    async def begun(self) -> None:
        """Wait until the command itself runs, or the runtime has given up."""
        assert self._child is not None, "spawned before"
        exiting = asyncio.ensure_future(ended(self._child))
        try:
            async with asyncio.timeout(limits.container_create_timeout_s):
                while not self._look() and not exiting.done():
                    await asyncio.wait([exiting], timeout=_BEGIN_POLL_S)
        except TimeoutError:
            raise Unavailable(
                f"to begin a command in a container took longer than {limits.container_create_timeout_s:g} s; "
                "look at the node's load"
            ) from None
        finally:
            await _called_off(exiting)
        self._look()

    def _look(self) -> bool:
        """See whether the runtime has said which process the command is."""
        with suppress(FileNotFoundError, ValueError):
            self.pid = int(self._pid_file.read_text())
            self._start = process_start(self.pid)
        return self.pid > 0

    async def over(self) -> int:
        """Wait for the command's end; returns its code.

        The runtime also waits for whoever else holds the command's output, so that is killed first.
        """
        assert self._child is not None, "spawned before"
        exiting = asyncio.ensure_future(ended(self._child))
        try:
            while not exiting.done():
                await asyncio.wait([exiting], timeout=_LOOK_S)
                if self.pid and (not self._start or process_start(self.pid) != self._start):
                    await fell(self._tree, self.cgroup)
                    cgroups.forbid_forks(self._tree, self.cgroup)
            return exiting.result()
        finally:
            await _called_off(exiting)

    async def stop(self) -> None:
        """End the runtime's process. What it was about to put into the cgroup ends with it."""
        await fell(self._tree, self.cgroup)
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
            await ended(self._child)
        self.output.close()


class _Specification(msgspec.Struct):
    """What is needed of the container's specification."""

    process: dict[str, Any]


def _process(bundle: Bundle, argv: Sequence[str]) -> bytes:
    """The container's own process, but for what it runs: not all runtimes take its user over by themselves."""
    specification = msgspec.json.decode(bundle.config.read_bytes(), type=_Specification)
    return msgspec.json.encode({**specification.process, "args": list(argv)})


def _files(bundle: Bundle, name: str) -> tuple[Path, Path]:
    """The files that a command needs for its time: who it is, and what it is."""
    return bundle.file(f"{name}.pid"), bundle.file(f"{name}.json")


def _leftovers(bundle: Bundle) -> list[Path]:
    """The files of commands there are."""
    return sorted(bundle.directory.glob(f"{_PREFIX}*"))


class _Output:
    """The beginning of what comes through a pipe; the rest is read, slowly, and dropped."""

    def __init__(self) -> None:
        self._kept = b""
        self._fd = -1
        self._pausing: asyncio.TimerHandle | None = None

    def follow(self, fd: int) -> None:
        """Read from `fd`, which is ours from now on."""
        self._fd = fd
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._read)

    @property
    def text(self) -> str:
        """What has been written so far."""
        while self._fd >= 0 and len(self._kept) < limits.exec_output_bytes_max and self._take():
            pass
        return self._kept.decode(errors="replace")

    def close(self) -> None:
        """Let go of the pipe."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._pausing is not None:
            self._pausing.cancel()

    def _read(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._take():
            loop.remove_reader(self._fd)
        elif len(self._kept) >= limits.exec_output_bytes_max:
            loop.remove_reader(self._fd)
            self._pausing = loop.call_later(_OVERFLOW_PAUSE_S, loop.add_reader, self._fd, self._read)

    def _take(self) -> bool:
        """Read once; false if there is nothing for now, or for ever."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self._kept += data[: limits.exec_output_bytes_max - len(self._kept)]
        return bool(data)


async def _called_off(future: "asyncio.Future[int]") -> None:
    future.cancel()
    await asyncio.gather(future, return_exceptions=True)


def _not_begun(container_id: str, program: str, said: str, host: Host, cgroup: str) -> ExecResult:
    """Why the runtime could not run the command: the container's fault, or nobody's for now."""
    lines = said.strip().splitlines() or ["the runtime failed without a word"]
    line = next((each for each in lines if "exec failed: " in each), lines[0])  # it may die with a long dump
    text = message_of(line)
    besides = text.replace(program, "")
    if "paused" in besides or "frozen" in besides:
        raise Unavailable(f"container {container_id} is paused: nothing can be run in it now")
    # The runtime's own threads count, too, and are gone by now.
    bound = cgroups.pids_bound(host.trees, cgroup, _RUNTIME_THREADS if says_crowded(said) else 0)
    if bound:
        return ExecResult(None, reason=f"the container has as many processes as it may ({bound}): {text}")
    if says_missing(text):
        return ExecResult(None, reason=f"there is no {program} in the container ({text})")
    return ExecResult(None, reason=text)
