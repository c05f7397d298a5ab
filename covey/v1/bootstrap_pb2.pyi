from covey.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRootCertificateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRootCertificateResponse(_message.Message):
    __slots__ = ("certificate_pem",)
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    certificate_pem: str
    def __init__(self, certificate_pem: _Optional[str] = ...) -> None: ...

class IssueNodeCertificateRequest(_message.Message):
    __slots__ = ("signing_request_pem", "token", "hostname", "availability")
    SIGNING_REQUEST_PEM_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    signing_request_pem: str
    token: str
    hostname: str
    availability: _types_pb2.Availability
    def __init__(self, signing_request_pem: _Optional[str] = ..., token: _Optional[str] = ..., hostname: _Optional[str] = ..., availability: _Optional[_Union[_types_pb2.Availability, str]] = ...) -> None: ...

class IssueNodeCertificateResponse(_message.Message):
    __slots__ = ("certificate_pem", "node_id", "cluster_id", "role", "managers", "vxlan_port")
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    VXLAN_PORT_FIELD_NUMBER: _ClassVar[int]
    certificate_pem: str
    node_id: str
    cluster_id: str
    role: _types_pb2.NodeRole
    managers: _containers.RepeatedScalarFieldContainer[str]
    vxlan_port: int
    def __init__(self, certificate_pem: _Optional[str] = ..., node_id: _Optional[str] = ..., cluster_id: _Optional[str] = ..., role: _Optional[_Union[_types_pb2.NodeRole, str]] = ..., managers: _Optional[_Iterable[str]] = ..., vxlan_port: _Optional[int] = ...) -> None: ...
