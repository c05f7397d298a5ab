"""Answers of the API that are no model object."""

from enum import IntEnum

from covey.model.audit import AuditReport
from covey.model.difference import FieldChange
from covey.model.objects import AuditSummary, ClusterVersion, Endpoint, Network, Part, Revision, Service, Task
from covey.model.specs import PortConfig
from covey.model.states import Affinity, EndpointMode, EndpointState


class ServiceDetail(Part, frozen=True):
    """A service with its current revision, and what its tasks amount to."""

    service: Service = Service()
    revision: Revision = Revision()
    running: int = 0
    desired: int = 0
    completed: int = 0


class PlanAction(IntEnum):
    """What a step of a plan does. WAIT: the task would find no node."""

    CREATE = 0
    STOP = 1
    KEEP = 2
    WAIT = 3


class PlanStep(Part, frozen=True):
    """One thing that would happen. What would only then be made has no task id; `replaces` is a task's."""

    action: PlanAction = PlanAction.CREATE
    task_id: str = ""
    slot: int = 0
    node_id: str = ""
    node_name: str = ""
    revision: int = 0
    reason: str = ""
    replaces: str = ""


class Plan(Part, frozen=True):
    """What would come of a request, in the order in which it would begin."""

    steps: tuple[PlanStep, ...] = ()
    changes: tuple[FieldChange, ...] = ()
    warnings: tuple[str, ...] = ()
    rollout: str = ""


class RuledOut(Part, frozen=True):
    """The nodes one filter rules out, and what would change that."""

    filter: str = ""
    nodes: tuple[str, ...] = ()
    detail: str = ""
    remedy: str = ""


class TaskExplanation(Part, frozen=True):
    """A task, and why it stands where it stands."""

    task: Task = Task()
    name: str = ""
    node_name: str = ""
    text: str = ""


class Explanation(Part, frozen=True):
    """Why a service's tasks are where they are. `open` are the nodes that would take one more."""

    service_id: str = ""
    summary: str = ""
    advice: tuple[str, ...] = ()
    tasks: tuple[TaskExplanation, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    open: tuple[str, ...] = ()
    nodes: int = 0


class Progress(Part, frozen=True):
    """A service and all its tasks at one moment."""

    detail: ServiceDetail = ServiceDetail()
    tasks: tuple[Task, ...] = ()


class AuditedNode(Part, frozen=True):
    """What a node found when it audited itself; `unanswered` says why nothing is known."""

    node_id: str = ""
    hostname: str = ""
    report: AuditReport = AuditReport()
    unanswered: str = ""


class ClusterAudit(Part, frozen=True):
    """An audit of the cluster: its nodes, and what the managers keep (None if they did not come to say).

    `local`: a node was asked by itself, and the managers were not.
    """

    nodes: tuple[AuditedNode, ...] = ()
    managers: AuditReport | None = None
    local: bool = False


class NetworkDetail(Part, frozen=True):
    """A network and everything on it."""

    network: Network = Network()
    endpoints: tuple[Endpoint, ...] = ()


class NetworkFollower(Part, frozen=True):
    """A node on a network, and how far it follows its table: `behind_entries` of the managers' log, -1 if unknown."""

    node_id: str = ""
    node_name: str = ""
    connected: bool = False
    applied: ClusterVersion = ClusterVersion()
    behind_entries: int = 0
    endpoints: tuple[Endpoint, ...] = ()


class NetworkBackend(Part, frozen=True):
    """One task of a service on a network; new connections go to it while it is ACTIVE."""

    task_id: str = ""
    task_name: str = ""
    node_id: str = ""
    node_name: str = ""
    addresses: tuple[str, ...] = ()
    state: EndpointState = EndpointState.JOINING


class NetworkService(Part, frozen=True):
    """A service as the nodes on a network know it, with where its connections go."""

    service_id: str = ""
    name: str = ""
    aliases: tuple[str, ...] = ()
    mode: EndpointMode = EndpointMode.VIP
    virtual_ips: tuple[str, ...] = ()
    ports: tuple[PortConfig, ...] = ()
    affinity: Affinity = Affinity.NONE
    backends: tuple[NetworkBackend, ...] = ()


class NetworkTruth(Part, frozen=True):
    """What is true of a network now. `version` is that of its newest table, `removal` what that waits for."""

    version: ClusterVersion = ClusterVersion()
    nodes: tuple[NetworkFollower, ...] = ()
    services: tuple[NetworkService, ...] = ()
    removal: str = ""


class LogLine(Part, frozen=True):
    """One line a container wrote, without its newline."""

    task_id: str
    node_id: str
    at_ns: int
    stderr: bool
    data: bytes


class LogOptions(Part, frozen=True):
    """What to read: `tail` records per task (-1 means all), from `since_ns` (UTC) on, and then `follow`."""

    follow: bool = False
    tail: int = -1
    since_ns: int = 0
    no_stdout: bool = False
    no_stderr: bool = False


class Reachability(IntEnum):
    """Whether a manager answers the one that was asked."""

    UNKNOWN = 0
    UNREACHABLE = 1
    REACHABLE = 2


class ManagerStatus(Part, frozen=True):
    """One manager as another sees it. `behind_entries` counts the log's, -1 while unknown."""

    node_id: str = ""
    hostname: str = ""
    address: str = ""
    leader: bool = False
    voter: bool = False
    reachability: Reachability = Reachability.UNKNOWN
    behind_entries: int = 0
    raft_id: int = 0


class ClusterStatus(Part, frozen=True):
    """How the managers stand, as the one that was asked knows. `advice` says what is wrong and what to do.

    `audit` is the leader's last of what the managers keep.
    """

    managers: tuple[ManagerStatus, ...] = ()
    answered_by: str = ""
    has_quorum: bool = False
    term: int = 0
    applied_index: int = 0
    leader_silent_ms: int = 0
    epoch: int = 0
    store: str = ""
    advice: tuple[str, ...] = ()
    audit: AuditSummary = AuditSummary()
