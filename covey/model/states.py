"""The enumerations, with the numbers they have on the wire."""

from enum import IntEnum


class TaskState(IntEnum):
    """How far a task has come. The order is the lifecycle: a task's state only ever rises.

    Planners write up to ASSIGNED, the task's agent from there on, except for ORPHANED. REMOVE is only
    ever desired: a task that is to be stopped and then forgotten.
    """

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832

    @property
    def terminal(self) -> bool:
        """Tell whether a task in this state has ended for good."""
        return self >= TaskState.COMPLETE

    @property
    def wants_up(self) -> bool:
        """Tell whether a task of which this is desired is meant to run, now or soon: a job's to its end."""
        return self < TaskState.SHUTDOWN


class NodeRole(IntEnum):
    """What a node's certificate lets it be."""

    WORKER = 0
    MANAGER = 1


class Availability(IntEnum):
    """Whether the scheduler may use a node."""

    ACTIVE = 0
    PAUSE = 1
    DRAIN = 2


class NodeState(IntEnum):
    """What the managers know of a node's life."""

    UNKNOWN = 0
    DOWN = 1
    READY = 2
    DISCONNECTED = 3


class ServiceModeKind(IntEnum):
    """How the number of a service's tasks is decided."""

    REPLICATED = 0
    GLOBAL = 1
    REPLICATED_JOB = 2
    GLOBAL_JOB = 3

    @property
    def everywhere(self) -> bool:
        """Tell whether there is a task on every node, rather than so many in all."""
        return self in (ServiceModeKind.GLOBAL, ServiceModeKind.GLOBAL_JOB)

    @property
    def job(self) -> bool:
        """Tell whether tasks are meant to end by themselves."""
        return self in (ServiceModeKind.REPLICATED_JOB, ServiceModeKind.GLOBAL_JOB)


class RestartCondition(IntEnum):
    """Which ends of a task call for another one in its place."""

    ANY = 0
    ON_FAILURE = 1
    NONE = 2


class UpdateOrder(IntEnum):
    """Whether the old task ends before the new one starts."""

    STOP_FIRST = 0
    START_FIRST = 1


class FailureAction(IntEnum):
    """What a rollout does once too many new tasks have failed."""

    PAUSE = 0
    CONTINUE = 1
    ROLLBACK = 2


class UpdateState(IntEnum):
    """How a rollout stands."""

    NONE = 0
    UPDATING = 1
    PAUSED = 2
    COMPLETED = 3
    ROLLBACK_STARTED = 4
    ROLLBACK_PAUSED = 5
    ROLLBACK_COMPLETED = 6


class EndpointMode(IntEnum):
    """How a service's name is answered: by its virtual address, or by its tasks' addresses."""

    VIP = 0
    DNSRR = 1


class Protocol(IntEnum):
    """The transport of a published port."""

    TCP = 0
    UDP = 1
    SCTP = 2


class PublishMode(IntEnum):
    """Whether every node answers on a published port, or only those that run a task."""

    INGRESS = 0
    HOST = 1


class MeshMode(IntEnum):
    """How the routing mesh answers a published port, and what a task sees of the client.

    `PRESERVE`: every node answers, and the task sees the client's own address wherever kernels allow it.
    `MASQUERADE`: every node answers, and the task sees the node. `LOCAL`: only nodes with a task answer, for
    load balancers outside the cluster.
    """

    PRESERVE = 0
    MASQUERADE = 1
    LOCAL = 2


class Affinity(IntEnum):
    """Whether one client's connections to a virtual address or published port all go to the same task."""

    NONE = 0
    CLIENT = 1


class MountKind(IntEnum):
    """What a mount's source is."""

    BIND = 0
    VOLUME = 1
    TMPFS = 2


class HealthState(IntEnum):
    """What a container's health check says. NONE: it has no check. STARTING: it has not passed it yet."""

    NONE = 0
    STARTING = 1
    HEALTHY = 2
    UNHEALTHY = 3


class EndpointState(IntEnum):
    """Whether traffic may go to an endpoint.

    JOINING: the task is not running yet. ACTIVE: new connections are welcome. DRAINING: the task is about
    to stop, so nothing new is sent, and what is established goes on.
    """

    JOINING = 0
    ACTIVE = 1
    DRAINING = 2
