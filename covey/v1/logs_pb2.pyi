from covey.v1 import dispatcher_pb2 as _dispatcher_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogStream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_STREAM_STDOUT: _ClassVar[LogStream]
    LOG_STREAM_STDERR: _ClassVar[LogStream]
LOG_STREAM_STDOUT: LogStream
LOG_STREAM_STDERR: LogStream

class ReadLogsRequest(_message.Message):
    __slots__ = ("service_id", "task_id", "options")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    task_id: str
    options: _dispatcher_pb2.LogOptions
    def __init__(self, service_id: _Optional[str] = ..., task_id: _Optional[str] = ..., options: _Optional[_Union[_dispatcher_pb2.LogOptions, _Mapping]] = ...) -> None: ...

class LogRecord(_message.Message):
    __slots__ = ("task_id", "node_id", "at_ns", "stream", "data")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    node_id: str
    at_ns: int
    stream: LogStream
    data: bytes
    def __init__(self, task_id: _Optional[str] = ..., node_id: _Optional[str] = ..., at_ns: _Optional[int] = ..., stream: _Optional[_Union[LogStream, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ReadLogsResponse(_message.Message):
    __slots__ = ("records", "warnings")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[LogRecord]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, records: _Optional[_Iterable[_Union[LogRecord, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class PublishLogsRequest(_message.Message):
    __slots__ = ("subscription_id", "records", "warnings", "finished")
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    subscription_id: str
    records: _containers.RepeatedCompositeFieldContainer[LogRecord]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    finished: bool
    def __init__(self, subscription_id: _Optional[str] = ..., records: _Optional[_Iterable[_Union[LogRecord, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., finished: _Optional[bool] = ...) -> None: ...

class PublishLogsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
