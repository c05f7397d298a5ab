"""RPCs as data: what a method is called, what it takes and gives, and who may call it."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar, overload

from google.protobuf.message import Message

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Role(Enum):
    """What a caller has proved to be."""

    ANYONE = "anyone"  # nothing proved: the bootstrap port
    WORKER = "worker"  # a worker's certificate
    MANAGER = "manager"  # a manager's certificate
    LOCAL = "local"  # root on this host, by a unix socket


class Where(Enum):
    """Which managers answer a method."""

    LEADER = "leader"  # any manager takes it, and passes it on to the one that leads
    READ = (
        "read"  # any manager, once it has everything acknowledged before; at once if asked for what is stale
    )
    ANYWHERE = "anywhere"  # any process, of what it knows itself


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, and how. `node_id` and `cluster_id` come from the certificate and are empty without one.

    `host` is the address the call comes from, without its port; empty for a unix socket. `via` is the node
    whose manager passed the call on; then everything else is of the caller it had. `stale`: what is read may
    be out of date. `user` is who is at the keyboard, as the client says: to be shown, never to be trusted. What
    a handler puts into `beside` goes back as trailing metadata.
    """

    role: Role
    node_id: str = ""
    cluster_id: str = ""
    host: str = ""
    via: str = ""
    stale: bool = False
    user: str = ""
    beside: dict[str, str] = field(default_factory=dict[str, str], compare=False, repr=False)

    def __str__(self) -> str:
        """Name the caller in a log line or a refusal."""
        name = (
            f"{self.role.value} {self.node_id}".rstrip()
            if self.role is not Role.LOCAL
            else "root on this host"
        )
        name = f"{name} at {self.host}" if self.host else name
        return f"{name} ({self.user})" if self.user else name


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Response]):
    """One RPC of a service, with the roles that may call it, and which managers answer."""

    service: str
    name: str
    request: type[Request]
    response: type[Response]
    roles: frozenset[Role]
    served: Where = Where.LEADER

    @property
    def path(self) -> str:
        """The method's name on the wire."""
        return f"/{self.service}/{self.name}"


class Unary(Method[Request, Response]):
    """One request, one response."""

    __slots__ = ()


class ServerStream(Method[Request, Response]):
    """One request, a stream of responses."""

    __slots__ = ()


class ClientStream(Method[Request, Response]):
    """A stream of requests, one response."""

    __slots__ = ()


class Bidirectional(Method[Request, Response]):
    """A stream each way."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """A method and the handler that serves it; made by `bind`, which checks that their types fit."""

    method: Method[Any, Any]
    handler: Callable[[Any, Caller], Any]


@overload
def bind(
    method: Unary[Request, Response], handler: Callable[[Request, Caller], Awaitable[Response]]
) -> Binding: ...
@overload
def bind(
    method: ServerStream[Request, Response], handler: Callable[[Request, Caller], AsyncIterator[Response]]
) -> Binding: ...
@overload
def bind(
    method: ClientStream[Request, Response],
    handler: Callable[[AsyncIterable[Request], Caller], Awaitable[Response]],
) -> Binding: ...
@overload
def bind(
    method: Bidirectional[Request, Response],
    handler: Callable[[AsyncIterable[Request], Caller], AsyncIterator[Response]],
) -> Binding: ...
def bind(method: Method[Any, Any], handler: Callable[[Any, Caller], Any]) -> Binding:
    """Bind a handler to a method.

    Handlers that answer with a stream are asynchronous generators. Any of them may raise the errors of
    `covey.errors`; the caller gets the same error. Anything else is logged, and the caller is told no more
    than `internal error`.
    """
    return Binding(method, handler)
