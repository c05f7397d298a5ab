from covey.v1 import objects_pb2 as _objects_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Finding(_message.Message):
    __slots__ = ("kind", "place", "words", "repaired")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    kind: str
    place: str
    words: str
    repaired: bool
    def __init__(self, kind: _Optional[str] = ..., place: _Optional[str] = ..., words: _Optional[str] = ..., repaired: _Optional[bool] = ...) -> None: ...

class AuditReport(_message.Message):
    __slots__ = ("at_ns", "compared", "findings", "counts", "omitted", "unused_images", "unused_image_bytes", "remarks", "task_ids", "omitted_tasks", "notes")
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    UNUSED_IMAGES_FIELD_NUMBER: _ClassVar[int]
    UNUSED_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    OMITTED_TASKS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    at_ns: int
    compared: int
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    counts: _containers.RepeatedCompositeFieldContainer[_objects_pb2.AuditCount]
    omitted: int
    unused_images: int
    unused_image_bytes: int
    remarks: _containers.RepeatedScalarFieldContainer[str]
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    omitted_tasks: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, at_ns: _Optional[int] = ..., compared: _Optional[int] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., counts: _Optional[_Iterable[_Union[_objects_pb2.AuditCount, _Mapping]]] = ..., omitted: _Optional[int] = ..., unused_images: _Optional[int] = ..., unused_image_bytes: _Optional[int] = ..., remarks: _Optional[_Iterable[str]] = ..., task_ids: _Optional[_Iterable[str]] = ..., omitted_tasks: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...
