"""What the agent knows of one task, and the words it finds for it."""

from collections.abc import Collection
from dataclasses import dataclass, field

from agent.health.check import Check
from agent.images.seam import LocalImage
from agent.runtime.seam import Exit
from covey import limits
from covey.model.objects import Task, TaskStatus
from covey.model.states import HealthState, TaskState

from .draining import Leaving
from .events import Failure, Local
from .lifecycle import Act, Box, Goal, Situation, Stop

S = TaskState

_MESSAGES = {
    S.ACCEPTED: "accepted",
    S.PREPARING: "preparing",
    S.READY: "prepared",
    S.STARTING: "starting",
    S.RUNNING: "started",
    S.COMPLETE: "finished",
    S.SHUTDOWN: "shut down",
    S.FAILED: "failed",
    S.REJECTED: "rejected",
}
_HAS_HEALTH = (S.STARTING, S.RUNNING, S.COMPLETE, S.SHUTDOWN, S.FAILED)
_KILLED = 128 + 9  # by SIGKILL
LOST = "the container is gone from this node, and nobody saw how it ended"


@dataclass(slots=True)
class Record:
    """One task. Times are the machine's monotonic milliseconds; 0 means no such time."""

    task: Task
    goal: Goal
    status: TaskStatus
    box: Box = Box.ABSENT
    exit: Exit | None = None
    pid: int = 0
    image: LocalImage | None = None
    attached: bool = False
    netns: str = ""
    busy: Act | None = None
    queued: Act | None = None
    cancelled: bool = False
    attempts: int = 0
    failure: Failure | None = None
    retry_at_ms: int = 0
    grace_ms: int = 0
    kill_at_ms: int = 0
    killed: bool = False
    stop_signal: str = ""
    awaited: frozenset[str] = frozenset()  # networks whose tables should be in force before the start
    start_by_ms: int = 0
    leaving: Leaving = field(default_factory=Leaving)
    check: Check | None = None
    health: HealthState = HealthState.NONE
    unhealthy: str = ""  # how it was found to be
    done: bool = False  # a job's container ended well by itself, before it could be asked to
    waits_for: str = ""  # what keeps it from being known as healthy, as last reported

    def situation(self, now_ms: int, settled: Collection[str]) -> Situation:
        """What the next step depends on. `settled` are the networks that have a table in force."""
        return Situation(
            state=self.status.state,
            goal=self.goal,
            box=self.box,
            stop=self._stop(now_ms),
            image=self.image is not None,
            attached=self.attached,
            joined=self.attached and bool(self.netns),
            tables=now_ms >= self.start_by_ms or all(id in settled for id in self.awaited),
            failed=self.failure is not None,
            leave=self.leaving.stage(now_ms),
            health=self.health,
            done=self.done,
        )

    def _stop(self, now_ms: int) -> Stop:
        if self.killed:
            return Stop.KILLED
        if not self.kill_at_ms:
            return Stop.NOT_ASKED
        return Stop.OVERDUE if now_ms >= self.kill_at_ms else Stop.ASKED

    @property
    def local(self) -> Local:
        """What of this is kept on disk."""
        return Local(self.status, self.netns, self.grace_ms, self.check, self.unhealthy)

    def status_of(self, state: TaskState, now_ns: int) -> TaskStatus:
        """The task's status in `state`, in words."""
        err, exit_code = "", self.status.exit_code
        match state:
            case S.REJECTED | S.FAILED | S.COMPLETE | S.SHUTDOWN:
                err, exit_code = self._ending(state)
            case S.STARTING | S.RUNNING:
                pass
        return TaskStatus(
            state=state,
            message=_MESSAGES[state],
            err=shortened(err),
            at_ns=now_ns,
            exit_code=exit_code,
            pid=self.pid if state is S.RUNNING else 0,
            health=self.health if state in _HAS_HEALTH else HealthState.NONE,
        )

    def _ending(self, state: TaskState) -> tuple[str, int | None]:
        """What to say of the end, and the exit code if anybody knows it."""
        code = self.exit.code if self.exit is not None else None
        if self.failure is not None and state is not S.SHUTDOWN:
            return self.failure.text, code
        if self.unhealthy and state is S.FAILED:
            return self.unhealthy, code
        if self.exit is None:
            return (LOST if state is S.FAILED else ""), None
        if state in (S.COMPLETE, S.SHUTDOWN):
            return "", code
        return ending_of(self.exit), code


def ending_of(exit: Exit) -> str:
    """How a container ended, in words."""
    why = exit.reason
    if exit.oom_killed:  # anything in it was killed at any time: a command, a check
        killed = exit.code in (None, _KILLED)
        why = "it ran out of memory" if killed else "some of its processes ran out of memory while it ran"
    if exit.code is None:
        return f"lost: {why}" if why else LOST
    text = f"exit code {exit.code}"
    if exit.code > 128:
        text += f" (signal {exit.code - 128})"
    return f"{text}: {why}" if why else text


def shortened(text: str) -> str:
    """A text as a status may carry it: in one line, in bounds, and harmless on a terminal.

    What a container wrote may be in it, and that may be anything.
    """
    text = "".join(_shown(each) for each in text)
    bound = limits.task_error_chars_max
    return text if len(text) <= bound else text[: bound - 1] + "…"


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
