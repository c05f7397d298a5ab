from covey.v1 import specs_pb2 as _specs_pb2
from covey.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Meta(_message.Message):
    __slots__ = ("version", "created_at_ns", "updated_at_ns")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    version: int
    created_at_ns: int
    updated_at_ns: int
    def __init__(self, version: _Optional[int] = ..., created_at_ns: _Optional[int] = ..., updated_at_ns: _Optional[int] = ...) -> None: ...

class ClusterVersion(_message.Message):
    __slots__ = ("epoch", "index")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    index: int
    def __init__(self, epoch: _Optional[int] = ..., index: _Optional[int] = ...) -> None: ...

class RootCa(_message.Message):
    __slots__ = ("certificate_pem", "key_pem", "digest")
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    KEY_PEM_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    certificate_pem: str
    key_pem: str
    digest: str
    def __init__(self, certificate_pem: _Optional[str] = ..., key_pem: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class JoinSecrets(_message.Message):
    __slots__ = ("worker", "manager")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    MANAGER_FIELD_NUMBER: _ClassVar[int]
    worker: str
    manager: str
    def __init__(self, worker: _Optional[str] = ..., manager: _Optional[str] = ...) -> None: ...

class TunnelTurn(_message.Message):
    __slots__ = ("generation", "since_ns")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    since_ns: int
    def __init__(self, generation: _Optional[int] = ..., since_ns: _Optional[int] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("id", "meta", "spec", "epoch", "feature_level", "root_ca", "join_secrets", "tunnels")
    ID_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FEATURE_LEVEL_FIELD_NUMBER: _ClassVar[int]
    ROOT_CA_FIELD_NUMBER: _ClassVar[int]
    JOIN_SECRETS_FIELD_NUMBER: _ClassVar[int]
    TUNNELS_FIELD_NUMBER: _ClassVar[int]
    id: str
    meta: Meta
    spec: _specs_pb2.ClusterSpec
    epoch: int
    feature_level: int
    root_ca: RootCa
    join_secrets: JoinSecrets
    tunnels: TunnelTurn
    def __init__(self, id: _Optional[str] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ..., spec: _Optional[_Union[_specs_pb2.ClusterSpec, _Mapping]] = ..., epoch: _Optional[int] = ..., feature_level: _Optional[int] = ..., root_ca: _Optional[_Union[RootCa, _Mapping]] = ..., join_secrets: _Optional[_Union[JoinSecrets, _Mapping]] = ..., tunnels: _Optional[_Union[TunnelTurn, _Mapping]] = ...) -> None: ...

class TunnelKey(_message.Message):
    __slots__ = ("generation", "public_key", "port")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    generation: int
    public_key: str
    port: int
    def __init__(self, generation: _Optional[int] = ..., public_key: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class NodeNetworking(_message.Message):
    __slots__ = ("keeps_client_address", "encryption", "tunnel_keys", "remarks", "interfaces", "without_ipv6")
    KEEPS_CLIENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTION_FIELD_NUMBER: _ClassVar[int]
    TUNNEL_KEYS_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    INTERFACES_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_IPV6_FIELD_NUMBER: _ClassVar[int]
    keeps_client_address: bool
    encryption: str
    tunnel_keys: _containers.RepeatedCompositeFieldContainer[TunnelKey]
    remarks: _containers.RepeatedScalarFieldContainer[str]
    interfaces: _containers.RepeatedScalarFieldContainer[str]
    without_ipv6: bool
    def __init__(self, keeps_client_address: _Optional[bool] = ..., encryption: _Optional[str] = ..., tunnel_keys: _Optional[_Iterable[_Union[TunnelKey, _Mapping]]] = ..., remarks: _Optional[_Iterable[str]] = ..., interfaces: _Optional[_Iterable[str]] = ..., without_ipv6: _Optional[bool] = ...) -> None: ...

class AuditCount(_message.Message):
    __slots__ = ("kind", "number")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    kind: str
    number: int
    def __init__(self, kind: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class AuditSummary(_message.Message):
    __slots__ = ("at_ns", "compared", "counts", "unused_images", "unused_image_bytes")
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    UNUSED_IMAGES_FIELD_NUMBER: _ClassVar[int]
    UNUSED_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    at_ns: int
    compared: int
    counts: _containers.RepeatedCompositeFieldContainer[AuditCount]
    unused_images: int
    unused_image_bytes: int
    def __init__(self, at_ns: _Optional[int] = ..., compared: _Optional[int] = ..., counts: _Optional[_Iterable[_Union[AuditCount, _Mapping]]] = ..., unused_images: _Optional[int] = ..., unused_image_bytes: _Optional[int] = ...) -> None: ...

class NodeDescription(_message.Message):
    __slots__ = ("hostname", "platform", "resources", "engine_version", "engine_labels", "data_address", "networking", "audit")
    class EngineLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_LABELS_FIELD_NUMBER: _ClassVar[int]
    DATA_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NETWORKING_FIELD_NUMBER: _ClassVar[int]
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    platform: _specs_pb2.Platform
    resources: _specs_pb2.Resources
    engine_version: str
    engine_labels: _containers.ScalarMap[str, str]
    data_address: str
    networking: NodeNetworking
    audit: AuditSummary
    def __init__(self, hostname: _Optional[str] = ..., platform: _Optional[_Union[_specs_pb2.Platform, _Mapping]] = ..., resources: _Optional[_Union[_specs_pb2.Resources, _Mapping]] = ..., engine_version: _Optional[str] = ..., engine_labels: _Optional[_Mapping[str, str]] = ..., data_address: _Optional[str] = ..., networking: _Optional[_Union[NodeNetworking, _Mapping]] = ..., audit: _Optional[_Union[AuditSummary, _Mapping]] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("state", "message", "address")
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    state: _types_pb2.NodeState
    message: str
    address: str
    def __init__(self, state: _Optional[_Union[_types_pb2.NodeState, str]] = ..., message: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("id", "meta", "spec", "description", "status", "role")
    ID_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    meta: Meta
    spec: _specs_pb2.NodeSpec
    description: NodeDescription
    status: NodeStatus
    role: _types_pb2.NodeRole
    def __init__(self, id: _Optional[str] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ..., spec: _Optional[_Union[_specs_pb2.NodeSpec, _Mapping]] = ..., description: _Optional[_Union[NodeDescription, _Mapping]] = ..., status: _Optional[_Union[NodeStatus, _Mapping]] = ..., role: _Optional[_Union[_types_pb2.NodeRole, str]] = ...) -> None: ...

class VirtualIp(_message.Message):
    __slots__ = ("network_id", "address")
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    address: str
    def __init__(self, network_id: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class UpdateStatus(_message.Message):
    __slots__ = ("state", "started_at_ns", "completed_at_ns", "message")
    STATE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    state: _types_pb2.UpdateState
    started_at_ns: int
    completed_at_ns: int
    message: str
    def __init__(self, state: _Optional[_Union[_types_pb2.UpdateState, str]] = ..., started_at_ns: _Optional[int] = ..., completed_at_ns: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Service(_message.Message):
    __slots__ = ("id", "meta", "name", "revision_id", "previous_revision_id", "last_revision_number", "virtual_ips", "ports", "allocation_error", "update_status", "pending_delete", "stopped")
    ID_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_REVISION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_REVISION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_IPS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    ALLOCATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    UPDATE_STATUS_FIELD_NUMBER: _ClassVar[int]
    PENDING_DELETE_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    id: str
    meta: Meta
    name: str
    revision_id: str
    previous_revision_id: str
    last_revision_number: int
    virtual_ips: _containers.RepeatedCompositeFieldContainer[VirtualIp]
    ports: _containers.RepeatedCompositeFieldContainer[_specs_pb2.PortConfig]
    allocation_error: str
    update_status: UpdateStatus
    pending_delete: bool
    stopped: bool
    def __init__(self, id: _Optional[str] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ..., name: _Optional[str] = ..., revision_id: _Optional[str] = ..., previous_revision_id: _Optional[str] = ..., last_revision_number: _Optional[int] = ..., virtual_ips: _Optional[_Iterable[_Union[VirtualIp, _Mapping]]] = ..., ports: _Optional[_Iterable[_Union[_specs_pb2.PortConfig, _Mapping]]] = ..., allocation_error: _Optional[str] = ..., update_status: _Optional[_Union[UpdateStatus, _Mapping]] = ..., pending_delete: _Optional[bool] = ..., stopped: _Optional[bool] = ...) -> None: ...

class Revision(_message.Message):
    __slots__ = ("id", "meta", "service_id", "number", "restart_generation", "spec", "author", "restores")
    ID_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESTART_GENERATION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    RESTORES_FIELD_NUMBER: _ClassVar[int]
    id: str
    meta: Meta
    service_id: str
    number: int
    restart_generation: int
    spec: _specs_pb2.ServiceSpec
    author: str
    restores: int
    def __init__(self, id: _Optional[str] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ..., service_id: _Optional[str] = ..., number: _Optional[int] = ..., restart_generation: _Optional[int] = ..., spec: _Optional[_Union[_specs_pb2.ServiceSpec, _Mapping]] = ..., author: _Optional[str] = ..., restores: _Optional[int] = ...) -> None: ...

class TaskStatus(_message.Message):
    __slots__ = ("state", "message", "err", "at_ns", "exit_code", "pid", "health")
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERR_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    state: _types_pb2.TaskState
    message: str
    err: str
    at_ns: int
    exit_code: int
    pid: int
    health: _types_pb2.HealthState
    def __init__(self, state: _Optional[_Union[_types_pb2.TaskState, str]] = ..., message: _Optional[str] = ..., err: _Optional[str] = ..., at_ns: _Optional[int] = ..., exit_code: _Optional[int] = ..., pid: _Optional[int] = ..., health: _Optional[_Union[_types_pb2.HealthState, str]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "meta", "service_id", "revision_id", "slot", "node_id", "desired_state", "status", "generic", "quick_ends")
    ID_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_ID_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    GENERIC_FIELD_NUMBER: _ClassVar[int]
    QUICK_ENDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    meta: Meta
    service_id: str
    revision_id: str
    slot: int
    node_id: str
    desired_state: _types_pb2.TaskState
    status: TaskStatus
    generic: _containers.RepeatedCompositeFieldContainer[_specs_pb2.GenericResource]
    quick_ends: int
    def __init__(self, id: _Optional[str] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ..., service_id: _Optional[str] = ..., revision_id: _Optional[str] = ..., slot: _Optional[int] = ..., node_id: _Optional[str] = ..., desired_state: _Optional[_Union[_types_pb2.TaskState, str]] = ..., status: _Optional[_Union[TaskStatus, _Mapping]] = ..., generic: _Optional[_Iterable[_Union[_specs_pb2.GenericResource, _Mapping]]] = ..., quick_ends: _Optional[int] = ...) -> None: ...

class Subnet(_message.Message):
    __slots__ = ("cidr", "gateway", "ip_range", "reserved")
    class ReservedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CIDR_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    IP_RANGE_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    cidr: str
    gateway: str
    ip_range: str
    reserved: _containers.ScalarMap[str, str]
    def __init__(self, cidr: _Optional[str] = ..., gateway: _Optional[str] = ..., ip_range: _Optional[str] = ..., reserved: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("id", "meta", "spec", "vni", "subnets", "allocation_error", "pending_delete")
    ID_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    SUBNETS_FIELD_NUMBER: _ClassVar[int]
    ALLOCATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    PENDING_DELETE_FIELD_NUMBER: _ClassVar[int]
    id: str
    meta: Meta
    spec: _specs_pb2.NetworkSpec
    vni: int
    subnets: _containers.RepeatedCompositeFieldContainer[Subnet]
    allocation_error: str
    pending_delete: bool
    def __init__(self, id: _Optional[str] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ..., spec: _Optional[_Union[_specs_pb2.NetworkSpec, _Mapping]] = ..., vni: _Optional[int] = ..., subnets: _Optional[_Iterable[_Union[Subnet, _Mapping]]] = ..., allocation_error: _Optional[str] = ..., pending_delete: _Optional[bool] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("id", "meta", "network_id", "node_id", "task_id", "service_id", "number", "addresses", "state")
    ID_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    id: str
    meta: Meta
    network_id: str
    node_id: str
    task_id: str
    service_id: str
    number: int
    addresses: _containers.RepeatedScalarFieldContainer[str]
    state: _types_pb2.EndpointState
    def __init__(self, id: _Optional[str] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ..., network_id: _Optional[str] = ..., node_id: _Optional[str] = ..., task_id: _Optional[str] = ..., service_id: _Optional[str] = ..., number: _Optional[int] = ..., addresses: _Optional[_Iterable[str]] = ..., state: _Optional[_Union[_types_pb2.EndpointState, str]] = ...) -> None: ...
