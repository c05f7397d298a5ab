from covey.v1 import audit_pb2 as _audit_pb2
from covey.v1 import objects_pb2 as _objects_pb2
from covey.v1 import specs_pb2 as _specs_pb2
from covey.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reachability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REACHABILITY_UNKNOWN: _ClassVar[Reachability]
    REACHABILITY_UNREACHABLE: _ClassVar[Reachability]
    REACHABILITY_REACHABLE: _ClassVar[Reachability]

class PlanAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAN_ACTION_CREATE: _ClassVar[PlanAction]
    PLAN_ACTION_STOP: _ClassVar[PlanAction]
    PLAN_ACTION_KEEP: _ClassVar[PlanAction]
    PLAN_ACTION_WAIT: _ClassVar[PlanAction]
REACHABILITY_UNKNOWN: Reachability
REACHABILITY_UNREACHABLE: Reachability
REACHABILITY_REACHABLE: Reachability
PLAN_ACTION_CREATE: PlanAction
PLAN_ACTION_STOP: PlanAction
PLAN_ACTION_KEEP: PlanAction
PLAN_ACTION_WAIT: PlanAction

class GetClusterRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetClusterResponse(_message.Message):
    __slots__ = ("cluster",)
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    cluster: _objects_pb2.Cluster
    def __init__(self, cluster: _Optional[_Union[_objects_pb2.Cluster, _Mapping]] = ...) -> None: ...

class UpdateClusterRequest(_message.Message):
    __slots__ = ("version", "spec")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    version: int
    spec: _specs_pb2.ClusterSpec
    def __init__(self, version: _Optional[int] = ..., spec: _Optional[_Union[_specs_pb2.ClusterSpec, _Mapping]] = ...) -> None: ...

class UpdateClusterResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetJoinTokenRequest(_message.Message):
    __slots__ = ("role", "rotate")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ROTATE_FIELD_NUMBER: _ClassVar[int]
    role: _types_pb2.NodeRole
    rotate: bool
    def __init__(self, role: _Optional[_Union[_types_pb2.NodeRole, str]] = ..., rotate: _Optional[bool] = ...) -> None: ...

class GetJoinTokenResponse(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class GetClusterStatusRequest(_message.Message):
    __slots__ = ("local",)
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    local: bool
    def __init__(self, local: _Optional[bool] = ...) -> None: ...

class GetClusterStatusResponse(_message.Message):
    __slots__ = ("managers", "answered_by", "has_quorum", "term", "applied_index", "leader_silent_ms", "epoch", "store", "advice", "audit")
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    HAS_QUORUM_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    LEADER_SILENT_MS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    managers: _containers.RepeatedCompositeFieldContainer[ManagerStatus]
    answered_by: str
    has_quorum: bool
    term: int
    applied_index: int
    leader_silent_ms: int
    epoch: int
    store: str
    advice: _containers.RepeatedScalarFieldContainer[str]
    audit: _objects_pb2.AuditSummary
    def __init__(self, managers: _Optional[_Iterable[_Union[ManagerStatus, _Mapping]]] = ..., answered_by: _Optional[str] = ..., has_quorum: _Optional[bool] = ..., term: _Optional[int] = ..., applied_index: _Optional[int] = ..., leader_silent_ms: _Optional[int] = ..., epoch: _Optional[int] = ..., store: _Optional[str] = ..., advice: _Optional[_Iterable[str]] = ..., audit: _Optional[_Union[_objects_pb2.AuditSummary, _Mapping]] = ...) -> None: ...

class ManagerStatus(_message.Message):
    __slots__ = ("node_id", "hostname", "address", "leader", "voter", "reachability", "behind_entries", "raft_id", "silent_ms", "departs")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    VOTER_FIELD_NUMBER: _ClassVar[int]
    REACHABILITY_FIELD_NUMBER: _ClassVar[int]
    BEHIND_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    RAFT_ID_FIELD_NUMBER: _ClassVar[int]
    SILENT_MS_FIELD_NUMBER: _ClassVar[int]
    DEPARTS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    hostname: str
    address: str
    leader: bool
    voter: bool
    reachability: Reachability
    behind_entries: int
    raft_id: int
    silent_ms: int
    departs: bool
    def __init__(self, node_id: _Optional[str] = ..., hostname: _Optional[str] = ..., address: _Optional[str] = ..., leader: _Optional[bool] = ..., voter: _Optional[bool] = ..., reachability: _Optional[_Union[Reachability, str]] = ..., behind_entries: _Optional[int] = ..., raft_id: _Optional[int] = ..., silent_ms: _Optional[int] = ..., departs: _Optional[bool] = ...) -> None: ...

class BackupRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Node]
    def __init__(self, nodes: _Optional[_Iterable[_Union[_objects_pb2.Node, _Mapping]]] = ...) -> None: ...

class GetNodeRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class GetNodeResponse(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: _objects_pb2.Node
    def __init__(self, node: _Optional[_Union[_objects_pb2.Node, _Mapping]] = ...) -> None: ...

class UpdateNodeRequest(_message.Message):
    __slots__ = ("node_id", "version", "spec")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    version: int
    spec: _specs_pb2.NodeSpec
    def __init__(self, node_id: _Optional[str] = ..., version: _Optional[int] = ..., spec: _Optional[_Union[_specs_pb2.NodeSpec, _Mapping]] = ...) -> None: ...

class UpdateNodeResponse(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: _objects_pb2.Node
    def __init__(self, node: _Optional[_Union[_objects_pb2.Node, _Mapping]] = ...) -> None: ...

class RemoveNodeRequest(_message.Message):
    __slots__ = ("node_id", "force")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    force: bool
    def __init__(self, node_id: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class RemoveNodeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateServiceRequest(_message.Message):
    __slots__ = ("spec", "resolve_image")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    spec: _specs_pb2.ServiceSpec
    resolve_image: bool
    def __init__(self, spec: _Optional[_Union[_specs_pb2.ServiceSpec, _Mapping]] = ..., resolve_image: _Optional[bool] = ...) -> None: ...

class CreateServiceResponse(_message.Message):
    __slots__ = ("service_id", "warnings")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service_id: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ServiceDetail(_message.Message):
    __slots__ = ("service", "revision", "running", "desired", "completed")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    service: _objects_pb2.Service
    revision: _objects_pb2.Revision
    running: int
    desired: int
    completed: int
    def __init__(self, service: _Optional[_Union[_objects_pb2.Service, _Mapping]] = ..., revision: _Optional[_Union[_objects_pb2.Revision, _Mapping]] = ..., running: _Optional[int] = ..., desired: _Optional[int] = ..., completed: _Optional[int] = ...) -> None: ...

class ListServicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListServicesResponse(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[ServiceDetail]
    def __init__(self, services: _Optional[_Iterable[_Union[ServiceDetail, _Mapping]]] = ...) -> None: ...

class GetServiceRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class GetServiceResponse(_message.Message):
    __slots__ = ("detail",)
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    detail: ServiceDetail
    def __init__(self, detail: _Optional[_Union[ServiceDetail, _Mapping]] = ...) -> None: ...

class UpdateServiceRequest(_message.Message):
    __slots__ = ("service_id", "version", "spec", "resolve_image", "force")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    version: int
    spec: _specs_pb2.ServiceSpec
    resolve_image: bool
    force: bool
    def __init__(self, service_id: _Optional[str] = ..., version: _Optional[int] = ..., spec: _Optional[_Union[_specs_pb2.ServiceSpec, _Mapping]] = ..., resolve_image: _Optional[bool] = ..., force: _Optional[bool] = ...) -> None: ...

class UpdateServiceResponse(_message.Message):
    __slots__ = ("warnings",)
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class RemoveServiceRequest(_message.Message):
    __slots__ = ("service_id",)
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    def __init__(self, service_id: _Optional[str] = ...) -> None: ...

class RemoveServiceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RollBackServiceRequest(_message.Message):
    __slots__ = ("service_id", "version", "revision")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    version: int
    revision: int
    def __init__(self, service_id: _Optional[str] = ..., version: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class RollBackServiceResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class StopServiceRequest(_message.Message):
    __slots__ = ("service_id",)
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    def __init__(self, service_id: _Optional[str] = ...) -> None: ...

class StopServiceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartServiceRequest(_message.Message):
    __slots__ = ("service_id",)
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    def __init__(self, service_id: _Optional[str] = ...) -> None: ...

class StartServiceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PlanServiceRequest(_message.Message):
    __slots__ = ("service_id", "version", "spec", "resolve_image", "force", "roll_back", "revision")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    ROLL_BACK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    version: int
    spec: _specs_pb2.ServiceSpec
    resolve_image: bool
    force: bool
    roll_back: bool
    revision: int
    def __init__(self, service_id: _Optional[str] = ..., version: _Optional[int] = ..., spec: _Optional[_Union[_specs_pb2.ServiceSpec, _Mapping]] = ..., resolve_image: _Optional[bool] = ..., force: _Optional[bool] = ..., roll_back: _Optional[bool] = ..., revision: _Optional[int] = ...) -> None: ...

class PlanStep(_message.Message):
    __slots__ = ("action", "task_id", "slot", "node_id", "node_name", "revision", "reason", "replaces")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    action: PlanAction
    task_id: str
    slot: int
    node_id: str
    node_name: str
    revision: int
    reason: str
    replaces: str
    def __init__(self, action: _Optional[_Union[PlanAction, str]] = ..., task_id: _Optional[str] = ..., slot: _Optional[int] = ..., node_id: _Optional[str] = ..., node_name: _Optional[str] = ..., revision: _Optional[int] = ..., reason: _Optional[str] = ..., replaces: _Optional[str] = ...) -> None: ...

class FieldChange(_message.Message):
    __slots__ = ("path", "before", "after")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    path: str
    before: str
    after: str
    def __init__(self, path: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class PlanServiceResponse(_message.Message):
    __slots__ = ("steps", "changes", "warnings", "rollout")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[PlanStep]
    changes: _containers.RepeatedCompositeFieldContainer[FieldChange]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    rollout: str
    def __init__(self, steps: _Optional[_Iterable[_Union[PlanStep, _Mapping]]] = ..., changes: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., rollout: _Optional[str] = ...) -> None: ...

class ExplainServiceRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class RuledOut(_message.Message):
    __slots__ = ("filter", "nodes", "detail", "remedy")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    filter: str
    nodes: _containers.RepeatedScalarFieldContainer[str]
    detail: str
    remedy: str
    def __init__(self, filter: _Optional[str] = ..., nodes: _Optional[_Iterable[str]] = ..., detail: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class TaskExplanation(_message.Message):
    __slots__ = ("task", "name", "node_name", "text")
    TASK_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODE_NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    task: _objects_pb2.Task
    name: str
    node_name: str
    text: str
    def __init__(self, task: _Optional[_Union[_objects_pb2.Task, _Mapping]] = ..., name: _Optional[str] = ..., node_name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ExplainServiceResponse(_message.Message):
    __slots__ = ("service_id", "summary", "advice", "tasks", "ruled_out", "open", "nodes")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    RULED_OUT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    summary: str
    advice: _containers.RepeatedScalarFieldContainer[str]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskExplanation]
    ruled_out: _containers.RepeatedCompositeFieldContainer[RuledOut]
    open: _containers.RepeatedScalarFieldContainer[str]
    nodes: int
    def __init__(self, service_id: _Optional[str] = ..., summary: _Optional[str] = ..., advice: _Optional[_Iterable[str]] = ..., tasks: _Optional[_Iterable[_Union[TaskExplanation, _Mapping]]] = ..., ruled_out: _Optional[_Iterable[_Union[RuledOut, _Mapping]]] = ..., open: _Optional[_Iterable[str]] = ..., nodes: _Optional[int] = ...) -> None: ...

class ListRevisionsRequest(_message.Message):
    __slots__ = ("service_id",)
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    def __init__(self, service_id: _Optional[str] = ...) -> None: ...

class ListRevisionsResponse(_message.Message):
    __slots__ = ("revisions",)
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Revision]
    def __init__(self, revisions: _Optional[_Iterable[_Union[_objects_pb2.Revision, _Mapping]]] = ...) -> None: ...

class WatchServiceRequest(_message.Message):
    __slots__ = ("service_id",)
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    def __init__(self, service_id: _Optional[str] = ...) -> None: ...

class WatchServiceResponse(_message.Message):
    __slots__ = ("detail", "tasks")
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    detail: ServiceDetail
    tasks: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Task]
    def __init__(self, detail: _Optional[_Union[ServiceDetail, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[_objects_pb2.Task, _Mapping]]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("service_id", "node_id")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    node_id: str
    def __init__(self, service_id: _Optional[str] = ..., node_id: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Task]
    def __init__(self, tasks: _Optional[_Iterable[_Union[_objects_pb2.Task, _Mapping]]] = ...) -> None: ...

class CreateNetworkRequest(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: _specs_pb2.NetworkSpec
    def __init__(self, spec: _Optional[_Union[_specs_pb2.NetworkSpec, _Mapping]] = ...) -> None: ...

class CreateNetworkResponse(_message.Message):
    __slots__ = ("network_id",)
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    def __init__(self, network_id: _Optional[str] = ...) -> None: ...

class ListNetworksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListNetworksResponse(_message.Message):
    __slots__ = ("networks",)
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    networks: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Network]
    def __init__(self, networks: _Optional[_Iterable[_Union[_objects_pb2.Network, _Mapping]]] = ...) -> None: ...

class GetNetworkRequest(_message.Message):
    __slots__ = ("network",)
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    network: str
    def __init__(self, network: _Optional[str] = ...) -> None: ...

class GetNetworkResponse(_message.Message):
    __slots__ = ("network", "endpoints")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    network: _objects_pb2.Network
    endpoints: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Endpoint]
    def __init__(self, network: _Optional[_Union[_objects_pb2.Network, _Mapping]] = ..., endpoints: _Optional[_Iterable[_Union[_objects_pb2.Endpoint, _Mapping]]] = ...) -> None: ...

class RemoveNetworkRequest(_message.Message):
    __slots__ = ("network_id",)
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    def __init__(self, network_id: _Optional[str] = ...) -> None: ...

class RemoveNetworkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AuditClusterRequest(_message.Message):
    __slots__ = ("nodes", "repair")
    NODES_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    repair: bool
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., repair: _Optional[bool] = ...) -> None: ...

class AuditClusterResponse(_message.Message):
    __slots__ = ("nodes", "managers")
    NODES_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[AuditedNode]
    managers: _audit_pb2.AuditReport
    def __init__(self, nodes: _Optional[_Iterable[_Union[AuditedNode, _Mapping]]] = ..., managers: _Optional[_Union[_audit_pb2.AuditReport, _Mapping]] = ...) -> None: ...

class AuditedNode(_message.Message):
    __slots__ = ("node_id", "hostname", "report", "unanswered")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    UNANSWERED_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    hostname: str
    report: _audit_pb2.AuditReport
    unanswered: str
    def __init__(self, node_id: _Optional[str] = ..., hostname: _Optional[str] = ..., report: _Optional[_Union[_audit_pb2.AuditReport, _Mapping]] = ..., unanswered: _Optional[str] = ...) -> None: ...

class InspectNetworkRequest(_message.Message):
    __slots__ = ("network",)
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    network: str
    def __init__(self, network: _Optional[str] = ...) -> None: ...

class InspectNetworkResponse(_message.Message):
    __slots__ = ("version", "nodes", "services", "removal")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    REMOVAL_FIELD_NUMBER: _ClassVar[int]
    version: _objects_pb2.ClusterVersion
    nodes: _containers.RepeatedCompositeFieldContainer[NetworkFollower]
    services: _containers.RepeatedCompositeFieldContainer[NetworkService]
    removal: str
    def __init__(self, version: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[NetworkFollower, _Mapping]]] = ..., services: _Optional[_Iterable[_Union[NetworkService, _Mapping]]] = ..., removal: _Optional[str] = ...) -> None: ...

class NetworkFollower(_message.Message):
    __slots__ = ("node_id", "node_name", "connected", "applied", "behind_entries", "endpoints")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_NAME_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    BEHIND_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    node_name: str
    connected: bool
    applied: _objects_pb2.ClusterVersion
    behind_entries: int
    endpoints: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Endpoint]
    def __init__(self, node_id: _Optional[str] = ..., node_name: _Optional[str] = ..., connected: _Optional[bool] = ..., applied: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., behind_entries: _Optional[int] = ..., endpoints: _Optional[_Iterable[_Union[_objects_pb2.Endpoint, _Mapping]]] = ...) -> None: ...

class NetworkService(_message.Message):
    __slots__ = ("service_id", "name", "aliases", "mode", "virtual_ips", "ports", "affinity", "backends")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_IPS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    mode: _types_pb2.EndpointMode
    virtual_ips: _containers.RepeatedScalarFieldContainer[str]
    ports: _containers.RepeatedCompositeFieldContainer[_specs_pb2.PortConfig]
    affinity: _types_pb2.Affinity
    backends: _containers.RepeatedCompositeFieldContainer[NetworkBackend]
    def __init__(self, service_id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[_types_pb2.EndpointMode, str]] = ..., virtual_ips: _Optional[_Iterable[str]] = ..., ports: _Optional[_Iterable[_Union[_specs_pb2.PortConfig, _Mapping]]] = ..., affinity: _Optional[_Union[_types_pb2.Affinity, str]] = ..., backends: _Optional[_Iterable[_Union[NetworkBackend, _Mapping]]] = ...) -> None: ...

class NetworkBackend(_message.Message):
    __slots__ = ("task_id", "task_name", "node_id", "node_name", "addresses", "state")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task_name: str
    node_id: str
    node_name: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    state: _types_pb2.EndpointState
    def __init__(self, task_id: _Optional[str] = ..., task_name: _Optional[str] = ..., node_id: _Optional[str] = ..., node_name: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., state: _Optional[_Union[_types_pb2.EndpointState, str]] = ...) -> None: ...
