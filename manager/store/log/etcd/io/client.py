"""Speaking to an etcd cluster: one member at a time, another one once that does not answer.

aetcd brings the messages and the stubs; its own client neither encrypts a connection nor changes members nor bounds a
watch, so the channels are ours. It is imported when it is needed: it is an extra.
"""

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message
from msgspec import Struct

from covey import limits
from covey.errors import (
    CoveyError,
    FailedPrecondition,
    Interrupted,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from covey.model.store_access import StoreAccess

log = logging.getLogger(__name__)

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # what lies there is ours, and bounded by what we put there
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", limits.keepalive_period_ms),
    ("grpc.keepalive_timeout_ms", limits.keepalive_timeout_ms),
    ("grpc.use_local_subchannel_pool", 1),  # one that hangs is not met again
    ("grpc.enable_http_proxy", 0),
]
_NEEDS_LEADER = ("hasleader", "true")  # a member cut off from its own majority ends a stream, then


class Compacted(Unavailable):
    """etcd has forgotten the history asked for; what is there now can be read."""


class TooLarge(ResourceExhausted):
    """etcd takes no request as large as this one."""


class Answer(Struct, frozen=True):
    """What a transaction came to, and at which revision. `found` has the key-values of each range, in order."""

    succeeded: bool
    revision: int
    found: list[Any]


def load_rpc() -> Any:
    """Give aetcd's messages and stubs; raises `FailedPrecondition` that says how to get them."""
    try:
        return importlib.import_module("aetcd.rpc")
    except ImportError as error:
        raise FailedPrecondition(
            f"keeping state in etcd needs the Python package aetcd, which is not installed ({error}); "
            "install covey with the extra `etcd`: pip install 'covey[etcd]'"
        ) from error


class _Connection:
    """A channel to one member, and the token it gave."""

    def __init__(self, rpc: Any, access: StoreAccess, endpoint: str) -> None:
        self.endpoint = endpoint
        self.channel = _channel(access, endpoint)
        self.token = ""
        self.stubs = {
            name: getattr(rpc, f"{name}Stub")(self.channel) for name in ("KV", "Lease", "Watch", "Auth")
        }

    def metadata(self, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        return (("token", self.token), *more) if self.token else more


def _channel(access: StoreAccess, endpoint: str) -> Any:
    if access.ca is None:
        return grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
    certificate = access.certificate.read() if access.certificate is not None else None
    key = access.key.read() if access.key is not None else None
    credentials = grpc.ssl_channel_credentials(access.ca.read(), key, certificate)
    return grpc.aio.secure_channel(endpoint, credentials, options=_OPTIONS)


class Etcd:
    """An etcd cluster."""

    def __init__(self, access: StoreAccess) -> None:
        self.rpc = load_rpc()
        self._access = access
        self._turn = 0
        self._connection: _Connection | None = None
        self._entering = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def endpoint(self) -> str:
        """The member asked now."""
        return self._access.endpoints[self._turn % len(self._access.endpoints)]

    # --- asking ---

    async def call(
        self, service: str, method: str, request: Any, timeout_s: float = limits.etcd_request_timeout_s
    ) -> Any:
        """Ask once. Raises `Interrupted` if no answer came, and it may have been carried out."""
        for again in (True, False):
            connection = await self._connected()
            stub = getattr(connection.stubs[service], method)
            try:
                return await stub(request, timeout=timeout_s, metadata=connection.metadata())
            except grpc.aio.AioRpcError as error:
                if again and _is_stale_token(error):
                    connection.token = ""
                    continue
                self._leave_if_silent(connection, error)
                raise _refusal(connection.endpoint, error) from error
            except grpc.aio.UsageError:
                raise Interrupted(_given_up(connection)) from None
            except asyncio.CancelledError:
                _raise_if_ours()
                raise Interrupted(_given_up(connection)) from None
        raise AssertionError("the second attempt returns or raises")

    async def txn(
        self, compares: Sequence[Any], then: Sequence[Any], otherwise: Sequence[Any] = ()
    ) -> Answer:
        """Run a transaction once."""
        request = self.rpc.TxnRequest(compare=compares, success=then, failure=otherwise)
        answer = await self.call("KV", "Txn", request)
        found = [each.response_range for each in answer.responses if each.HasField("response_range")]
        return Answer(answer.succeeded, answer.header.revision, [list(each.kvs) for each in found])

    async def range(self, request: Any) -> Any:
        """Read keys, linearizably; again at another member if the first does not answer."""
        for _ in self._access.endpoints:
            with contextlib.suppress(Interrupted):
                return await self.call("KV", "Range", request)
        return await self.call("KV", "Range", request)

    async def value(self, key: bytes) -> bytes | None:
        """Read one key, linearizably."""
        answer = await self.range(self.rpc.RangeRequest(key=key))
        return answer.kvs[0].value if answer.kvs else None

    async def stream(self, service: str, method: str) -> "Stream":
        """Open a stream; close it when done."""
        connection = await self._connected()
        stub = getattr(connection.stubs[service], method)
        try:
            return Stream(self, connection, stub(metadata=connection.metadata(_NEEDS_LEADER)))
        except grpc.aio.UsageError:
            raise Interrupted(_given_up(connection)) from None

    # --- parts of requests ---

    def was_made_at(self, key: bytes, revision: int) -> Any:
        """Compare: the key was made at a revision; 0: there is none."""
        compare = self.rpc.Compare
        return compare(result=compare.EQUAL, target=compare.CREATE, key=key, create_revision=revision)

    def holds(self, key: bytes, value: bytes | None) -> Any:
        """Compare: the key holds a value; None: there is none."""
        compare = self.rpc.Compare
        if value is None:
            return self.was_made_at(key, 0)
        return compare(result=compare.EQUAL, target=compare.VALUE, key=key, value=value)

    def put(self, key: bytes, value: bytes, lease: int = 0) -> Any:
        """Put a value."""
        return self.rpc.RequestOp(request_put=self.rpc.PutRequest(key=key, value=value, lease=lease))

    def get(self, key: bytes, end: bytes = b"", limit: int = 0) -> Any:
        """Get a key, or all from it up to `end`."""
        request = self.rpc.RangeRequest(key=key, range_end=end, limit=limit)
        return self.rpc.RequestOp(request_range=request)

    def delete(self, key: bytes, end: bytes = b"") -> Any:
        """Delete a key, or all from it up to `end`."""
        return self.rpc.RequestOp(request_delete_range=self.rpc.DeleteRangeRequest(key=key, range_end=end))

    # --- connections ---

    async def _connected(self) -> _Connection:
        connection = self._connection
        if connection is not None and (connection.token or not self._access.username):
            return connection
        async with self._entering:
            if self._connection is None:
                self._connection = _Connection(self.rpc, self._access, self.endpoint)
            if self._access.username and not self._connection.token:
                await self._enter(self._connection)
            return self._connection

    async def _enter(self, connection: _Connection) -> None:
        assert self._access.password is not None, "checked when it was written"
        password = self._access.password.read().decode(errors="replace").strip("\r\n")
        request = self.rpc.AuthenticateRequest(name=self._access.username, password=password)
        try:
            answer = await connection.stubs["Auth"].Authenticate(
                request, timeout=limits.etcd_request_timeout_s
            )
        except grpc.aio.AioRpcError as error:
            self._leave_if_silent(connection, error)
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise _refusal(connection.endpoint, error) from error
            raise FailedPrecondition(
                f"etcd at {connection.endpoint} does not let user {self._access.username} in ({error.details()}); check "
                "--store-user and the password file"
            ) from error
        connection.token = answer.token

    def _leave_if_silent(self, connection: _Connection, error: Any) -> None:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            self.leave(connection)

    def leave(self, connection: _Connection) -> None:
        """Turn to the next member: this one did not answer."""
        if self._connection is connection:
            self._connection = None
            self._turn += 1
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        closing = asyncio.create_task(connection.channel.close(limits.etcd_request_timeout_s))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Let go of all connections."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.channel.close()
        for closing in self._closing:
            closing.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)


