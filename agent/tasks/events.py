"""What happens to the node's tasks (past tense), and what is to be done for them (imperatives).

An effect that is an action is answered by one `Finished`; the machine has at most one action under way for
a task. Effects are ordered: what is saved must be on disk before a Start or Discard that comes after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from msgspec import Struct

from agent.dns.feed import Resolver
from agent.health.check import Check
from agent.health.checks import Probe, Probed
from agent.images.seam import LocalImage
from agent.network.seam import Sandbox
from agent.runtime.seam import Container, Exit, Observed
from covey.model.assignments import Assignments, AssignmentSet, TaskReport
from covey.model.objects import Network, TaskStatus
from covey.model.specs import RegistryAuth

from .lifecycle import Act


class Local(Struct, frozen=True, omit_defaults=True):
    """What is kept on disk of a task besides its assignment, and until nothing of it is on the host.

    Its last status, its namespace's path, how long it may take to end by itself, how its health is checked,
    and how it was found to be unhealthy.
    """

    status: TaskStatus = TaskStatus()
    netns: str = ""
    grace_ms: int = 0
    check: Check | None = None
    unhealthy: str = ""


class Trouble(Enum):
    """Why an action failed: whether trying again can help."""

    FATAL = auto()
    PASSING = auto()
    NOT_BEGUN = auto()  # nothing was even tried, so trying again is safe whatever the action is


@dataclass(frozen=True, slots=True)
class Failure:
    """An action did not succeed. `text` is for people."""

    trouble: Trouble
    text: str
    denied: bool = False  # by the registry, for want of credentials


Result = LocalImage | str | int | None


@dataclass(frozen=True, slots=True)
class Restored:
    """The agent has started: what the former one kept on disk, and what is on the host."""

    assigned: AssignmentSet
    locals: Mapping[str, Local]
    observed: tuple[Observed, ...]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A manager's word. It has been checked to fit what came before."""

    assignments: Assignments


@dataclass(frozen=True, slots=True)
class Finished:
    """The action under way for a task has ended: with its result, or a failure."""

    task_id: str
    act: Act
    result: Result = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Exited:
    """A task's container has ended."""

    task_id: str
    exit: Exit


@dataclass(frozen=True, slots=True)
class TableSettled:
    """A network has its first table in force."""

    network_id: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """No node with a living session sends these tasks new connections any more."""

    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WallClock:
    """The time of day, UTC, for statuses. Nothing is decided by it."""

    now_ns: int


Event = Restored | Assigned | Finished | Exited | TableSettled | Withdrawn | Probed | WallClock


@dataclass(frozen=True, slots=True)
class Pull:
    """Have the image here. The result is a LocalImage."""

    task_id: str
    reference: str
    auth: RegistryAuth | None


@dataclass(frozen=True, slots=True)
class Attach:
    """Build the task's network namespace; without a `sandbox` it shares the node's. The result is its path."""

    task_id: str
    sandbox: Sandbox | None


@dataclass(frozen=True, slots=True)
class Create:
    """Make the container and serve it names; what half of a container is there is removed first.

    The result is the container's pid. Without a `resolver` it asks the node's own name servers, or none.
    """

    task_id: str
    container: Container
    resolver: Resolver | None


@dataclass(frozen=True, slots=True)
class Start:
    """Run the created container."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Close:
    """Forward none of the node's own ports to the task any more; open connections go on."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait until nobody has a connection to the container, at most `linger_ms`.

    `withdrawn` False: the managers did not say in time that no node sends it anything new any more.
    """

    task_id: str
    pid: int
    linger_ms: int
    withdrawn: bool = True


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to the container's first process."""

    task_id: str
    act: Act
    signal: int


@dataclass(frozen=True, slots=True)
class Release:
    """Remove the task's network namespace, and its names."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove the container and its log.

    `forgotten`: nobody will ask how the task ended, so nothing need be on disk before. That is how a disk gets
    room again that a container has filled.
    """

    task_id: str
    forgotten: bool = False


Action = Pull | Attach | Create | Start | Close | Drain | Signal | Release | Discard


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give up the Pull or Drain under way for the task; a Finished with a failure must still come."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell by Exited when the container ends."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the managers."""

    report: TaskReport


@dataclass(frozen=True, slots=True)
class Unreport:
    """The managers forgot these tasks."""

    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Save:
    """Keep `value` on disk under its kind and id, or forget what is there if it is None."""

    kind: str
    id: str
    value: Struct | None


@dataclass(frozen=True, slots=True)
class Learn:
    """A network of this node is new, or changed."""

    network: Network


@dataclass(frozen=True, slots=True)
class Unlearn:
    """A network has left the node's set."""

    network_id: str


@dataclass(frozen=True, slots=True)
class Rebuild:
    """After a start: exactly these networks, namespaces and resolvers shall be on the host.

    It must be done before any effect after it.
    """

    networks: tuple[Network, ...]
    sandboxes: tuple[Sandbox, ...]
    resolvers: tuple[Resolver, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Remove containers that belong to no task of this node."""

    container_ids: tuple[str, ...]


Effect = Action | Cancel | Watch | Probe | Report | Unreport | Save | Learn | Unlearn | Rebuild | Sweep
