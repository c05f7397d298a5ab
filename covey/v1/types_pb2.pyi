from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_NEW: _ClassVar[TaskState]
    TASK_STATE_PENDING: _ClassVar[TaskState]
    TASK_STATE_ASSIGNED: _ClassVar[TaskState]
    TASK_STATE_ACCEPTED: _ClassVar[TaskState]
    TASK_STATE_PREPARING: _ClassVar[TaskState]
    TASK_STATE_READY: _ClassVar[TaskState]
    TASK_STATE_STARTING: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_COMPLETE: _ClassVar[TaskState]
    TASK_STATE_SHUTDOWN: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_REJECTED: _ClassVar[TaskState]
    TASK_STATE_REMOVE: _ClassVar[TaskState]
    TASK_STATE_ORPHANED: _ClassVar[TaskState]

class NodeRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_ROLE_WORKER: _ClassVar[NodeRole]
    NODE_ROLE_MANAGER: _ClassVar[NodeRole]

class Availability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AVAILABILITY_ACTIVE: _ClassVar[Availability]
    AVAILABILITY_PAUSE: _ClassVar[Availability]
    AVAILABILITY_DRAIN: _ClassVar[Availability]

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATE_UNKNOWN: _ClassVar[NodeState]
    NODE_STATE_DOWN: _ClassVar[NodeState]
    NODE_STATE_READY: _ClassVar[NodeState]
    NODE_STATE_DISCONNECTED: _ClassVar[NodeState]

class ServiceModeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVICE_MODE_KIND_REPLICATED: _ClassVar[ServiceModeKind]
    SERVICE_MODE_KIND_GLOBAL: _ClassVar[ServiceModeKind]
    SERVICE_MODE_KIND_REPLICATED_JOB: _ClassVar[ServiceModeKind]
    SERVICE_MODE_KIND_GLOBAL_JOB: _ClassVar[ServiceModeKind]

class RestartCondition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESTART_CONDITION_ANY: _ClassVar[RestartCondition]
    RESTART_CONDITION_ON_FAILURE: _ClassVar[RestartCondition]
    RESTART_CONDITION_NONE: _ClassVar[RestartCondition]

class UpdateOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPDATE_ORDER_STOP_FIRST: _ClassVar[UpdateOrder]
    UPDATE_ORDER_START_FIRST: _ClassVar[UpdateOrder]

class FailureAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_ACTION_PAUSE: _ClassVar[FailureAction]
    FAILURE_ACTION_CONTINUE: _ClassVar[FailureAction]
    FAILURE_ACTION_ROLLBACK: _ClassVar[FailureAction]

class UpdateState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPDATE_STATE_NONE: _ClassVar[UpdateState]
    UPDATE_STATE_UPDATING: _ClassVar[UpdateState]
    UPDATE_STATE_PAUSED: _ClassVar[UpdateState]
    UPDATE_STATE_COMPLETED: _ClassVar[UpdateState]
    UPDATE_STATE_ROLLBACK_STARTED: _ClassVar[UpdateState]
    UPDATE_STATE_ROLLBACK_PAUSED: _ClassVar[UpdateState]
    UPDATE_STATE_ROLLBACK_COMPLETED: _ClassVar[UpdateState]

class EndpointMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENDPOINT_MODE_VIP: _ClassVar[EndpointMode]
    ENDPOINT_MODE_DNSRR: _ClassVar[EndpointMode]

