"""Real sockets, real handshakes: who gets through to a handler, and as whom."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from covey.errors import (
    CoveyError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from covey.identity import NodeIdentity
from covey.model.states import NodeRole
from covey.v1 import ca_pb2, dispatcher_pb2, logs_pb2
from covey.wire.callers import RoleOf
from covey.wire.client import Channel, connect_bootstrap, connect_control, connect_unix
from covey.wire.server import Server, serve_control, serve_unix
from covey.wire.service import Binding, Caller, Role, bind
from covey.wire.services import Dispatcher, LogBroker, Logs, NodeCa
from tests.support.pki import Authority

TIMEOUT_S = 30.0
HERE = Authority()
ELSEWHERE = Authority("e" * 25)
MANAGER = HERE.node(NodeRole.MANAGER)


@dataclass
class Handlers:
    """One method of each kind, and a note of who called."""

    callers: list[Caller] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    def bindings(self) -> list[Binding]:
        return [
            bind(NodeCa.renew_certificate, self.unary),
            bind(Logs.read_logs, self.server_stream),
            bind(LogBroker.publish_logs, self.client_stream),
            bind(Dispatcher.session, self.bidirectional),
            bind(Dispatcher.sign_off, self.sign_off),
        ]

    async def unary(
        self, request: ca_pb2.RenewCertificateRequest, caller: Caller
    ) -> ca_pb2.RenewCertificateResponse:
        self.callers.append(caller)
        if self.failure is not None:
            raise self.failure
        return ca_pb2.RenewCertificateResponse(certificate_pem=request.signing_request_pem)

    async def sign_off(
        self, request: dispatcher_pb2.SignOffRequest, caller: Caller
    ) -> dispatcher_pb2.SignOffResponse:
        raise AssertionError("nobody here leaves")

    async def server_stream(
        self, request: logs_pb2.ReadLogsRequest, caller: Caller
    ) -> AsyncIterator[logs_pb2.ReadLogsResponse]:
        self.callers.append(caller)
        try:
            for number in range(3):
                yield logs_pb2.ReadLogsResponse(warnings=[str(number)])
            if request.service_id:
                raise NotFound(f"service {request.service_id} is gone")
            if request.task_id:
                await asyncio.sleep(3600)
        finally:
            self.ended.set()

    async def client_stream(
        self, requests: AsyncIterable[logs_pb2.PublishLogsRequest], caller: Caller
    ) -> logs_pb2.PublishLogsResponse:
        self.callers.append(caller)
        if [request.subscription_id async for request in requests] != ["a", "b"]:
            raise InvalidArgument("not a and b")
        return logs_pb2.PublishLogsResponse()

    async def bidirectional(
        self, requests: AsyncIterable[dispatcher_pb2.AgentMessage], caller: Caller
    ) -> AsyncIterator[dispatcher_pb2.ManagerMessage]:
        self.callers.append(caller)
        try:
            async for _ in requests:
                yield dispatcher_pb2.ManagerMessage()
        finally:
            self.ended.set()


@asynccontextmanager
async def served(
    handlers: Handlers,
    identity: Callable[[], NodeIdentity] = lambda: MANAGER,
    role_of: RoleOf = lambda _id, _method: NodeRole.MANAGER,
) -> AsyncGenerator[Server, None]:
    server = await serve_control("127.0.0.1:0", handlers.bindings(), identity, role_of)
    try:
        yield server
    finally:
        await server.stop(0)


async def renew(channel: Channel) -> None:
    request = ca_pb2.RenewCertificateRequest(signing_request_pem="x")
    answer = await channel.call(NodeCa.renew_certificate, request, TIMEOUT_S)
    assert answer.certificate_pem == "x"


async def collect(stream: AsyncIterator[Any], into: list[Any] | None = None) -> None:
    async for answer in stream:
        if into is not None:
            into.append(answer)


async def outcome(channel: Channel) -> CoveyError | None:
    try:
        async with channel:
            await renew(channel)
    except CoveyError as error:
        return error
    return None


def test_a_node_is_known_by_its_certificate() -> None:
    async def main() -> None:
        handlers = Handlers()
        async with served(handlers) as server:
            for role, expected in ((NodeRole.WORKER, Role.WORKER), (NodeRole.MANAGER, Role.MANAGER)):
                node = HERE.node(role)
                assert await outcome(connect_control(server.address, node)) is None
                node_id, cluster_id = node.identity.node_id, HERE.cluster_id
                assert handlers.callers.pop() == Caller(expected, node_id, cluster_id, "127.0.0.1")

    asyncio.run(main())


def test_who_proves_nothing_is_refused_and_it_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    impostors = {
        "no certificate": lambda at: connect_bootstrap(at, HERE.root.certificate_pem),
        "foreign": lambda at: connect_control(at, trusting_here(ELSEWHERE.node(NodeRole.MANAGER))),
        "expired": lambda at: connect_control(at, HERE.expired()),
        "expired manager": lambda at: connect_control(at, HERE.expired(NodeRole.MANAGER)),
    }

    async def main() -> None:
        handlers = Handlers()
        async with served(handlers) as server:
            for name, connect in impostors.items():
                assert isinstance(await outcome(connect(server.address)), Unavailable), name
                assert "Handshake failed" in capfd.readouterr().err, name
        assert handlers.callers == []

    asyncio.run(main())


def trusting_here(foreign: NodeIdentity) -> NodeIdentity:
    """A foreign certificate in the hands of somebody who knows our root."""
    return NodeIdentity(
        foreign.identity,
        foreign.not_before_ns,
        foreign.not_after_ns,
        foreign.key_pem,
        foreign.certificate_pem,
        HERE.root.certificate_pem,
    )


@pytest.mark.parametrize(
    ("server_identity", "who"),
    [(HERE.node(NodeRole.WORKER), "a worker"), (ELSEWHERE.node(NodeRole.MANAGER), "another cluster")],
)
def test_nobody_but_a_manager_of_the_cluster_is_taken_for_one(
    server_identity: NodeIdentity, who: str
) -> None:
    async def main() -> None:
        handlers = Handlers()
        async with served(handlers, lambda: server_identity) as server:
            error = await outcome(connect_control(server.address, HERE.node()))
            assert isinstance(error, Unavailable), who
            assert server.address in str(error)
        assert handlers.callers == []

    asyncio.run(main())


def test_a_worker_is_refused_what_is_for_managers(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        handlers = Handlers()
        worker = HERE.node()
        async with served(handlers) as server, connect_control(server.address, worker) as channel:
            with pytest.raises(PermissionDenied, match=worker.identity.node_id):
                await collect(channel.stream(Logs.read_logs, logs_pb2.ReadLogsRequest()))
        assert handlers.callers == []

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "a call from 127.0.0.1 was refused: covey.v1.Logs.ReadLogs" in caplog.text


def test_a_removed_node_is_refused_with_a_valid_certificate_and_on_a_connection_that_stands() -> None:
    async def main() -> None:
        members: dict[str, NodeRole] = {}
        worker = HERE.node()
        async with (
            served(Handlers(), role_of=lambda id, _: members.get(id)) as server,
            connect_control(server.address, worker) as channel,
        ):
            members[worker.identity.node_id] = NodeRole.WORKER
            await renew(channel)
            members.clear()
            with pytest.raises(Unauthenticated, match="removed"):
                await renew(channel)

    asyncio.run(main())


def test_a_renewed_certificate_is_shown_without_a_restart() -> None:
    async def main() -> None:
        current = [HERE.expired(NodeRole.MANAGER)]
        async with served(Handlers(), lambda: current[0]) as server:
            assert isinstance(await outcome(connect_control(server.address, HERE.node())), Unavailable)
            current[0] = MANAGER
            assert await outcome(connect_control(server.address, HERE.node())) is None

    asyncio.run(main())


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_is_refused(highest: ssl.TLSVersion) -> None:
    def shake_hands(address: str) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = highest
        context.set_ciphers("ALL:@SECLEVEL=0")  # whatever this side has, so that only the other can refuse
        context.set_alpn_protocols(["h2"])
        host, _, port = address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), TIMEOUT_S) as connection,
            context.wrap_socket(connection) as spoken,
        ):
            return spoken.version()

    async def main() -> None:
        async with served(Handlers()) as server:
            if highest is ssl.TLSVersion.TLSv1_3:  # the same client gets through with 1.3
                assert await asyncio.to_thread(shake_hands, server.address) == "TLSv1.3"
            else:
                with pytest.raises((ssl.SSLError, ConnectionResetError)):
                    await asyncio.to_thread(shake_hands, server.address)

    asyncio.run(main())


def test_streams_carry_messages_and_errors() -> None:
    async def messages(*names: str) -> AsyncIterator[logs_pb2.PublishLogsRequest]:
        for name in names:
            yield logs_pb2.PublishLogsRequest(subscription_id=name)

    async def main() -> None:
        manager = HERE.node(NodeRole.MANAGER)
        async with served(Handlers()) as server, connect_control(server.address, manager) as channel:
            await channel.send(LogBroker.publish_logs, messages("a", "b"))
            with pytest.raises(InvalidArgument, match="not a and b"):
                await channel.send(LogBroker.publish_logs, messages("a"))
            read: list[logs_pb2.ReadLogsResponse] = []
            stream = channel.stream(Logs.read_logs, logs_pb2.ReadLogsRequest(service_id="web"))
            with pytest.raises(NotFound, match="service web is gone"):
                await collect(stream, read)
            assert [answer.warnings for answer in read] == [["0"], ["1"], ["2"]]

    asyncio.run(main())


def test_leaving_a_stream_ends_its_handler() -> None:
    async def main() -> None:
        handlers = Handlers()
        manager = HERE.node(NodeRole.MANAGER)
        async with served(handlers) as server, connect_control(server.address, manager) as channel:
            stream = channel.stream(Logs.read_logs, logs_pb2.ReadLogsRequest(task_id="t"))
            assert (await anext(stream)).warnings == ["0"]
            await stream.aclose()
            await asyncio.wait_for(handlers.ended.wait(), TIMEOUT_S)

    asyncio.run(main())


def test_an_error_in_what_is_sent_is_raised_and_ends_the_session() -> None:
    async def failing() -> AsyncIterator[dispatcher_pb2.AgentMessage]:
        yield dispatcher_pb2.AgentMessage()
        raise FailedPrecondition("disk full")

    async def main() -> None:
        handlers = Handlers()
        async with served(handlers) as server, connect_control(server.address, HERE.node()) as channel:
            with pytest.raises(FailedPrecondition, match="disk full"):
                await collect(channel.talk(Dispatcher.session, failing()))
            await asyncio.wait_for(handlers.ended.wait(), TIMEOUT_S)

    asyncio.run(main())


@pytest.mark.parametrize("talks", [True, False])
def test_what_is_sent_ends_with_a_call_that_the_server_ended(talks: bool) -> None:
    """grpc leaves its reader of the source waiting for ever, with all that the source holds open."""
    ended = asyncio.Event()

    async def quiet(message: Any) -> AsyncIterator[Any]:
        try:
            yield message
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async def main() -> None:
        call: Awaitable[object]
        refusing = served(Handlers(), role_of=lambda _id, _method: None)
        async with refusing as server, connect_control(server.address, HERE.node()) as channel:
            if talks:
                call = collect(channel.talk(Dispatcher.session, quiet(dispatcher_pb2.AgentMessage())))
            else:
                call = channel.send(LogBroker.publish_logs, quiet(logs_pb2.PublishLogsRequest()))
            with pytest.raises(Unauthenticated):
                await call
            await asyncio.wait_for(ended.wait(), TIMEOUT_S)

    asyncio.run(main())


def test_our_own_cancellation_is_no_error_of_the_peer() -> None:
    async def quiet() -> AsyncIterator[dispatcher_pb2.AgentMessage]:
        yield dispatcher_pb2.AgentMessage()
        await asyncio.sleep(3600)

    async def main() -> None:
        handlers = Handlers()
        async with served(handlers) as server, connect_control(server.address, HERE.node()) as channel:

            async def converse() -> None:
                async for _ in channel.talk(Dispatcher.session, quiet()):
                    started.set()

            started = asyncio.Event()
            session = asyncio.create_task(converse())
            await asyncio.wait_for(started.wait(), TIMEOUT_S)
            session.cancel()
            with pytest.raises(asyncio.CancelledError):
                await session
            await asyncio.wait_for(handlers.ended.wait(), TIMEOUT_S)

    asyncio.run(main())


def test_a_server_that_goes_away_is_unavailable_by_address() -> None:
    async def endless() -> AsyncIterator[dispatcher_pb2.AgentMessage]:
        while True:
            yield dispatcher_pb2.AgentMessage()
            await asyncio.sleep(0.01)

    async def main() -> None:
        async with served(Handlers()) as server, connect_control(server.address, HERE.node()) as channel:
            session = channel.talk(Dispatcher.session, endless())
            await anext(session)
            await server.stop(0)
            with pytest.raises(Unavailable, match=server.address):
                await collect(session)
            with pytest.raises(Unavailable, match=server.address):
                await renew(channel)

    asyncio.run(main())


def test_what_went_wrong_inside_is_not_told() -> None:
    async def main() -> None:
        handlers = Handlers(failure=ZeroDivisionError("secret"))
        async with served(handlers) as server:
            error = await outcome(connect_control(server.address, HERE.node()))
            assert error is not None
            assert "internal error" in str(error)
            assert "secret" not in str(error)

    asyncio.run(main())


def test_a_port_is_never_shared_with_another_process() -> None:
    async def main() -> None:
        async with served(Handlers()) as server:
            with pytest.raises(FailedPrecondition, match=server.address):
                await serve_control(
                    server.address,
                    Handlers().bindings(),
                    lambda: MANAGER,
                    lambda _id, _method: NodeRole.MANAGER,
                )

    asyncio.run(main())


def test_the_unix_socket_is_its_owners_alone_and_replaces_one_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "run" / "covey.sock"
    path.parent.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def main() -> None:
        handlers = Handlers()
        bindings = [bind(Logs.read_logs, handlers.server_stream)]
        server = await serve_unix(path, bindings)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        async with connect_unix(path) as channel:
            answers = [answer async for answer in channel.stream(Logs.read_logs, logs_pb2.ReadLogsRequest())]
        assert len(answers) == 3
        assert handlers.callers == [Caller(Role.LOCAL)]
        await server.stop(0)
        assert not path.exists()
        async with connect_unix(path) as channel:
            with pytest.raises(Unavailable, match=str(path)):
                await collect(channel.stream(Logs.read_logs, logs_pb2.ReadLogsRequest()))

    asyncio.run(main())


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="shorter run directory"):
        asyncio.run(serve_unix(tmp_path / ("x" * 120), Handlers().bindings()))
