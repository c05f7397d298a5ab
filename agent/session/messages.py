"""What travels on the session's stream, as structs; the model's own types travel as they are.

Field names are those of `proto/covey/v1/dispatcher.proto`, so that `covey.wire.codec` carries them.
"""

from covey import limits
from covey.model.assignments import Assignments, TaskReport
from covey.model.audit import AuditReport
from covey.model.objects import ClusterVersion, NodeDescription, Part
from covey.model.states import NodeRole
from covey.model.tables import NetworkTable, NetworkTableDelta


class TableVersion(Part, frozen=True):
    """The version of one network's table."""

    network_id: str = ""
    version: ClusterVersion = ClusterVersion()


class Register(Part, frozen=True):
    """The first message of a session. Of the `tables` the agent has, it needs only what changed since."""

    description: NodeDescription = NodeDescription()
    last_seen: ClusterVersion = ClusterVersion()
    tables: tuple[TableVersion, ...] = ()


class Heartbeat(Part, frozen=True):
    """The node lives."""


class StatusReport(Part, frozen=True):
    """Statuses since the last report. `sequence` rises within a session, from 1."""

    sequence: int = 0
    reports: tuple[TaskReport, ...] = ()


class TablesApplied(Part, frozen=True):
    """The table versions that forwarding, VIPs and names now follow."""

    tables: tuple[TableVersion, ...] = ()


class SessionStarted(Part, frozen=True):
    """The manager's answer to `Register`. `version` is how far it has come itself."""

    session_id: str = ""
    heartbeat_period_ms: int = limits.heartbeat_period_ms
    version: ClusterVersion = ClusterVersion()
    managers: tuple[str, ...] = ()
    vxlan_port: int = 0


class StatusAcknowledged(Part, frozen=True):
    """Every report up to `sequence` is committed."""

    sequence: int = 0


class Redirect(Part, frozen=True):
    """This manager does not lead. `leader` is the address of the one that does, empty while there is none."""

    leader: str = ""
    managers: tuple[str, ...] = ()


class Alive(Part, frozen=True):
    """The manager's answer to a heartbeat."""


class Membership(Part, frozen=True):
    """What this node is to be, and where the managers are."""

    role: NodeRole = NodeRole.WORKER
    managers: tuple[str, ...] = ()


class Withdrawn(Part, frozen=True):
    """No node with a living session sends these tasks new connections any more."""

    task_ids: tuple[str, ...] = ()


class LogOptions(Part, frozen=True):
    """Which log records are wanted. `tail` None or negative means all; `since_ns` is UTC."""

    follow: bool = False
    tail: int | None = None
    since_ns: int = 0
    no_stdout: bool = False
    no_stderr: bool = False


class LogSubscription(Part, frozen=True):
    """The manager wants (or, with `cancel`, no longer wants) the logs of some tasks."""

    subscription_id: str = ""
    task_ids: tuple[str, ...] = ()
    options: LogOptions = LogOptions()
    cancel: bool = False


class AuditQuestion(Part, frozen=True):
    """The manager wants the node audited, and with `repair`, put right what may be."""

    audit_id: str = ""
    repair: bool = False


class AuditAnswer(Part, frozen=True):
    """The answer to an `AuditQuestion`. `refusal` says why there is no report."""

    audit_id: str = ""
    report: AuditReport = AuditReport()
    refusal: str = ""


Up = Register | Heartbeat | StatusReport | TablesApplied | NodeDescription | AuditAnswer
Down = (
    SessionStarted
    | StatusAcknowledged
    | Assignments
    | NetworkTable
    | NetworkTableDelta
    | LogSubscription
    | Redirect
    | Alive
    | Membership
    | Withdrawn
    | AuditQuestion
)