class Protocol(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROTOCOL_TCP: _ClassVar[Protocol]
    PROTOCOL_UDP: _ClassVar[Protocol]
    PROTOCOL_SCTP: _ClassVar[Protocol]

class PublishMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUBLISH_MODE_INGRESS: _ClassVar[PublishMode]
    PUBLISH_MODE_HOST: _ClassVar[PublishMode]

class MeshMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESH_MODE_PRESERVE: _ClassVar[MeshMode]
    MESH_MODE_MASQUERADE: _ClassVar[MeshMode]
    MESH_MODE_LOCAL: _ClassVar[MeshMode]

class Affinity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AFFINITY_NONE: _ClassVar[Affinity]
    AFFINITY_CLIENT: _ClassVar[Affinity]

class MountKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOUNT_KIND_BIND: _ClassVar[MountKind]
    MOUNT_KIND_VOLUME: _ClassVar[MountKind]
    MOUNT_KIND_TMPFS: _ClassVar[MountKind]

class HealthState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEALTH_STATE_NONE: _ClassVar[HealthState]
    HEALTH_STATE_STARTING: _ClassVar[HealthState]
    HEALTH_STATE_HEALTHY: _ClassVar[HealthState]
    HEALTH_STATE_UNHEALTHY: _ClassVar[HealthState]

class EndpointState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENDPOINT_STATE_JOINING: _ClassVar[EndpointState]
    ENDPOINT_STATE_ACTIVE: _ClassVar[EndpointState]
    ENDPOINT_STATE_DRAINING: _ClassVar[EndpointState]
TASK_STATE_NEW: TaskState
TASK_STATE_PENDING: TaskState
TASK_STATE_ASSIGNED: TaskState
TASK_STATE_ACCEPTED: TaskState
TASK_STATE_PREPARING: TaskState
TASK_STATE_READY: TaskState
TASK_STATE_STARTING: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_COMPLETE: TaskState
TASK_STATE_SHUTDOWN: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_REJECTED: TaskState
TASK_STATE_REMOVE: TaskState
TASK_STATE_ORPHANED: TaskState
NODE_ROLE_WORKER: NodeRole
NODE_ROLE_MANAGER: NodeRole
AVAILABILITY_ACTIVE: Availability
AVAILABILITY_PAUSE: Availability
AVAILABILITY_DRAIN: Availability
NODE_STATE_UNKNOWN: NodeState
NODE_STATE_DOWN: NodeState
NODE_STATE_READY: NodeState
NODE_STATE_DISCONNECTED: NodeState
SERVICE_MODE_KIND_REPLICATED: ServiceModeKind
SERVICE_MODE_KIND_GLOBAL: ServiceModeKind
SERVICE_MODE_KIND_REPLICATED_JOB: ServiceModeKind
SERVICE_MODE_KIND_GLOBAL_JOB: ServiceModeKind
RESTART_CONDITION_ANY: RestartCondition
RESTART_CONDITION_ON_FAILURE: RestartCondition
RESTART_CONDITION_NONE: RestartCondition
UPDATE_ORDER_STOP_FIRST: UpdateOrder
UPDATE_ORDER_START_FIRST: UpdateOrder
FAILURE_ACTION_PAUSE: FailureAction
FAILURE_ACTION_CONTINUE: FailureAction
FAILURE_ACTION_ROLLBACK: FailureAction
UPDATE_STATE_NONE: UpdateState
UPDATE_STATE_UPDATING: UpdateState
UPDATE_STATE_PAUSED: UpdateState
UPDATE_STATE_COMPLETED: UpdateState
UPDATE_STATE_ROLLBACK_STARTED: UpdateState
UPDATE_STATE_ROLLBACK_PAUSED: UpdateState
UPDATE_STATE_ROLLBACK_COMPLETED: UpdateState
ENDPOINT_MODE_VIP: EndpointMode
ENDPOINT_MODE_DNSRR: EndpointMode
PROTOCOL_TCP: Protocol
PROTOCOL_UDP: Protocol
PROTOCOL_SCTP: Protocol
PUBLISH_MODE_INGRESS: PublishMode
PUBLISH_MODE_HOST: PublishMode
MESH_MODE_PRESERVE: MeshMode
MESH_MODE_MASQUERADE: MeshMode
MESH_MODE_LOCAL: MeshMode
AFFINITY_NONE: Affinity
AFFINITY_CLIENT: Affinity
MOUNT_KIND_BIND: MountKind
MOUNT_KIND_VOLUME: MountKind
MOUNT_KIND_TMPFS: MountKind
HEALTH_STATE_NONE: HealthState
HEALTH_STATE_STARTING: HealthState
HEALTH_STATE_HEALTHY: HealthState
HEALTH_STATE_UNHEALTHY: HealthState
ENDPOINT_STATE_JOINING: EndpointState
ENDPOINT_STATE_ACTIVE: EndpointState
ENDPOINT_STATE_DRAINING: EndpointState