class Stream:
    """A stream to a member, both ways."""

    def __init__(self, etcd: Etcd, connection: _Connection, call: Any) -> None:
        self._etcd = etcd
        self._connection = connection
        self._call = call

    async def ask(self, request: Any) -> None:
        """Send a request; raises `Interrupted`."""
        await self._bounded(self._call.write(request), limits.etcd_request_timeout_s)

    async def answer(self, timeout_s: float | None = None) -> Any:
        """Wait for what comes next; raises `Interrupted` once the stream has ended, or nothing came in time."""
        answer = await self._bounded(self._call.read(), timeout_s)
        if not isinstance(answer, Message):  # the end
            raise Interrupted(f"etcd at {self._connection.endpoint} ended a stream")
        return answer

    async def _bounded(self, waiting: Any, timeout_s: float | None) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting
        except TimeoutError:
            self._etcd.leave(self._connection)
            raise Interrupted(f"etcd at {self._connection.endpoint} does not answer") from None
        except grpc.aio.AioRpcError as error:
            self._connection.token = "" if _is_stale_token(error) else self._connection.token
            self._etcd._leave_if_silent(self._connection, error)
            raise _refusal(self._connection.endpoint, error) from error
        except (grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise Interrupted(f"etcd at {self._connection.endpoint} ended a stream ({error})") from error
        except asyncio.CancelledError:
            _raise_if_ours()
            raise Interrupted(_given_up(self._connection)) from None

    def cancel(self) -> None:
        """End it."""
        self._call.cancel()


def _given_up(connection: _Connection) -> str:
    return f"the connection to etcd at {connection.endpoint} was given up"


def _raise_if_ours() -> None:
    """A channel that is closed cancels whoever waits on it; that is no cancelling of the task that waits."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _is_stale_token(error: Any) -> bool:
    details = error.details() or ""
    return "invalid auth token" in details or "auth: revision in header is old" in details


def _refusal(endpoint: str, error: Any) -> CoveyError:
    """Put etcd's answer into words, with what to do."""
    code, details = error.code(), error.details() or error.code().name
    status = grpc.StatusCode
    said = f"etcd at {endpoint} says: {details}"
    if "database space exceeded" in details:
        return ResourceExhausted(
            f"{said}; have it compact and defragment, and disarm its alarm, or raise --quota-backend-bytes"
        )
    if "too large" in details or "larger than max" in details:
        return TooLarge(f"{said}; raise its --max-request-bytes to 1.5 MiB or more")
    if "too many operations" in details:
        return TooLarge(f"{said}; raise its --max-txn-ops to 128 or more")
    if "required revision has been compacted" in details:
        return Compacted(said)
    if code is status.PERMISSION_DENIED or "permission denied" in details or "user name is empty" in details:
        return FailedPrecondition(
            f"{said}; give the user that Covey uses read and write access to its prefix, see the guide"
        )
    if code in (status.UNAUTHENTICATED, status.FAILED_PRECONDITION):
        return FailedPrecondition(said)
    if code is status.INVALID_ARGUMENT:
        return InvalidArgument(said)
    if code in (status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED):
        return Interrupted(
            f"etcd at {endpoint} does not answer ({details}); is it running, and has it a majority?"
        )
    return Unavailable(said)


def first(found: Iterable[Any]) -> Any | None:
    """Give the one key-value there is."""
    return next(iter(found), None)
