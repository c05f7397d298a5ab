"""A runtime that fails on demand: wraps another make, so that callers' handling of trouble can be tested."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.audit.look import Look

from .seam import Container, ExecResult, Exit, Observed, Runtime


class FaultyRuntime:
    """Passes every call on to `inner`, unless a fault was planned for it.

    `fail(call, error)` lets the next call of that name raise; several queue up. `after=True` raises once
    the call has done its work, as when an answer is lost. `hang(call)` lets calls of that name wait until
    `release(call)`.
    """

    def __init__(self, inner: Runtime) -> None:
        self.inner = inner
        self.calls: list[tuple[str, str]] = []
        self._faults: dict[str, deque[tuple[Exception, bool]]] = defaultdict(deque)
        self._gates: dict[str, asyncio.Event] = {}

    def fail(self, call: str, error: Exception, *, after: bool = False) -> None:
        """Plan for the next `call` to raise `error`."""
        self._faults[call].append((error, after))

    def hang(self, call: str) -> None:
        """Let calls named `call` wait from now on."""
        self._gates[call] = asyncio.Event()

    def release(self, call: str) -> None:
        """Let calls named `call` through again, those that wait included."""
        self._gates.pop(call).set()

    async def _before(self, call: str, container_id: str) -> Exception | None:
        """Note the call, hang or raise as planned; returns what to raise once it is done."""
        self.calls.append((call, container_id))
        if gate := self._gates.get(call):
            await gate.wait()
        if not self._faults[call]:
            return None
        error, after = self._faults[call].popleft()
        if not after:
            raise error
        return error

    async def open(self) -> None:
        """See the seam."""
        error = await self._before("open", "")
        await self.inner.open()
        if error:
            raise error

    async def close(self) -> None:
        """Never fails."""
        await self.inner.close()

    async def create(self, container: Container) -> int:
        """See the seam."""
        error = await self._before("create", container.id)
        pid = await self.inner.create(container)
        if error:
            raise error
        return pid

    async def start(self, container_id: str) -> None:
        """See the seam."""
        error = await self._before("start", container_id)
        await self.inner.start(container_id)
        if error:
            raise error

    async def signal(self, container_id: str, signal: int) -> None:
        """See the seam."""
        error = await self._before("signal", container_id)
        await self.inner.signal(container_id, signal)
        if error:
            raise error

    async def wait(self, container_id: str) -> Exit:
        """See the seam."""
        error = await self._before("wait", container_id)
        end = await self.inner.wait(container_id)
        if error:
            raise error
        return end

    async def exec(self, container_id: str, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """See the seam."""
        error = await self._before("exec", container_id)
        result = await self.inner.exec(container_id, argv, timeout_s)
        if error:
            raise error
        return result

    async def remove(self, container_id: str) -> None:
        """See the seam."""
        error = await self._before("remove", container_id)
        await self.inner.remove(container_id)
        if error:
            raise error

    async def list(self) -> Sequence[Observed]:
        """See the seam."""
        error = await self._before("list", "")
        found = await self.inner.list()
        if error:
            raise error
        return found

    async def audit(self, is_known: Callable[[str], bool]) -> Look:
        """See the seam."""
        error = await self._before("audit", "")
        found = await self.inner.audit(is_known)
        if error:
            raise error
        return found

    async def clear(self, is_known: Callable[[str], bool]) -> None:
        """See the seam."""
        error = await self._before("clear", "")
        await self.inner.clear(is_known)
        if error:
            raise error

    def log_path(self, container_id: str) -> Path:
        """See the seam."""
        return self.inner.log_path(container_id)
