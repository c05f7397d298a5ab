"""What happens to a session (past tense), and what it wants done (imperatives).

Every stream has a number. What is heard of a stream that is no longer the current one is ignored.
"""

from dataclasses import dataclass

from covey.model.assignments import Assignments, TaskReport
from covey.model.objects import AuditSummary, ClusterVersion, NodeDescription, TunnelKey
from covey.model.tables import NetworkTable, NetworkTableDelta

from .messages import AuditAnswer, AuditQuestion, Down, LogSubscription, Membership, Up


@dataclass(frozen=True, slots=True)
class Connected:
    """Stream `number` is open."""

    number: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Stream `number` could not be opened, or broke."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The manager at the other end of stream `number` said something."""

    number: int
    message: Down


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A task has news for the managers."""

    report: TaskReport


@dataclass(frozen=True, slots=True)
class TasksDropped:
    """The managers forgot these tasks: nothing more is to be said of them."""

    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableInForce:
    """The kernel and the DNS server now follow this version of a network's table."""

    network_id: str
    version: ClusterVersion


@dataclass(frozen=True, slots=True)
class Redescribed:
    """The node has changed what it says of itself."""

    description: NodeDescription


@dataclass(frozen=True, slots=True)
class Remarked:
    """What on this host stands in the networks' way is this now, and these are its interfaces."""

    remarks: tuple[str, ...]
    interfaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """The node's tunnels have these public keys now, the newest last."""

    keys: tuple[TunnelKey, ...]


@dataclass(frozen=True, slots=True)
class Followed:
    """coveyd has followed what `Follow` asked for, or (not `ok`) has not."""

    ok: bool


@dataclass(frozen=True, slots=True)
class Audited:
    """The node was audited, because a manager asked for it."""

    answer: AuditAnswer


@dataclass(frozen=True, slots=True)
class AuditedItself:
    """The node was audited, whoever wanted it: the counts are part of what it says of itself."""

    summary: AuditSummary


Event = (
    Connected
    | Disconnected
    | Heard
    | StatusChanged
    | TasksDropped
    | TableInForce
    | Redescribed
    | Remarked
    | KeysChanged
    | Followed
    | Audited
    | AuditedItself
)


@dataclass(frozen=True, slots=True)
class Dial:
    """Open stream `number` to the manager at `address`; answer with Connected or Disconnected."""

    number: int
    address: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send on stream `number`, in the order of these effects."""

    number: int
    message: Up


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close stream `number`; nothing more is wanted of it. `reason` is for the log."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Assign:
    """Take over these assignments; they fit what came before."""

    assignments: Assignments


@dataclass(frozen=True, slots=True)
class UseTable:
    """Put this table into force and answer with TableInForce; a newer one of the network replaces it.

    `change` is what made it of the one before, if it did not come whole.
    """

    table: NetworkTable
    change: NetworkTableDelta | None = None


@dataclass(frozen=True, slots=True)
class DropTable:
    """The network has left the node's set."""

    network_id: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep over restarts: the newest version seen, and where managers are.

    Comes after the effects that bring what is of that version, and must not be kept before them.
    """

    last_seen: ClusterVersion
    managers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Publish logs, or stop, as the message says."""

    subscription: LogSubscription


@dataclass(frozen=True, slots=True)
class Follow:
    """Have coveyd make this node what it is to be; answer with Followed."""

    membership: Membership


@dataclass(frozen=True, slots=True)
class TellWithdrawn:
    """These tasks get no new connections from anywhere any more."""

    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """Audit the node; answer with Audited."""

    question: AuditQuestion


Effect = (
    Dial
    | Send
    | HangUp
    | Assign
    | UseTable
    | DropTable
    | Remember
    | Subscribe
    | Follow
    | TellWithdrawn
    | Audit
)
