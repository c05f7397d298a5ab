"""When a process is started, stopped and started again. A machine: no process is touched here.

A process that is wanted and ends is started again, at once if it had run for a while, else after a delay
that doubles. One that is no longer wanted, or must begin anew, is asked to end (SIGTERM) and killed when it
does not.

    absent --Start--> running --ended--> waiting (if wanted) --due--> running
                      running --Stop--> stopping --ended--> absent or running; --due--> Kill
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from covey import limits
from covey.machine.machine import Machine, Tick


@dataclass(frozen=True, slots=True)
class Want:
    """From now on, exactly these processes are to run."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Renew:
    """What the processes were told has changed: each is to begin anew."""


@dataclass(frozen=True, slots=True)
class Started:
    """A process that was to be started runs."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A process ended, or could not be started at all (`pid` 0). `how` says it in words."""

    name: str
    pid: int
    how: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start the process, and answer with `Started` or `Ended`."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask the process to end (SIGTERM)."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process (SIGKILL, to its whole group)."""

    name: str
    pid: int


Event = Want | Renew | Started | Ended
Effect = Start | Stop | Kill


class State(Enum):
    """Where a process stands."""

    ABSENT = "absent"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    WAITING = "waiting"


@dataclass(slots=True)
class Child:
    """One process. `due_ms` is when a waiting one starts, or a stopping one is killed."""

    name: str
    state: State = State.ABSENT
    pid: int = 0
    restarts: int = 0
    last_error: str = ""
    since_ms: int = 0
    due_ms: int | None = None
    delay_ms: int = limits.child_backoff_ms_min


@dataclass(slots=True)
class Supervisor:
    """All processes of a node. At most one of each name ever runs."""

    now_ms: int = 0
    wanted: frozenset[str] = frozenset()
    children: dict[str, Child] = field(default_factory=dict[str, Child])

    def step(self, event: Event | Tick) -> Sequence[Effect]:
        """Feed one event; return what the driver must do."""
        match event:
            case Tick(now_ms):
                return self._tick(now_ms)
            case Want(names):
                self.wanted = names
                for name in names:
                    self.children.setdefault(name, Child(name))
                return self._settle()
            case Renew():
                return [effect for child in self._ordered() for effect in self._stop(child)]
            case Started(name, pid):
                return self._started(self.children[name], pid)
            case Ended(name, pid, how):
                return self._ended(self.children[name], pid, how)

    def next_due_ms(self) -> int | None:
        """Say when the next Tick matters, if nothing happens before."""
        return min((c.due_ms for c in self.children.values() if c.due_ms is not None), default=None)

    def all_absent(self, but: frozenset[str] = frozenset()) -> bool:
        """Tell whether nothing runs, but for these."""
        others = [child for child in self.children.values() if child.name not in but]
        return all(child.state in (State.ABSENT, State.WAITING) for child in others)

    def _ordered(self) -> list[Child]:
        return [self.children[name] for name in sorted(self.children)]

    def _tick(self, now_ms: int) -> list[Effect]:
        assert now_ms >= self.now_ms, "time runs forward"
        self.now_ms = now_ms
        effects: list[Effect] = []
        for child in self._ordered():
            if child.due_ms is None or child.due_ms > now_ms:
                continue
            child.due_ms = None
            if child.state is State.WAITING:
                effects.append(self._start(child))
            elif child.state is State.STOPPING:
                child.last_error = "did not end when asked and was killed"
                child.due_ms = now_ms + limits.child_stop_ms  # a kill may take its time; ask again
                effects.append(Kill(child.name, child.pid))
        return effects

    def _settle(self) -> list[Effect]:
        effects: list[Effect] = []
        for child in self._ordered():
            if child.name in self.wanted:
                if child.state is State.ABSENT:
                    child.delay_ms = limits.child_backoff_ms_min
                    effects.append(self._start(child))
            elif child.state is State.WAITING:
                child.state, child.due_ms = State.ABSENT, None
            else:
                effects.extend(self._stop(child))
        return effects

    def _start(self, child: Child) -> Start:
        child.state, child.since_ms = State.STARTING, self.now_ms
        return Start(child.name)

    def _stop(self, child: Child) -> list[Effect]:
        if child.state is not State.RUNNING:
            return []  # one that is just starting is looked at again once it has
        child.state, child.due_ms = State.STOPPING, self.now_ms + limits.child_stop_ms
        return [Stop(child.name, child.pid)]

    def _started(self, child: Child, pid: int) -> list[Effect]:
        assert child.state is State.STARTING, child
        child.state, child.pid, child.since_ms = State.RUNNING, pid, self.now_ms
        return [] if child.name in self.wanted else self._stop(child)

    def _ended(self, child: Child, pid: int, how: str) -> list[Effect]:
        assert child.pid == pid or not pid, (child, pid)
        asked = child.state is State.STOPPING
        child.pid, child.due_ms = 0, None
        if child.name not in self.wanted:
            child.state = State.ABSENT
            return []
        if asked:
            return [self._start(child)]
        child.last_error = how
        child.restarts += 1
        if self.now_ms - child.since_ms >= limits.child_stable_ms:
            child.delay_ms = limits.child_backoff_ms_min
        child.state, child.due_ms = State.WAITING, self.now_ms + child.delay_ms
        child.delay_ms = min(2 * child.delay_ms, limits.child_backoff_ms_max)
        return []


_: type[Machine[Event, Effect]] = Supervisor
