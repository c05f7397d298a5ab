"""A host joins a real authority over real sockets, or is refused; and what stands in the way is found out."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import (
    InvalidArgument,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from covey.identity import new_key
from covey.model.objects import Node
from covey.model.states import Availability, NodeRole
from covey.v1 import bootstrap_pb2
from covey.wire.client import connect_bootstrap
from covey.wire.server import Server, serve_bootstrap, serve_control
from covey.wire.service import Caller, bind
from covey.wire.services import Bootstrap
from manager.ca import AuthorityServer, join_token, rotate_token
from manager.ca.admission import the_cluster
from manager.store.draft import Draft
from manager.store.driver import Store
from node import client
from node.founding import Founding, cluster_spec, found_cluster
from tests.support.store_alone import open_alone


def founded(seed: int = 7) -> Founding:
    spec = cluster_spec((), 0, 0)
    return found_cluster(spec, new_key(), "m1", Availability.ACTIVE, Random(seed), time.time_ns())


@dataclass
class Authority:
    founding: Founding
    store: Store
    bootstrap: Server
    control: Server

    @property
    def address(self) -> str:
        """What people pass to `covey join`: the port before the bootstrap port."""
        return before(self.bootstrap.address)

    def token(self, role: NodeRole = NodeRole.WORKER) -> str:
        return str(join_token(the_cluster(self.store), role))

    async def join(self, token: str | None = None, key: bytes | None = None) -> client.Joined:
        return await client.join(
            token or self.token(), self.address, key or new_key(), "w1", Availability.DRAIN
        )


def before(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) - 1}"


@asynccontextmanager
async def an_authority(
    state: Path, clock_s: Callable[[], float] = time.monotonic
) -> AsyncGenerator[Authority, None]:
    founding = founded()
    first = founding.bootstrap
    store = await open_alone(state, first.cluster.id)
    servers: list[Server] = []

    def begin(draft: Draft) -> None:
        for item in (first.cluster, first.node, first.ingress):
            draft.put(item)

    try:
        await store.update(begin)
        authority = AuthorityServer(store, lambda: ["192.0.2.1:2377"], clock_s=clock_s)
        servers.append(
            await serve_bootstrap("127.0.0.1:0", authority.bootstrap_bindings(), lambda: founding.identity)
        )
        servers.append(
            await serve_control(
                "127.0.0.1:0",
                authority.control_bindings(),
                lambda: founding.identity,
                lambda node_id, _: node.role if (node := store.get(Node, node_id)) else None,
            )
        )
        yield Authority(founding, store, *servers)
    finally:
        for server in servers:
            await server.stop(0)
        await store.close()


def with_authority(
    state: Path, body: Callable[[Authority], Awaitable[None]], clock_s: Callable[[], float] = time.monotonic
) -> None:
    async def main() -> None:
        async with an_authority(state, clock_s) as authority:
            await body(authority)

    asyncio.run(main())


def test_a_host_with_a_token_joins_and_asking_again_it_is_the_same_node(tmp_path: Path) -> None:
    async def body(authority: Authority) -> None:
        key = new_key()
        joined = await authority.join(key=key)
        assert joined.identity.identity.cluster_id == authority.founding.bootstrap.cluster.id
        assert joined.identity.identity.role is NodeRole.WORKER
        assert joined.managers == ("192.0.2.1:2377",)
        assert joined.vxlan_port == limits.vxlan_port
        assert joined.local_address == "127.0.0.1"
        again = await authority.join(key=key)
        assert again.identity.identity == joined.identity.identity
        other = await authority.join()
        workers = {node.id: node for node in authority.store.all(Node) if node.role is NodeRole.WORKER}
        assert set(workers) == {joined.identity.identity.node_id, other.identity.identity.node_id}
        assert {node.spec.availability for node in workers.values()} == {Availability.DRAIN}

    with_authority(tmp_path, body)


def test_a_wrong_token_is_refused_and_logged_without_its_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(authority: Authority) -> None:
        token = authority.token()
        wrong = token[:-25] + "x" * 25
        with pytest.raises(Unauthenticated, match="wrong or was replaced"):
            await authority.join(wrong)
        await authority.store.update(
            lambda draft: draft.put(rotate_token(the_cluster(draft), NodeRole.WORKER, Random(3)))
        )
        with pytest.raises(Unauthenticated, match="wrong or was replaced"):
            await authority.join(token)
        assert "x" * 25 not in caplog.text
        assert token[-25:] not in caplog.text

    with caplog.at_level(logging.INFO):
        with_authority(tmp_path, body)
    assert "127.0.0.1 was refused a certificate" in caplog.text


def test_a_manager_token_makes_a_manager(tmp_path: Path) -> None:
    async def body(authority: Authority) -> None:
        joined = await authority.join(authority.token(NodeRole.MANAGER))
        node_id = joined.identity.identity.node_id
        node = authority.store.get(Node, node_id)
        assert node is not None
        assert (node.spec.role, node.role) == (NodeRole.MANAGER, NodeRole.MANAGER)
        assert joined.identity.identity.role is NodeRole.MANAGER

    with_authority(tmp_path, body)


def test_a_foreign_token_never_leaves_the_host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(authority: Authority) -> None:
        cluster = founded(8).bootstrap.cluster
        with pytest.raises(Unauthenticated, match="another digest"):
            await authority.join(str(join_token(cluster, NodeRole.WORKER)))

    with caplog.at_level(logging.WARNING, "manager.ca"):
        with_authority(tmp_path, body)
    assert "was refused" not in caplog.text


class Impostor:
    """Shows the true root certificate, as anybody can, to be sent a token."""

    def __init__(self, root_pem: bytes) -> None:
        self.root_pem = root_pem
        self.tokens: list[str] = []

    async def get_root_certificate(
        self, request: bootstrap_pb2.GetRootCertificateRequest, caller: Caller
    ) -> bootstrap_pb2.GetRootCertificateResponse:
        return bootstrap_pb2.GetRootCertificateResponse(certificate_pem=self.root_pem.decode())

    async def issue_node_certificate(
        self, request: bootstrap_pb2.IssueNodeCertificateRequest, caller: Caller
    ) -> bootstrap_pb2.IssueNodeCertificateResponse:
        self.tokens.append(request.token)
        return bootstrap_pb2.IssueNodeCertificateResponse()


def test_a_man_in_the_middle_is_sent_no_token() -> None:
    true, own = founded(), founded(8)
    impostor = Impostor(true.identity.root_pem)
    token = str(join_token(true.bootstrap.cluster, NodeRole.WORKER))

    async def main() -> None:
        bindings = [
            bind(Bootstrap.get_root_certificate, impostor.get_root_certificate),
            bind(Bootstrap.issue_node_certificate, impostor.issue_node_certificate),
        ]
        server = await serve_bootstrap("127.0.0.1:0", bindings, lambda: own.identity)
        try:
            with pytest.raises(Unavailable):
                await client.join(token, before(server.address), new_key(), "w1", Availability.ACTIVE)
        finally:
            await server.stop(0)

    asyncio.run(main())
    assert impostor.tokens == []


def test_what_is_no_manager_is_told_by_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "connect_timeout_ms", 300)
    token = str(join_token(founded().bootstrap.cluster, NodeRole.WORKER))

    async def join(port: int) -> None:
        await client.join(token, f"127.0.0.1:{port - 1}", new_key(), "w1", Availability.ACTIVE)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port} does not answer"):
            asyncio.run(join(port))
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port} cannot be reached"):
        asyncio.run(join(port))
    with pytest.raises(InvalidArgument, match="begins with"):
        asyncio.run(client.join("secret", "127.0.0.1", new_key(), "w1", Availability.ACTIVE))


def test_one_address_cannot_flood_the_authority(tmp_path: Path) -> None:
    clock = [100.0]

    async def body(authority: Authority) -> None:
        async with connect_bootstrap(
            authority.bootstrap.address, authority.founding.identity.root_pem
        ) as channel:
            request = bootstrap_pb2.GetRootCertificateRequest()
            for _ in range(limits.bootstrap_host_burst):
                await channel.call(Bootstrap.get_root_certificate, request)
            for _ in range(3):
                with pytest.raises(ResourceExhausted, match="wait a few seconds"):
                    await channel.call(Bootstrap.get_root_certificate, request)
            clock.append(1.0)
            for _ in range(limits.bootstrap_host_requests_per_s):
                await channel.call(Bootstrap.get_root_certificate, request)
            with pytest.raises(ResourceExhausted):
                await channel.call(Bootstrap.get_root_certificate, request)

    with_authority(tmp_path, body, clock_s=lambda: sum(clock))


def test_a_certificate_is_renewed_for_its_own_node_with_the_present_lifetime(tmp_path: Path) -> None:
    async def body(authority: Authority) -> None:
        joined = (await authority.join()).identity
        week_ns = 7 * 86_400 * 10**9

        def shorten(draft: Draft) -> None:
            cluster = the_cluster(draft)
            draft.put(replace(cluster, spec=replace(cluster.spec, node_certificate_ns=week_ns)))

        await authority.store.update(shorten)
        managers = ("127.0.0.1:1", authority.control.address)  # the first one does not answer
        renewed = await client.renew(joined, managers)
        assert renewed.identity == joined.identity
        assert renewed.not_after_ns < joined.not_after_ns
        await authority.store.update(lambda draft: draft.delete(Node, joined.identity.node_id))
        with pytest.raises(Unauthenticated, match="removed"):
            await client.renew(joined, (authority.control.address,))

    with_authority(tmp_path, body)
