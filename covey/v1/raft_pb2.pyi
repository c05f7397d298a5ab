from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RaftFrame(_message.Message):
    __slots__ = ("hello", "messages")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    messages: bytes
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., messages: _Optional[bytes] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("cluster_id", "sender", "receiver", "address", "format", "life", "removed")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    sender: int
    receiver: int
    address: str
    format: int
    life: int
    removed: bool
    def __init__(self, cluster_id: _Optional[str] = ..., sender: _Optional[int] = ..., receiver: _Optional[int] = ..., address: _Optional[str] = ..., format: _Optional[int] = ..., life: _Optional[int] = ..., removed: _Optional[bool] = ...) -> None: ...

class SnapshotPiece(_message.Message):
    __slots__ = ("cluster_id", "sender", "receiver", "term", "mark", "data", "last", "format")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    sender: int
    receiver: int
    term: int
    mark: bytes
    data: bytes
    last: bool
    format: int
    def __init__(self, cluster_id: _Optional[str] = ..., sender: _Optional[int] = ..., receiver: _Optional[int] = ..., term: _Optional[int] = ..., mark: _Optional[bytes] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ..., format: _Optional[int] = ...) -> None: ...

class SendSnapshotResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class JoinRaftRequest(_message.Message):
    __slots__ = ("cluster_id", "raft_id", "address")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    RAFT_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    raft_id: int
    address: str
    def __init__(self, cluster_id: _Optional[str] = ..., raft_id: _Optional[int] = ..., address: _Optional[str] = ...) -> None: ...

class JoinRaftResponse(_message.Message):
    __slots__ = ("membership",)
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    membership: bytes
    def __init__(self, membership: _Optional[bytes] = ...) -> None: ...
