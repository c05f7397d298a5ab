"""Serving methods: who calls is found out and judged here, once, before any handler runs."""

import logging
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from covey import limits
from covey.errors import Bug, FailedPrecondition, InvalidArgument, Refused

from . import services, tls
from .callers import RoleOf, by_certificate, host_of, metadata_of
from .gate import authorize
from .metadata import READ, STALE, user_of
from .service import Bidirectional, Binding, Caller, ClientStream, Method, Role, ServerStream, Unary
from .status import raised_by, to_status

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Server:
    """A port or socket being served. `address` is where, with the port that was really taken."""

    address: str
    _server: Any
    _socket: Path | None = None

    async def stop(self, grace_s: float | None = None) -> None:
        """Take no new calls, give the running ones `grace_s` seconds, then cancel them."""
        await self._server.stop(grace_s)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)


async def serve_unix(path: Path, bindings: Sequence[Binding]) -> Server:
    """Serve on a unix socket that only root (this process's user) can reach; callers are LOCAL.

    A socket left behind by a process that died is replaced: who may own the path is the caller's to settle
    (coveyd holds a lock on its run directory).
    """
    if len(os.fsencode(path)) > limits.unix_path_bytes_max:
        raise InvalidArgument(
            f"{path}: longer than the {limits.unix_path_bytes_max} bytes the kernel allows a socket's path; "
            "choose a shorter run directory"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    server = _server(bindings, _root)
    before = os.umask(0o177)
    try:
        _listen(str(path), lambda: server.add_insecure_port(f"unix:{path}"))
    finally:
        os.umask(before)
    await server.start()
    return Server(str(path), server, path)


async def serve_control(
    address: str, bindings: Sequence[Binding], identity: tls.LoadIdentity, role_of: RoleOf
) -> Server:
    """Serve on a TCP port where every caller shows a certificate of this cluster.

    `role_of` is asked at every call: a removed node is refused, and a demoted one a worker, though its
    certificate is still valid. `address` is `host:port`; port 0 takes a free one.
    """
    server = _server(bindings, lambda context, method: by_certificate(context, method, role_of))
    credentials = tls.control_server(identity)
    port = _listen(address, lambda: server.add_secure_port(address, credentials))
    await server.start()
    return Server(f"{address.rpartition(':')[0]}:{port}", server)


async def serve_bootstrap(address: str, bindings: Sequence[Binding], identity: tls.LoadIdentity) -> Server:
    """Serve on a TCP port where only the server shows a certificate; callers are ANYONE."""
    options = tls.bootstrap_server_options()
    server = _server(bindings, lambda context, _: Caller(Role.ANYONE, host=host_of(context.peer())), options)
    credentials = tls.bootstrap_server(identity)
    port = _listen(address, lambda: server.add_secure_port(address, credentials))
    await server.start()
    return Server(f"{address.rpartition(':')[0]}:{port}", server)


def _root(context: Any, method: Method[Any, Any]) -> Caller:
    beside = metadata_of(context)
    return Caller(Role.LOCAL, stale=beside.get(READ) == STALE, user=user_of(beside))


def _listen(address: str, listen: Callable[[], int]) -> int:
    try:
        return listen()
    except RuntimeError as error:
        raise FailedPrecondition(
            f"{address}: cannot listen there; the port is taken, or the address is not this host's"
        ) from error


Identify = Callable[[Any, Method[Any, Any]], Caller]


# --- how calls reach handlers ----------------------------------------------------------------------


def _server(
    bindings: Sequence[Binding], identify: Identify, options: Sequence[tuple[str, int]] | None = None
) -> Any:
    _check_complete(bindings)
    server = grpc.aio.server(options=options or tls.server_options())
    for service in {binding.method.service for binding in bindings}:
        handlers = {b.method.name: _rpc(b, identify) for b in bindings if b.method.service == service}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    return server


def _check_complete(bindings: Sequence[Binding]) -> None:
    bound = [binding.method.path for binding in bindings]
    served = {binding.method.service for binding in bindings}
    wanted = {method.path for method in services.methods() if method.service in served}
    if missing := wanted - set(bound):
        raise Bug(f"no handler is bound to {', '.join(sorted(missing))}")
    if len(bound) != len(set(bound)):
        raise Bug(f"two handlers are bound to one of {', '.join(sorted(bound))}")


def _rpc(binding: Binding, identify: Identify) -> Any:
    method = binding.method
    wrap, make = {
        Unary: (_unary, grpc.unary_unary_rpc_method_handler),
        ServerStream: (_server_stream, grpc.unary_stream_rpc_method_handler),
        ClientStream: (_client_stream, grpc.stream_unary_rpc_method_handler),
        Bidirectional: (_bidirectional, grpc.stream_stream_rpc_method_handler),
    }[type(method)]
    return make(wrap(binding, identify), method.request.FromString, method.response.SerializeToString)


def _admit(method: Method[Any, Any], identify: Identify, context: Any, request: Any) -> Caller:
    """Find out who calls and whether they may; what is refused here no handler ever sees."""
    try:
        caller = identify(context, method)
        authorize(caller, method, request)
    except Refused as error:
        log.warning("a call from %s was refused: %s", host_of(context.peer()) or "this host", error)
        raise
    return caller


def _say_beside(context: Any, caller: Caller) -> None:
    if caller.beside:
        context.set_trailing_metadata(tuple(caller.beside.items()))


async def _fail(context: Any, error: Exception) -> None:
    code, message = to_status(error)
    await context.abort(code, message, raised_by(error))


def _unary(binding: Binding, identify: Identify) -> Any:
    async def run(request: Any, context: Any) -> Any:
        try:
            caller = _admit(binding.method, identify, context, request)
            response = await binding.handler(request, caller)
            _say_beside(context, caller)
            return response
        except Exception as error:  # noqa: BLE001  the one place where everything becomes a status
            await _fail(context, error)

    return run


def _server_stream(binding: Binding, identify: Identify) -> Any:
    async def run(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            caller = _admit(binding.method, identify, context, request)
            async with aclosing(binding.handler(request, caller)) as responses:
                async for response in responses:
                    yield response
            _say_beside(context, caller)
        except Exception as error:  # noqa: BLE001
            await _fail(context, error)

    return run


def _client_stream(binding: Binding, identify: Identify) -> Any:
    async def run(requests: AsyncIterable[Any], context: Any) -> Any:
        try:
            caller = _admit(binding.method, identify, context, None)
            response = await binding.handler(requests, caller)
            _say_beside(context, caller)
            return response
        except Exception as error:  # noqa: BLE001
            await _fail(context, error)

    return run


def _bidirectional(binding: Binding, identify: Identify) -> Any:
    async def run(requests: AsyncIterable[Any], context: Any) -> AsyncIterator[Any]:
        try:
            caller = _admit(binding.method, identify, context, None)
            async with aclosing(binding.handler(requests, caller)) as responses:
                async for response in responses:
                    yield response
            _say_beside(context, caller)
        except Exception as error:  # noqa: BLE001
            await _fail(context, error)

    return run
