from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class GetStoreAccessRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStoreAccessResponse(_message.Message):
    __slots__ = ("access",)
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    access: bytes
    def __init__(self, access: _Optional[bytes] = ...) -> None: ...

class RenewCertificateRequest(_message.Message):
    __slots__ = ("signing_request_pem",)
    SIGNING_REQUEST_PEM_FIELD_NUMBER: _ClassVar[int]
    signing_request_pem: str
    def __init__(self, signing_request_pem: _Optional[str] = ...) -> None: ...

class RenewCertificateResponse(_message.Message):
    __slots__ = ("certificate_pem", "root_certificate_pem")
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    ROOT_CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    certificate_pem: str
    root_certificate_pem: str
    def __init__(self, certificate_pem: _Optional[str] = ..., root_certificate_pem: _Optional[str] = ...) -> None: ...
