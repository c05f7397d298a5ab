"""Running the supervisor: processes are started and signalled here, and nothing is decided."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from covey import limits
from covey.errors import Unavailable
from covey.io.clock import now_ms
from covey.io.process import ended
from covey.machine.machine import Tick

from .supervisor import (
    Child,
    Effect,
    Ended,
    Event,
    Kill,
    Renew,
    Start,
    Started,
    State,
    Stop,
    Supervisor,
    Want,
)

log = logging.getLogger(__name__)


class Processes:
    """The node's processes. `commands` gives the arguments of each by its name.

    Each is the leader of a session of its own, so that a signal to coveyd's terminal does not reach it.
    """

    def __init__(self, commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> None:
        self._commands = commands
        self._environment = dict(environment)
        self._machine = Supervisor(now_ms=now_ms())
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._closing = False
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    def want(self, names: Sequence[str]) -> None:
        """From now on, exactly these are to run."""
        if not self._closing:
            self._events.put_nowait(Want(frozenset(names)))

    def renew(self) -> None:
        """Let each begin anew: its configuration has changed."""
        self._events.put_nowait(Renew())

    def children(self) -> list[Child]:
        """Give all processes as they stand, by name."""
        return [self._machine.children[name] for name in sorted(self._machine.children)]

    async def until_absent(self) -> None:
        """Stop all, and wait until nothing runs. What does not end is killed, so this takes a bounded time.

        Raises `Unavailable` if something hangs all the same.
        """
        await self._until_only(frozenset())

    async def _until_only(self, names: frozenset[str]) -> None:
        self._events.put_nowait(Want(names))
        try:
            async with asyncio.timeout(3 * limits.child_stop_ms / 1000):
                await self.until(lambda: self._machine.wanted == names and self._machine.all_absent(names))
        except TimeoutError:
            stuck = [f"{c.name} ({c.pid})" for c in self.children() if c.pid and c.name not in names]
            raise Unavailable(
                f"{', '.join(stuck)} does not end, even when killed; reboot this host"
            ) from None

    async def until_gone(self, name: str) -> None:
        """Wait until a process that is no longer wanted has ended. Raises `Unavailable` if it hangs."""

        def gone() -> bool:
            child = self._machine.children.get(name)
            return name not in self._machine.wanted and (child is None or child.state is State.ABSENT)

        try:
            async with asyncio.timeout(3 * limits.child_stop_ms / 1000):
                await self.until(gone)
        except TimeoutError:
            raise Unavailable(f"{name} does not end, even when killed; reboot this host") from None

    async def close(self, leave: Sequence[str] = ()) -> None:
        """Stop all, for good, but for those to be left running: nothing else is wanted any more."""
        self._closing = True
        running = frozenset(child.name for child in self.children() if child.state is State.RUNNING)
        try:
            await self._until_only(running.intersection(leave))
        except Unavailable as error:
            log.error("%s", error)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, looking at every change of a process."""
        while not (self._events.empty() and holds()):
            self._changed.clear()
            await self._changed.wait()

    async def run(self) -> None:
        """Serve events until cancelled. The processes then live on; see `until_absent`."""
        try:
            while True:
                event = await self._next()
                self._feed(Tick(now_ms()))
                if event is not None:
                    self._feed(event)
                self._changed.set()
        finally:
            for watcher in self._watchers:
                watcher.cancel()

    async def _next(self) -> Event | None:
        due_ms = self._machine.next_due_ms()
        try:
            async with asyncio.timeout(None if due_ms is None else max(0, due_ms - now_ms()) / 1000):
                return await self._events.get()
        except TimeoutError:
            return None

    def _feed(self, event: Event | Tick) -> None:
        for effect in self._machine.step(event):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Start(name):
                self._start(name)
            case Stop(name, pid):
                log.info("%s (%d) is asked to end", name, pid)
                self._running[name].send_signal(signal.SIGTERM)
            case Kill(name, pid):
                log.warning("%s (%d) does not end and is killed", name, pid)
                if self._running[name].poll() is None:
                    os.killpg(pid, signal.SIGKILL)
            case _:
                assert_never(effect)

    def _start(self, name: str) -> None:
        try:
            process = subprocess.Popen(
                self._commands[name],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),  # all of a node's output is coveyd's
                stderr=sys.stderr.fileno(),
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            log.error("%s cannot be started: %s", name, error)
            self._events.put_nowait(Ended(name, 0, f"cannot be started: {error.strerror}"))
            return
        log.info("%s runs (%d)", name, process.pid)
        self._running[name] = process
        self._events.put_nowait(Started(name, process.pid))
        watcher = asyncio.create_task(self._watch(name, process))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        how = describe(await ended(process))
        log.log(logging.INFO if how == describe(0) else logging.WARNING, "%s (%d) %s", name, process.pid, how)
        self._events.put_nowait(Ended(name, process.pid, how))


def describe(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"ended with code {code}"
    return f"was ended by {signal.Signals(-code).name}"
