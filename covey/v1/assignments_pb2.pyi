from covey.v1 import objects_pb2 as _objects_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AssignmentSet(_message.Message):
    __slots__ = ("tasks", "revisions", "networks", "endpoints", "nodes")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Task]
    revisions: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Revision]
    networks: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Network]
    endpoints: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Endpoint]
    nodes: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Node]
    def __init__(self, tasks: _Optional[_Iterable[_Union[_objects_pb2.Task, _Mapping]]] = ..., revisions: _Optional[_Iterable[_Union[_objects_pb2.Revision, _Mapping]]] = ..., networks: _Optional[_Iterable[_Union[_objects_pb2.Network, _Mapping]]] = ..., endpoints: _Optional[_Iterable[_Union[_objects_pb2.Endpoint, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[_objects_pb2.Node, _Mapping]]] = ...) -> None: ...

class Assignments(_message.Message):
    __slots__ = ("full", "applies_to", "version", "changed", "removed_tasks", "removed_revisions", "removed_networks", "removed_endpoints", "removed_nodes")
    FULL_FIELD_NUMBER: _ClassVar[int]
    APPLIES_TO_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_TASKS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_REVISIONS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_NETWORKS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_NODES_FIELD_NUMBER: _ClassVar[int]
    full: bool
    applies_to: _objects_pb2.ClusterVersion
    version: _objects_pb2.ClusterVersion
    changed: AssignmentSet
    removed_tasks: _containers.RepeatedScalarFieldContainer[str]
    removed_revisions: _containers.RepeatedScalarFieldContainer[str]
    removed_networks: _containers.RepeatedScalarFieldContainer[str]
    removed_endpoints: _containers.RepeatedScalarFieldContainer[str]
    removed_nodes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, full: _Optional[bool] = ..., applies_to: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., version: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., changed: _Optional[_Union[AssignmentSet, _Mapping]] = ..., removed_tasks: _Optional[_Iterable[str]] = ..., removed_revisions: _Optional[_Iterable[str]] = ..., removed_networks: _Optional[_Iterable[str]] = ..., removed_endpoints: _Optional[_Iterable[str]] = ..., removed_nodes: _Optional[_Iterable[str]] = ...) -> None: ...

class TaskReport(_message.Message):
    __slots__ = ("task_id", "status")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    status: _objects_pb2.TaskStatus
    def __init__(self, task_id: _Optional[str] = ..., status: _Optional[_Union[_objects_pb2.TaskStatus, _Mapping]] = ...) -> None: ...
