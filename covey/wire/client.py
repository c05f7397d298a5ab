"""Calling methods: one `Channel` per address, answers or our own errors."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from covey import limits
from covey.errors import CoveyError, Interrupted
from covey.identity import NodeIdentity

from . import tls
from .metadata import Metadata
from .service import Bidirectional, ClientStream, Method, ServerStream, Unary
from .status import RAISED_KEY, from_status

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Channel:
    """A way to call one server. Connects when first used, and again after a loss, by itself.

    Every call raises the errors of `covey.errors` as the server's handler raised them; `Unavailable`, naming
    the address, when there is no server, no answer in time, or no trust between the two.
    """

    def __init__(self, address: str, channel: Any, metadata: Metadata | None = None) -> None:
        self.address = address
        self._channel = channel
        self._metadata = metadata

    def beside(self, metadata: Metadata) -> "Channel":
        """Give the same way to call, with `metadata` beside each call; it must not be closed by itself."""
        return Channel(self.address, self._channel, metadata)

    async def call(
        self, method: Unary[Request, Response], request: Request, timeout_s: float = limits.rpc_timeout_s
    ) -> Response:
        """Send one request, give the one response."""
        stub = self._channel.unary_unary(*_shape(method))
        response: Response = await self._one(stub(request, timeout=timeout_s, metadata=self._sent), None)
        return response

    def stream(
        self, method: ServerStream[Request, Response], request: Request, timeout_s: float | None = None
    ) -> AsyncGenerator[Response, None]:
        """Send one request, give responses as they come. Leaving the loop ends the call (use `aclosing`)."""
        stub = self._channel.unary_stream(*_shape(method))
        return self._many(stub(request, timeout=timeout_s, metadata=self._sent), None)

    async def send(
        self,
        method: ClientStream[Request, Response],
        requests: AsyncIterable[Request],
        timeout_s: float | None = None,
    ) -> Response:
        """Send a stream of requests, give the one response."""
        source = _Source(requests)
        stub = self._channel.stream_unary(*_shape(method))
        response: Response = await self._one(
            stub(source.run(), timeout=timeout_s, metadata=self._sent), source
        )
        return response

    def talk(
        self,
        method: Bidirectional[Request, Response],
        requests: AsyncIterable[Request],
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Response, None]:
        """Send a stream, give a stream. An error raised by `requests` ends the call and is raised here."""
        source = _Source(requests)
        stub = self._channel.stream_stream(*_shape(method))
        return self._many(stub(source.run(), timeout=timeout_s, metadata=self._sent), source)

    async def close(self) -> None:
        """End the connection and every call on it."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _sent(self) -> tuple[tuple[str, str], ...] | None:
        return self._metadata.sent if self._metadata is not None else None

    async def _received(self, call: Any) -> None:
        if self._metadata is not None:
            trailing = await call.trailing_metadata()
            self._metadata.received = {key: value for key, value in trailing or () if isinstance(value, str)}

    async def _one(self, call: Any, source: "_Source | None") -> Any:
        try:
            response = await call
            await self._received(call)
            return response
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error
        except asyncio.CancelledError as error:
            raise self._why_cancelled(source) from error
        finally:
            _end(call, source)

    async def _many(self, call: Any, source: "_Source | None") -> AsyncGenerator[Any, None]:
        try:
            async for response in call:
                yield response
            await self._received(call)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error
        except asyncio.CancelledError as error:
            raise self._why_cancelled(source) from error
        finally:
            _end(call, source)

    def _error(self, error: Any) -> CoveyError:
        raised = next((value for key, value in error.trailing_metadata() or () if key == RAISED_KEY), "")
        return from_status(error.code(), error.details() or "", self.address, raised=raised)

    def _why_cancelled(self, source: "_Source | None") -> BaseException:
        """Tell our own cancellation from grpc's, which comes as the same exception."""
        if source is not None and source.failure is not None:
            return source.failure
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return asyncio.CancelledError()
        return Interrupted(f"{self.address}: the call was cancelled")


class _Source:
    """A stream of requests that remembers why it failed: grpc only cancels the call.

    And grpc reads it in a task of its own, which it leaves waiting for the next request if the call ends by
    the other side's doing; `end` ends that too.
    """

    def __init__(self, requests: AsyncIterable[Any]) -> None:
        self._requests = requests
        self._reader: asyncio.Task[Any] | None = None
        self.failure: Exception | None = None

    def end(self) -> None:
        """No more is wanted."""
        if self._reader is not None:
            self._reader.cancel()

    async def run(self) -> AsyncIterator[Any]:
        self._reader = asyncio.current_task()
        try:
            async for request in self._requests:
                yield request
        except Exception as error:
            self.failure = error
            raise


def _end(call: Any, source: _Source | None) -> None:
    call.cancel()
    if source is not None:
        source.end()


def _shape(method: Method[Any, Any]) -> tuple[str, Any, Any]:
    return method.path, method.request.SerializeToString, method.response.FromString


def connect_unix(path: Path) -> Channel:
    """Make a channel to a process on this host, by its socket."""
    channel = grpc.aio.insecure_channel(f"unix:{path}", options=tls.channel_options(verified=False))
    return Channel(str(path), channel)


def connect_control(address: str, identity: NodeIdentity) -> Channel:
    """Make a channel to a manager's control port, with this node's certificate."""
    options = tls.channel_options(verified=True)
    return Channel(address, grpc.aio.secure_channel(address, tls.control_channel(identity), options=options))


def connect_bootstrap(address: str, trusted_pem: bytes) -> Channel:
    """Make a channel to a manager's bootstrap port, without a certificate. See `tls.bootstrap_channel`."""
    options = tls.channel_options(verified=True)
    return Channel(
        address, grpc.aio.secure_channel(address, tls.bootstrap_channel(trusted_pem), options=options)
    )
