"""The life of a task as one table: which step comes next in which situation."""

from collections.abc import Iterable
from enum import Enum, IntEnum, StrEnum, auto

from msgspec import Struct

from covey.model.states import HealthState, TaskState

S = TaskState


class Goal(IntEnum):
    """What is wanted of a task. It only rises."""

    HOLD = 0  # be ready to start
    RUN = 1
    STOP = 2
    FORGET = 3  # stop, and leave no trace: the managers have dropped it


class Box(Enum):
    """What is known of a task's container."""

    ABSENT = auto()
    CREATED = auto()
    RUNNING = auto()
    EXITED = auto()


class Stop(Enum):
    """How hard a running container has been asked to end."""

    NOT_ASKED = auto()
    ASKED = auto()  # within its grace period
    OVERDUE = auto()
    KILLED = auto()


class Leave(Enum):
    """How far a running container that is to end has taken leave of those who use it."""

    PORTS = auto()  # this node still forwards ports of its own to it
    OFFERED = auto()  # other nodes may still send it something new
    BUSY = auto()  # it has connections, which may go on for a while
    DONE = auto()  # nobody uses it, or it has been waited for long enough


class Act(StrEnum):
    """One thing to do for a task."""

    PULL = "pull"  # have the image here
    ATTACH = "attach"  # build the network namespace
    CREATE = "create"  # make the container
    START = "start"
    CLOSE = "close"  # forward none of this node's ports to it any more
    DRAIN = "drain"  # wait until its connections have ended
    SIGNAL = "signal"  # ask it to end
    KILL = "kill"
    RELEASE = "release"  # remove the network namespace
    DISCARD = "discard"  # remove the container and its log
    ERASE = "erase"  # forget the task itself


class Become(Struct, frozen=True, gc=False):
    """The task is in a new state now, always a higher one."""

    state: TaskState


class Ended(Struct, frozen=True, gc=False):
    """The container ended by itself: COMPLETE or FAILED, as its exit says."""


class Wait(Struct, frozen=True, gc=False):
    """Nothing to do until something happens."""


Step = Become | Act | Ended | Wait


class Situation(Struct, frozen=True, gc=False, kw_only=True):
    """Everything the next step depends on.

    `failed` is set once an action has failed for good; `image`, `attached`, `joined` and `tables` tell whether the
    image is here, something of the network namespace may stand, all of it does, and the tables of the task's networks
    are in force. `leave`
    counts only for a container that is to end. `health` NONE means that it has no check. `done` is set once a job's
    container has done its work, though it was to end.
    """

    state: TaskState
    goal: Goal = Goal.RUN
    box: Box = Box.ABSENT
    stop: Stop = Stop.NOT_ASKED
    image: bool = False
    attached: bool = False
    joined: bool = False
    tables: bool = True
    failed: bool = False
    leave: Leave = Leave.DONE
    health: HealthState = HealthState.NONE
    done: bool = False


class Row(Struct, frozen=True):
    """One line of the table: which situations it is for, and the step. None means any."""

    goals: frozenset[Goal] | None
    states: frozenset[TaskState]
    boxes: frozenset[Box] | None
    step: Step
    stop: frozenset[Stop] | None = None
    image: bool | None = None
    attached: bool | None = None
    joined: bool | None = None
    tables: bool | None = None
    failed: bool | None = None
    leave: Leave | None = None
    health: frozenset[HealthState] | None = None
    done: bool | None = None

    def fits(self, now: Situation) -> bool:
        """Tell whether this line is for the situation `now`."""
        return (
            now.state in self.states
            and (self.goals is None or now.goal in self.goals)
            and (self.boxes is None or now.box in self.boxes)
            and (self.stop is None or now.stop in self.stop)
            and (self.image is None or now.image is self.image)
            and (self.attached is None or now.attached is self.attached)
            and (self.joined is None or now.joined is self.joined)
            and (self.tables is None or now.tables is self.tables)
            and (self.failed is None or now.failed is self.failed)
            and (self.leave is None or now.leave is self.leave)
            and (self.health is None or now.health in self.health)
            and (self.done is None or now.done is self.done)
        )


def _goals(*goals: Goal) -> frozenset[Goal]:
    return frozenset(goals)


def _boxes(*boxes: Box) -> frozenset[Box]:
    return frozenset(boxes)


def _states(states: Iterable[TaskState]) -> frozenset[TaskState]:
    return frozenset(states)


NEW = _states(state for state in S if state < S.ACCEPTED)
BEFORE_START = _states(state for state in S if state < S.STARTING)
SINCE_START = _states([S.STARTING, S.RUNNING])
ALIVE = BEFORE_START | SINCE_START
OVER = _states(state for state in S if state.terminal)
PREPARING = _states([S.PREPARING, S.READY])
UP = _goals(Goal.HOLD, Goal.RUN)
RUN = _goals(Goal.RUN)
DOWN = _goals(Goal.STOP, Goal.FORGET)
FORGET = _goals(Goal.FORGET)
IN_USE = _states([S.RUNNING])
UP_BOX = _boxes(Box.RUNNING)
WELL = frozenset({HealthState.NONE, HealthState.HEALTHY})
UNWELL = frozenset({HealthState.UNHEALTHY})
UNASKED = frozenset({Stop.NOT_ASKED})
OVERDUE = frozenset({Stop.OVERDUE})

