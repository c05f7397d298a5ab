from covey.v1 import objects_pb2 as _objects_pb2
from covey.v1 import specs_pb2 as _specs_pb2
from covey.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EndpointRow(_message.Message):
    __slots__ = ("endpoint_id", "number", "addresses", "node_id", "vtep", "state", "task_id", "task_name", "hostname", "service_id", "keeps_client_address")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    KEEPS_CLIENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    number: int
    addresses: _containers.RepeatedScalarFieldContainer[str]
    node_id: str
    vtep: str
    state: _types_pb2.EndpointState
    task_id: str
    task_name: str
    hostname: str
    service_id: str
    keeps_client_address: bool
    def __init__(self, endpoint_id: _Optional[str] = ..., number: _Optional[int] = ..., addresses: _Optional[_Iterable[str]] = ..., node_id: _Optional[str] = ..., vtep: _Optional[str] = ..., state: _Optional[_Union[_types_pb2.EndpointState, str]] = ..., task_id: _Optional[str] = ..., task_name: _Optional[str] = ..., hostname: _Optional[str] = ..., service_id: _Optional[str] = ..., keeps_client_address: _Optional[bool] = ...) -> None: ...

class ServiceRow(_message.Message):
    __slots__ = ("service_id", "name", "aliases", "mode", "virtual_ips", "ports", "affinity")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_IPS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    mode: _types_pb2.EndpointMode
    virtual_ips: _containers.RepeatedScalarFieldContainer[str]
    ports: _containers.RepeatedCompositeFieldContainer[_specs_pb2.PortConfig]
    affinity: _types_pb2.Affinity
    def __init__(self, service_id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[_types_pb2.EndpointMode, str]] = ..., virtual_ips: _Optional[_Iterable[str]] = ..., ports: _Optional[_Iterable[_Union[_specs_pb2.PortConfig, _Mapping]]] = ..., affinity: _Optional[_Union[_types_pb2.Affinity, str]] = ...) -> None: ...

class PeerRow(_message.Message):
    __slots__ = ("node_id", "data_address", "tunnel_address", "keys", "generation")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TUNNEL_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    data_address: str
    tunnel_address: str
    keys: _containers.RepeatedCompositeFieldContainer[_objects_pb2.TunnelKey]
    generation: int
    def __init__(self, node_id: _Optional[str] = ..., data_address: _Optional[str] = ..., tunnel_address: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[_objects_pb2.TunnelKey, _Mapping]]] = ..., generation: _Optional[int] = ...) -> None: ...

class NetworkTable(_message.Message):
    __slots__ = ("network_id", "version", "endpoints", "services", "peers")
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    version: _objects_pb2.ClusterVersion
    endpoints: _containers.RepeatedCompositeFieldContainer[EndpointRow]
    services: _containers.RepeatedCompositeFieldContainer[ServiceRow]
    peers: _containers.RepeatedCompositeFieldContainer[PeerRow]
    def __init__(self, network_id: _Optional[str] = ..., version: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., endpoints: _Optional[_Iterable[_Union[EndpointRow, _Mapping]]] = ..., services: _Optional[_Iterable[_Union[ServiceRow, _Mapping]]] = ..., peers: _Optional[_Iterable[_Union[PeerRow, _Mapping]]] = ...) -> None: ...

class NetworkTableDelta(_message.Message):
    __slots__ = ("network_id", "applies_to", "version", "endpoints", "endpoints_removed", "services", "services_removed", "peers", "peers_removed")
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    APPLIES_TO_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    SERVICES_REMOVED_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    PEERS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    applies_to: _objects_pb2.ClusterVersion
    version: _objects_pb2.ClusterVersion
    endpoints: _containers.RepeatedCompositeFieldContainer[EndpointRow]
    endpoints_removed: _containers.RepeatedScalarFieldContainer[str]
    services: _containers.RepeatedCompositeFieldContainer[ServiceRow]
    services_removed: _containers.RepeatedScalarFieldContainer[str]
    peers: _containers.RepeatedCompositeFieldContainer[PeerRow]
    peers_removed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, network_id: _Optional[str] = ..., applies_to: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., version: _Optional[_Union[_objects_pb2.ClusterVersion, _Mapping]] = ..., endpoints: _Optional[_Iterable[_Union[EndpointRow, _Mapping]]] = ..., endpoints_removed: _Optional[_Iterable[str]] = ..., services: _Optional[_Iterable[_Union[ServiceRow, _Mapping]]] = ..., services_removed: _Optional[_Iterable[str]] = ..., peers: _Optional[_Iterable[_Union[PeerRow, _Mapping]]] = ..., peers_removed: _Optional[_Iterable[str]] = ...) -> None: ...
