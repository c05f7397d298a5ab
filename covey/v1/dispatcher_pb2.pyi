from covey.v1 import assignments_pb2 as _assignments_pb2
from covey.v1 import audit_pb2 as _audit_pb2
from covey.v1 import objects_pb2 as _objects_pb2
from covey.v1 import tables_pb2 as _tables_pb2
from covey.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignOffRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SignOffResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AgentMessage(_message.Message):
    __slots__ = ("register", "heartbeat", "status_report", "tables_applied", "description", "audit_answer")
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    STATUS_REPORT_FIELD_NUMBER: _ClassVar[int]
    TABLES_APPLIED_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ANSWER_FIELD_NUMBER: _ClassVar[int]
    register: Register
    heartbeat: Heartbeat
    status_report: StatusReport
    tables_applied: TablesApplied
    description: _objects_pb2.NodeDescription
    audit_answer: AuditAnswer
    def __init__(self, register: _Optional[_Union[Register, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., status_report: _Optional[_Union[StatusReport, _Mapping]] = ..., tables_applied: _Optional[_Union[TablesApplied, _Mapping]] = ..., description: _Optional[_Union[_objects_pb2.NodeDescription, _Mapping]] = ..., audit_answer: _Optional[_Union[AuditAnswer, _Mapping]] = ...) -> None: ...

class Register(_message.Message):
    __slots__ = ("description", "last_seen", "tables")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    description: _objects_pb2.NodeDescription
    last_seen: _objects_pb2.ClusterVersion
    tables: _containers.RepeatedCompositeFieldContainer[TableVersion]
    def __init__(self, description: _Optional[_Union[_objects_pb2.NodeDescription, _Mapping]] = ..., last_seen: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., tables: _Optional[_Iterable[_Union[TableVersion, _Mapping]]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReport(_message.Message):
    __slots__ = ("sequence", "reports")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reports: _containers.RepeatedCompositeFieldContainer[_assignments_pb2.TaskReport]
    def __init__(self, sequence: _Optional[int] = ..., reports: _Optional[_Iterable[_Union[_assignments_pb2.TaskReport, _Mapping]]] = ...) -> None: ...

class TablesApplied(_message.Message):
    __slots__ = ("tables",)
    TABLES_FIELD_NUMBER: _ClassVar[int]
    tables: _containers.RepeatedCompositeFieldContainer[TableVersion]
    def __init__(self, tables: _Optional[_Iterable[_Union[TableVersion, _Mapping]]] = ...) -> None: ...

class TableVersion(_message.Message):
    __slots__ = ("network_id", "version")
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    version: _objects_pb2.ClusterVersion
    def __init__(self, network_id: _Optional[str] = ..., version: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ...) -> None: ...

class ManagerMessage(_message.Message):
    __slots__ = ("session_started", "status_acknowledged", "assignments", "table", "table_delta", "log_subscription", "redirect", "alive", "membership", "withdrawn", "audit_question")
    SESSION_STARTED_FIELD_NUMBER: _ClassVar[int]
    STATUS_ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    TABLE_DELTA_FIELD_NUMBER: _ClassVar[int]
    LOG_SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    AUDIT_QUESTION_FIELD_NUMBER: _ClassVar[int]
    session_started: SessionStarted
    status_acknowledged: StatusAcknowledged
    assignments: _assignments_pb2.Assignments
    table: _tables_pb2.NetworkTable
    table_delta: _tables_pb2.NetworkTableDelta
    log_subscription: LogSubscription
    redirect: Redirect
    alive: Alive
    membership: Membership
    withdrawn: Withdrawn
    audit_question: AuditQuestion
    def __init__(self, session_started: _Optional[_Union[SessionStarted, _Mapping]] = ..., status_acknowledged: _Optional[_Union[StatusAcknowledged, _Mapping]] = ..., assignments: _Optional[_Union[_assignments_pb2.Assignments, _Mapping]] = ..., table: _Optional[_Union[_tables_pb2.NetworkTable, _Mapping]] = ..., table_delta: _Optional[_Union[_tables_pb2.NetworkTableDelta, _Mapping]] = ..., log_subscription: _Optional[_Union[LogSubscription, _Mapping]] = ..., redirect: _Optional[_Union[Redirect, _Mapping]] = ..., alive: _Optional[_Union[Alive, _Mapping]] = ..., membership: _Optional[_Union[Membership, _Mapping]] = ..., withdrawn: _Optional[_Union[Withdrawn, _Mapping]] = ..., audit_question: _Optional[_Union[AuditQuestion, _Mapping]] = ...) -> None: ...

class Redirect(_message.Message):
    __slots__ = ("leader", "managers")
    LEADER_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    leader: str
    managers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, leader: _Optional[str] = ..., managers: _Optional[_Iterable[str]] = ...) -> None: ...

class Alive(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Membership(_message.Message):
    __slots__ = ("role", "managers")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    role: _types_pb2.NodeRole
    managers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, role: _Optional[_Union[_types_pb2.NodeRole, str]] = ..., managers: _Optional[_Iterable[str]] = ...) -> None: ...

class Withdrawn(_message.Message):
    __slots__ = ("task_ids",)
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class SessionStarted(_message.Message):
    __slots__ = ("session_id", "heartbeat_period_ms", "version", "managers", "vxlan_port")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_PERIOD_MS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    VXLAN_PORT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    heartbeat_period_ms: int
    version: _objects_pb2.ClusterVersion
    managers: _containers.RepeatedScalarFieldContainer[str]
    vxlan_port: int
    def __init__(self, session_id: _Optional[str] = ..., heartbeat_period_ms: _Optional[int] = ..., version: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., managers: _Optional[_Iterable[str]] = ..., vxlan_port: _Optional[int] = ...) -> None: ...

class StatusAcknowledged(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class LogSubscription(_message.Message):
    __slots__ = ("subscription_id", "task_ids", "options", "cancel")
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    subscription_id: str
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    options: LogOptions
    cancel: bool
    def __init__(self, subscription_id: _Optional[str] = ..., task_ids: _Optional[_Iterable[str]] = ..., options: _Optional[_Union[LogOptions, _Mapping]] = ..., cancel: _Optional[bool] = ...) -> None: ...

class LogOptions(_message.Message):
    __slots__ = ("follow", "tail", "since_ns", "no_stdout", "no_stderr")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    NO_STDOUT_FIELD_NUMBER: _ClassVar[int]
    NO_STDERR_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    tail: int
    since_ns: int
    no_stdout: bool
    no_stderr: bool
    def __init__(self, follow: _Optional[bool] = ..., tail: _Optional[int] = ..., since_ns: _Optional[int] = ..., no_stdout: _Optional[bool] = ..., no_stderr: _Optional[bool] = ...) -> None: ...

class AuditQuestion(_message.Message):
    __slots__ = ("audit_id", "repair")
    AUDIT_ID_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    audit_id: str
    repair: bool
    def __init__(self, audit_id: _Optional[str] = ..., repair: _Optional[bool] = ...) -> None: ...

class AuditAnswer(_message.Message):
    __slots__ = ("audit_id", "report", "refusal")
    AUDIT_ID_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    audit_id: str
    report: _audit_pb2.AuditReport
    refusal: str
    def __init__(self, audit_id: _Optional[str] = ..., report: _Optional[_Union[_audit_pb2.AuditReport, _Mapping]] = ..., refusal: _Optional[str] = ...) -> None: ...
