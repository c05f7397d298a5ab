"""What happens to the dispatcher, and what it asks its driver to do.

Events are in the past tense, effects imperatives.
"""

from dataclasses import dataclass

from covey.model.assignments import Assignments, TaskReport
from covey.model.objects import ClusterVersion, NodeDescription
from covey.model.states import NodeRole, NodeState
from covey.model.tables import NetworkTable, NetworkTableDelta
from manager.store.transaction import Commit


@dataclass(frozen=True, slots=True)
class Registered:
    """An agent opened a session. `last_seen` is the newest version it knows; `tables` are those it has."""

    session_id: str
    node_id: str
    address: str
    description: NodeDescription
    last_seen: ClusterVersion
    tables: tuple[tuple[str, ClusterVersion], ...] = ()


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A session's stream has ended."""

    session_id: str


@dataclass(frozen=True, slots=True)
class HeartbeatReceived:
    """An agent is alive."""

    session_id: str


@dataclass(frozen=True, slots=True)
class StatusesReported:
    """An agent reported on its tasks."""

    session_id: str
    sequence: int
    reports: tuple[TaskReport, ...]


@dataclass(frozen=True, slots=True)
class StatusesWritten:
    """What `WriteStatuses` asked for is committed."""

    acknowledged: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class TablesInForce:
    """An agent's kernel and names follow these versions now."""

    session_id: str
    versions: tuple[tuple[str, ClusterVersion], ...]


@dataclass(frozen=True, slots=True)
class NodeDescribed:
    """A node's description has changed."""

    session_id: str
    description: NodeDescription


@dataclass(frozen=True, slots=True)
class SignedOff:
    """A node said that it leaves the cluster."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The store has applied a commit."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class ManagersChanged:
    """The managers' control addresses are these now, the leader's first."""

    managers: tuple[str, ...]


Event = (
    Registered
    | Disconnected
    | HeartbeatReceived
    | StatusesReported
    | StatusesWritten
    | TablesInForce
    | NodeDescribed
    | SignedOff
    | Committed
    | ManagersChanged
)


@dataclass(frozen=True, slots=True)
class StartSession:
    """Tell an agent that its session has started; comes before everything else that is sent on it."""

    session_id: str
    heartbeat_period_ms: int
    version: ClusterVersion
    managers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerAlive:
    """Tell an agent that its heartbeat was heard."""

    session_id: str


@dataclass(frozen=True, slots=True)
class TellMembership:
    """Tell an agent what its node is to be, and where the managers are."""

    session_id: str
    role: NodeRole
    managers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on a session."""

    session_id: str
    message: Assignments | NetworkTable | NetworkTableDelta


@dataclass(frozen=True, slots=True)
class TellWithdrawn:
    """Tell an agent that no node sends these tasks of its anything new any more."""

    session_id: str
    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Tell an agent that its reports up to `sequence` are committed."""

    session_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class EndSession:
    """End a session's stream."""

    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class WriteNode:
    """Commit what is known of a node now."""

    node_id: str
    state: NodeState
    message: str
    address: str = ""
    description: NodeDescription | None = None


@dataclass(frozen=True, slots=True)
class WriteStatuses:
    """Commit the reports, then answer with `StatusesWritten(acknowledged)`."""

    reports: tuple[tuple[str, TaskReport], ...]
    acknowledged: tuple[tuple[str, int], ...]


Effect = (
    StartSession
    | AnswerAlive
    | TellMembership
    | Send
    | TellWithdrawn
    | Acknowledge
    | EndSession
    | WriteNode
    | WriteStatuses
)