TABLE: tuple[Row, ...] = (  # the first line that fits counts
    # told to end: first it takes leave of those who use it
    Row(DOWN, IN_USE, UP_BOX, Act.CLOSE, stop=UNASKED, leave=Leave.PORTS),
    Row(DOWN, IN_USE, UP_BOX, Wait(), stop=UNASKED, leave=Leave.OFFERED),
    Row(DOWN, IN_USE, UP_BOX, Act.DRAIN, stop=UNASKED, leave=Leave.BUSY),
    Row(DOWN, ALIVE, UP_BOX, Act.SIGNAL, stop=UNASKED),
    Row(DOWN, ALIVE, UP_BOX, Act.KILL, stop=OVERDUE),
    Row(DOWN, ALIVE, UP_BOX, Wait()),
    Row(DOWN, SINCE_START, _boxes(Box.EXITED), Become(S.COMPLETE), done=True),
    Row(DOWN, ALIVE, None, Become(S.SHUTDOWN)),
    # something failed for good
    Row(UP, BEFORE_START, None, Become(S.REJECTED), failed=True),
    Row(UP, SINCE_START, None, Become(S.FAILED), failed=True),
    # found unhealthy, which the managers have been told: nobody waits for its connections
    Row(UP, IN_USE, UP_BOX, Act.CLOSE, stop=UNASKED, leave=Leave.PORTS, health=UNWELL),
    Row(UP, IN_USE, UP_BOX, Wait(), stop=UNASKED, leave=Leave.OFFERED, health=UNWELL),
    Row(UP, SINCE_START, UP_BOX, Act.SIGNAL, stop=UNASKED, health=UNWELL),
    Row(UP, SINCE_START, UP_BOX, Act.KILL, stop=OVERDUE, health=UNWELL),
    Row(UP, SINCE_START, UP_BOX, Wait(), health=UNWELL),
    Row(UP, SINCE_START, _boxes(Box.EXITED), Become(S.FAILED), health=UNWELL),
    # on the way up
    Row(UP, NEW, None, Become(S.ACCEPTED)),
    Row(UP, _states([S.ACCEPTED]), None, Become(S.PREPARING)),
    Row(UP, PREPARING, _boxes(Box.ABSENT), Act.PULL, image=False),
    Row(UP, PREPARING, _boxes(Box.ABSENT), Act.ATTACH, joined=False),
    Row(UP, PREPARING, _boxes(Box.ABSENT), Act.CREATE),
    Row(UP, PREPARING, _boxes(Box.EXITED), Act.DISCARD),  # a crash or reboot took what was never started
    Row(UP, _states([S.PREPARING]), _boxes(Box.CREATED, Box.RUNNING), Become(S.READY)),
    Row(RUN, _states([S.READY]), _boxes(Box.CREATED), Become(S.STARTING), tables=True),
    Row(UP, _states([S.READY]), _boxes(Box.RUNNING), Become(S.STARTING)),
    Row(UP, _states([S.READY]), _boxes(Box.CREATED), Wait()),
    Row(UP, _states([S.STARTING]), _boxes(Box.CREATED), Act.START),
    Row(UP, _states([S.STARTING]), UP_BOX, Become(S.RUNNING), health=WELL),
    Row(UP, SINCE_START, _boxes(Box.EXITED), Ended()),
    Row(UP, SINCE_START, UP_BOX, Wait()),
    Row(UP, SINCE_START, None, Become(S.FAILED)),  # it was started, and now it is gone: lost
    # over: the network goes at once, the ended container only with the task
    Row(None, OVER, _boxes(Box.CREATED, Box.RUNNING), Act.DISCARD),
    Row(None, OVER, None, Act.RELEASE, attached=True),
    Row(FORGET, OVER, _boxes(Box.EXITED), Act.DISCARD),
    Row(FORGET, OVER, None, Act.ERASE),
    Row(None, OVER, None, Wait()),
)


def next_step(now: Situation) -> Step:
    """The one next step of a task in the situation `now`."""
    for row in TABLE:
        if row.fits(now):
            return row.step
    raise AssertionError(f"no line of the lifecycle's table is for {now}")


def goal_of(desired: TaskState) -> Goal:
    """What a desired state wants of the agent. COMPLETE means to run until the task ends by itself."""
    if desired >= S.SHUTDOWN:
        return Goal.STOP
    return Goal.RUN if desired >= S.RUNNING else Goal.HOLD
