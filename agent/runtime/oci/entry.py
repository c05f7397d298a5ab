"""One container as the driver knows it."""

import asyncio
import os

from agent.runtime.seam import ContainerState, Exit, Observed

from .bundle import Bundle, Phase, Record


class Entry:
    """A container's record, a pidfd to signal it by (-1 once it has ended), and its coming exit."""

    def __init__(self, bundle: Bundle, record: Record, pidfd: int) -> None:
        self.bundle = bundle
        self.record = record
        self.pidfd = pidfd
        self.exit: asyncio.Task[Exit] | None = None
        self.unmounting: asyncio.Task[None] | None = None

    def observed(self) -> Observed:
        """What is to be said of it now."""
        record, ended = self.record, self.exit
        if ended is not None and ended.done():
            return Observed(record.id, ContainerState.EXITED, record.pid, ended.result(), record.stop_signal)
        started = record.phase in (Phase.STARTING, Phase.RUNNING)
        state = ContainerState.RUNNING if started else ContainerState.CREATED
        return Observed(record.id, state, record.pid, None, record.stop_signal, record.pid_start)

    def close_pidfd(self) -> None:
        """Let go of the process."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
