"""Who may speak for others, what a certificate is worth after a demotion, and what travels beside messages."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from covey.errors import NotLeader, PermissionDenied, Unauthenticated, Unavailable, Unreachable
from covey.identity import NodeIdentity
from covey.model.states import NodeRole
from covey.v1 import ca_pb2
from covey.wire.client import Channel, connect_control
from covey.wire.metadata import (
    AGE_MS,
    CALLER_NODE,
    CALLER_ROLE,
    USER,
    Metadata,
    on_behalf_of,
    said_by,
    stale_reads,
)
from covey.wire.server import serve_control
from covey.wire.service import Caller, Role, bind
from covey.wire.services import NodeCa
from tests.support.pki import Authority

CLUSTER = Authority()
SERVER, MANAGER, WORKER = (
    CLUSTER.node(role) for role in (NodeRole.MANAGER, NodeRole.MANAGER, NodeRole.WORKER)
)
REQUEST = ca_pb2.RenewCertificateRequest(signing_request_pem="x")
FORWARDED = Caller(Role.LOCAL, host="")


def id_of(identity: NodeIdentity) -> str:
    return identity.identity.node_id


ROLES = {id_of(MANAGER): NodeRole.MANAGER, id_of(WORKER): NodeRole.WORKER}


def served(
    body: Callable[[Callable[[NodeIdentity], Channel], list[Caller]], Awaitable[None]],
    failure: Exception | None = None,
    roles: dict[str, NodeRole] = ROLES,
) -> None:
    async def main() -> None:
        callers: list[Caller] = []

        async def handle(
            request: ca_pb2.RenewCertificateRequest, caller: Caller
        ) -> ca_pb2.RenewCertificateResponse:
            callers.append(caller)
            if failure is not None:
                raise failure
            if caller.stale:
                caller.beside[AGE_MS] = "17"
            return ca_pb2.RenewCertificateResponse()

        server = await serve_control(
            "127.0.0.1:0",
            [bind(NodeCa.renew_certificate, handle)],
            lambda: SERVER,
            lambda id, _: roles.get(id),
        )
        channels: list[Channel] = []

        def dial(identity: NodeIdentity) -> Channel:
            channels.append(connect_control(server.address, identity))
            return channels[-1]

        try:
            async with asyncio.timeout(20):
                await body(dial, callers)
        finally:
            for channel in channels:
                await channel.close()
            await server.stop(0)

    asyncio.run(main())


def passing_on(caller: Caller) -> Metadata:
    return Metadata(on_behalf_of(caller))


def test_a_manager_passes_on_who_called_it() -> None:
    async def body(dial: Callable[[NodeIdentity], Channel], callers: list[Caller]) -> None:
        worker = Caller(Role.WORKER, id_of(WORKER), host="192.0.2.7", stale=True, user="alice")
        await dial(MANAGER).beside(passing_on(worker)).call(NodeCa.renew_certificate, REQUEST)
        (heard,) = callers
        assert (heard.role, heard.node_id, heard.host) == (Role.WORKER, id_of(WORKER), "192.0.2.7")
        assert heard.via == id_of(MANAGER)
        assert heard.cluster_id == MANAGER.identity.cluster_id
        assert heard.stale
        assert heard.user == "alice"

    served(body)


@pytest.mark.parametrize(
    ("named", "heard"),
    [("alice", "alice"), ("", ""), ("a b\n\x1b[31mc\u00e9", "ab[31mc"), ("x" * 500, "x" * 64)],
)
def test_whoever_is_at_the_keyboard_can_be_shown(named: str, heard: str) -> None:
    async def body(dial: Callable[[NodeIdentity], Channel], callers: list[Caller]) -> None:
        await dial(MANAGER).beside(Metadata(said_by(named))).call(NodeCa.renew_certificate, REQUEST)
        assert callers[0].user == heard
        if named.isascii() and named.isprintable():
            raw = Metadata(((USER, named),))
            await dial(MANAGER).beside(raw).call(NodeCa.renew_certificate, REQUEST)
            assert callers[1].user == heard

    served(body)


@pytest.mark.parametrize("claimed", [Role.LOCAL, Role.MANAGER, Role.ANYONE])
def test_a_worker_cannot_speak_for_anybody(claimed: Role) -> None:
    async def body(dial: Callable[[NodeIdentity], Channel], callers: list[Caller]) -> None:
        forged = passing_on(Caller(claimed, id_of(MANAGER)))
        with pytest.raises(PermissionDenied, match="only managers speak for others"):
            await dial(WORKER).beside(forged).call(NodeCa.renew_certificate, REQUEST)
        assert not callers

    served(body)


def test_a_demoted_manager_is_a_worker_whatever_its_certificate_says() -> None:
    async def body(dial: Callable[[NodeIdentity], Channel], callers: list[Caller]) -> None:
        await dial(MANAGER).call(NodeCa.renew_certificate, REQUEST)
        assert callers[0].role is Role.WORKER
        with pytest.raises(PermissionDenied, match="only managers speak for others"):
            await dial(MANAGER).beside(passing_on(FORWARDED)).call(NodeCa.renew_certificate, REQUEST)

    served(body, roles={id_of(MANAGER): NodeRole.WORKER})


def test_who_is_passed_on_is_judged_like_anybody() -> None:
    async def body(dial: Callable[[NodeIdentity], Channel], callers: list[Caller]) -> None:
        channel = dial(MANAGER)
        demoted = Caller(Role.MANAGER, id_of(WORKER))
        await channel.beside(passing_on(demoted)).call(NodeCa.renew_certificate, REQUEST)
        assert callers[0].role is Role.WORKER
        removed = Caller(Role.WORKER, "gone")
        with pytest.raises(Unauthenticated, match="node gone is no member"):
            await channel.beside(passing_on(removed)).call(NodeCa.renew_certificate, REQUEST)
        made_up = Metadata(((CALLER_ROLE, "emperor"), (CALLER_NODE, id_of(WORKER))))
        with pytest.raises(Unauthenticated, match="unknown role 'emperor'"):
            await channel.beside(made_up).call(NodeCa.renew_certificate, REQUEST)

    served(body)


def test_a_stale_read_says_how_old_it_may_be() -> None:
    async def body(dial: Callable[[NodeIdentity], Channel], callers: list[Caller]) -> None:
        channel = dial(MANAGER)
        metadata = stale_reads()
        await channel.beside(metadata).call(NodeCa.renew_certificate, REQUEST)
        assert metadata.age_ms == 17
        current = Metadata()
        await channel.beside(current).call(NodeCa.renew_certificate, REQUEST)
        assert current.age_ms is None

    served(body)


@pytest.mark.parametrize("error", [NotLeader("n2 leads"), Unavailable("nobody knows")])
def test_who_does_not_lead_is_told_apart_from_other_trouble(error: Unavailable) -> None:
    async def body(dial: Callable[[NodeIdentity], Channel], callers: list[Caller]) -> None:
        with pytest.raises(Unavailable) as caught:
            await dial(MANAGER).call(NodeCa.renew_certificate, REQUEST)
        assert type(caught.value) is type(error)
        assert str(caught.value) == str(error)

    served(body, error)


def test_what_was_never_sent_is_told_apart_from_what_may_have_arrived() -> None:
    async def main() -> None:
        async with connect_control("127.0.0.1:1", MANAGER) as channel:
            with pytest.raises(Unreachable, match="cannot be reached"):
                await channel.call(NodeCa.renew_certificate, REQUEST)

    asyncio.run(main())
