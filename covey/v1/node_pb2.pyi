from covey.v1 import dispatcher_pb2 as _dispatcher_pb2
from covey.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ForceNewClusterRequest(_message.Message):
    __slots__ = ("advertise_address",)
    ADVERTISE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    advertise_address: str
    def __init__(self, advertise_address: _Optional[str] = ...) -> None: ...

class ForceNewClusterResponse(_message.Message):
    __slots__ = ("cluster_id", "node_id")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    node_id: str
    def __init__(self, cluster_id: _Optional[str] = ..., node_id: _Optional[str] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("path", "advertise_address", "data_address")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ADVERTISE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DATA_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    path: str
    advertise_address: str
    data_address: str
    def __init__(self, path: _Optional[str] = ..., advertise_address: _Optional[str] = ..., data_address: _Optional[str] = ...) -> None: ...

class RestoreResponse(_message.Message):
    __slots__ = ("cluster_id", "node_id")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    node_id: str
    def __init__(self, cluster_id: _Optional[str] = ..., node_id: _Optional[str] = ...) -> None: ...

class SetAddressRequest(_message.Message):
    __slots__ = ("advertise_address", "data_address")
    ADVERTISE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DATA_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    advertise_address: str
    data_address: str
    def __init__(self, advertise_address: _Optional[str] = ..., data_address: _Optional[str] = ...) -> None: ...

class SetAddressResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FollowMembershipRequest(_message.Message):
    __slots__ = ("role", "managers")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    role: _types_pb2.NodeRole
    managers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, role: _Optional[_Union[_types_pb2.NodeRole, str]] = ..., managers: _Optional[_Iterable[str]] = ...) -> None: ...

class FollowMembershipResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InitRequest(_message.Message):
    __slots__ = ("advertise_address", "data_address", "address_pools", "subnet_prefix_length", "vxlan_port", "availability", "store")
    ADVERTISE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DATA_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_POOLS_FIELD_NUMBER: _ClassVar[int]
    SUBNET_PREFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    VXLAN_PORT_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    advertise_address: str
    data_address: str
    address_pools: _containers.RepeatedScalarFieldContainer[str]
    subnet_prefix_length: int
    vxlan_port: int
    availability: _types_pb2.Availability
    store: StoreOptions
    def __init__(self, advertise_address: _Optional[str] = ..., data_address: _Optional[str] = ..., address_pools: _Optional[_Iterable[str]] = ..., subnet_prefix_length: _Optional[int] = ..., vxlan_port: _Optional[int] = ..., availability: _Optional[_Union[_types_pb2.Availability, str]] = ..., store: _Optional[_Union[StoreOptions, _Mapping]] = ...) -> None: ...

class StoreOptions(_message.Message):
    __slots__ = ("url", "ca_file", "certificate_file", "key_file", "username", "password_file", "prefix")
    URL_FIELD_NUMBER: _ClassVar[int]
    CA_FILE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FILE_FIELD_NUMBER: _ClassVar[int]
    KEY_FILE_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FILE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    url: str
    ca_file: str
    certificate_file: str
    key_file: str
    username: str
    password_file: str
    prefix: str
    def __init__(self, url: _Optional[str] = ..., ca_file: _Optional[str] = ..., certificate_file: _Optional[str] = ..., key_file: _Optional[str] = ..., username: _Optional[str] = ..., password_file: _Optional[str] = ..., prefix: _Optional[str] = ...) -> None: ...

class InitResponse(_message.Message):
    __slots__ = ("cluster_id", "node_id", "worker_token")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    node_id: str
    worker_token: str
    def __init__(self, cluster_id: _Optional[str] = ..., node_id: _Optional[str] = ..., worker_token: _Optional[str] = ...) -> None: ...

class JoinRequest(_message.Message):
    __slots__ = ("token", "address", "advertise_address", "data_address", "availability")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ADVERTISE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DATA_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    token: str
    address: str
    advertise_address: str
    data_address: str
    availability: _types_pb2.Availability
    def __init__(self, token: _Optional[str] = ..., address: _Optional[str] = ..., advertise_address: _Optional[str] = ..., data_address: _Optional[str] = ..., availability: _Optional[_Union[_types_pb2.Availability, str]] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ("cluster_id", "node_id", "role")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    node_id: str
    role: _types_pb2.NodeRole
    def __init__(self, cluster_id: _Optional[str] = ..., node_id: _Optional[str] = ..., role: _Optional[_Union[_types_pb2.NodeRole, str]] = ...) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ("force",)
    FORCE_FIELD_NUMBER: _ClassVar[int]
    force: bool
    def __init__(self, force: _Optional[bool] = ...) -> None: ...

class LeaveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InfoResponse(_message.Message):
    __slots__ = ("version", "node_id", "cluster_id", "node_name", "role", "managers", "advertise_address", "processes", "under_way")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    ADVERTISE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    UNDER_WAY_FIELD_NUMBER: _ClassVar[int]
    version: str
    node_id: str
    cluster_id: str
    node_name: str
    role: _types_pb2.NodeRole
    managers: _containers.RepeatedScalarFieldContainer[str]
    advertise_address: str
    processes: _containers.RepeatedCompositeFieldContainer[ProcessInfo]
    under_way: str
    def __init__(self, version: _Optional[str] = ..., node_id: _Optional[str] = ..., cluster_id: _Optional[str] = ..., node_name: _Optional[str] = ..., role: _Optional[_Union[_types_pb2.NodeRole, str]] = ..., managers: _Optional[_Iterable[str]] = ..., advertise_address: _Optional[str] = ..., processes: _Optional[_Iterable[_Union[ProcessInfo, _Mapping]]] = ..., under_way: _Optional[str] = ...) -> None: ...

class ProcessInfo(_message.Message):
    __slots__ = ("name", "running", "pid", "restarts", "last_error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    running: bool
    pid: int
    restarts: int
    last_error: str
    def __init__(self, name: _Optional[str] = ..., running: _Optional[bool] = ..., pid: _Optional[int] = ..., restarts: _Optional[int] = ..., last_error: _Optional[str] = ...) -> None: ...
