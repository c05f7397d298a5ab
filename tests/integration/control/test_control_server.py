"""The control API through its socket: a real server, a real store and planners, and agents that pretend."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from msgspec.structs import replace

from covey import limits
from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.client.views import Progress
from covey.errors import (
    AlreadyExists,
    Conflict,
    CoveyError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    IpamConfig,
    NetworkAttachmentSpec,
    NetworkSpec,
    NodeSpec,
    PortConfig,
    RegistryAuth,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import Availability, NodeRole, TaskState
from covey.v1 import control_pb2 as pb
from covey.wire.client import connect_unix
from covey.wire.services import Control
from tests.support.cli_stand import TOKEN, CliStand
from tests.support.leftovers import prefix

BOUND_S = 60


@pytest.fixture(scope="module")
def stand() -> Iterator[CliStand]:
    with TemporaryDirectory(prefix=f"{prefix()}-control-") as folder, CliStand(Path(folder)) as made:
        yield made


def on(stand: CliStand, story: Callable[[ClusterClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(BOUND_S), connect(Host.parse(stand.host)) as cluster:
            await story(cluster)

    asyncio.run(run())


def spec(name: str, replicas: int = 1, image: str = "img:1", **container: object) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        mode=ServiceMode(replicas=replicas),
        task=TaskSpec(container=ContainerSpec(image=image, **container)),  # type: ignore[arg-type]
    )


async def until(moments: AsyncGenerator[Progress, None], holds: Callable[[Progress], bool]) -> Progress:
    async for moment in moments:
        if holds(moment):
            return moment
    raise AssertionError("the service went away")


async def gone(cluster: ClusterClient, service_id: str) -> None:
    try:
        async for _ in cluster.watch_service(service_id):
            pass
    except NotFound:
        pass


def test_a_service_from_its_creation_to_its_end(stand: CliStand) -> None:
    async def story(cluster: ClusterClient) -> None:
        service_id, warnings = await cluster.create_service(spec("life", 3))
        assert not warnings
        async with aclosing(cluster.watch_service(service_id)) as moments:
            moment = await until(moments, lambda m: m.detail.running == 3)
            assert {task.status.state for task in moment.tasks} == {TaskState.RUNNING}
            detail = await cluster.get_service(service_id[:12])
            assert detail.revision.spec.task.container.image_digest.startswith("sha256:")
            version = detail.service.meta.version
            larger = replace(detail.revision.spec, mode=ServiceMode(replicas=5))
            await cluster.update_service(service_id, version, larger)
            with pytest.raises(Conflict, match="changed since it was read"):
                await cluster.update_service(service_id, version, larger)
            await until(moments, lambda m: m.detail.running == 5)
            await cluster.remove_service(service_id)
            with pytest.raises(NotFound):
                await cluster.get_service("life")
            assert service_id not in [item.service.id for item in await cluster.services()]
            async for moment in moments:  # the watch ends with the service
                assert moment.detail.service.pending_delete
        with pytest.raises(NotFound):
            await cluster.remove_service(service_id)

    on(stand, story)


def test_what_is_refused_is_not_there_afterwards(stand: CliStand) -> None:
    bad: list[tuple[ServiceSpec, type[CoveyError]]] = [
        (spec("a b"), InvalidArgument),
        (spec("bad", image="Not An Image"), InvalidArgument),
        (spec("bad", image_digest="zzz"), InvalidArgument),
        (spec("bad", replicas=-1), InvalidArgument),
        (spec("bad", replicas=limits.replicas_max + 1), InvalidArgument),
        (spec("bad", args=("\0",)), InvalidArgument),
        (spec("bad", env=("x" * (limits.spec_bytes_max + 1) + "=",)), InvalidArgument),
        (replace(spec("bad"), task=TaskSpec(networks=(NetworkAttachmentSpec("nowhere"),))), InvalidArgument),
        (
            replace(
                spec("bad"),
                task=TaskSpec(ContainerSpec(image="a"), networks=(NetworkAttachmentSpec("nowhere"),)),
            ),
            NotFound,
        ),
    ]

    async def story(cluster: ClusterClient) -> None:
        before = (await cluster.cluster()).meta
        for wrong, error in bad:
            with pytest.raises(error):
                await cluster.create_service(wrong)
        assert not [item for item in await cluster.services() if item.service.name == "bad"]
        assert (await cluster.cluster()).meta == before

    on(stand, story)


def test_numbers_nobody_knows_are_refused_not_stumbled_over(stand: CliStand) -> None:
    async def story(cluster: ClusterClient) -> None:
        del cluster
        async with connect_unix(Host.parse(stand.host).manager_socket) as channel:
            with pytest.raises(InvalidArgument, match="role 99"):
                await channel.call(Control.get_join_token, pb.GetJoinTokenRequest(role=99))  # type: ignore[arg-type]
            wrong = pb.CreateServiceRequest()
            wrong.spec.name, wrong.spec.task.container.image = "n", "img"
            wrong.spec.endpoint.mode = 77  # type: ignore[assignment]
            with pytest.raises(InvalidArgument, match="77"):
                await channel.call(Control.create_service, wrong)
            with pytest.raises(NotFound):
                await channel.call(Control.get_service, pb.GetServiceRequest())
            with pytest.raises(InvalidArgument):
                await channel.call(Control.create_network, pb.CreateNetworkRequest())

    on(stand, story)


def test_names_and_ports_are_given_once_and_again_after_removal(stand: CliStand) -> None:
    async def story(cluster: ClusterClient) -> None:
        published = EndpointSpec(ports=(PortConfig(target_port=80, published_port=8765),))
        first, _ = await cluster.create_service(replace(spec("one"), endpoint=published))
        with pytest.raises(AlreadyExists):
            await cluster.create_service(spec("ONE"))
        with pytest.raises(CoveyError, match="8765/tcp is taken by service one"):
            await cluster.create_service(replace(spec("two"), endpoint=published))
        await cluster.remove_service(first)
        second, _ = await cluster.create_service(replace(spec("one"), endpoint=published))
        async with aclosing(cluster.watch_service(second)) as moments:
            moment = await until(moments, lambda m: m.detail.running == 1)
        assert moment.detail.service.allocation_error == ""
        await cluster.remove_service(second)

    on(stand, story)


def test_nothing_secret_is_answered(stand: CliStand) -> None:
    async def story(cluster: ClusterClient) -> None:
        auth = RegistryAuth("somebody", "hunter2")
        service_id, _ = await cluster.create_service(spec("private", registry_auth=auth))
        detail = await cluster.get_service("private")
        again = replace(detail.revision.spec, labels={"a": "b"})
        await cluster.update_service(service_id, detail.service.meta.version, again)
        shown = [await cluster.get_service("private"), await cluster.services()]
        shown += [await cluster.revisions(service_id), await cluster.cluster(), await cluster.nodes()]
        async with aclosing(cluster.watch_service(service_id)) as moments:
            shown.append(await anext(moments))
        assert "hunter2" not in repr(shown)
        assert "PRIVATE KEY" not in repr(shown)
        assert await cluster.join_token(NodeRole.WORKER) == TOKEN
        await cluster.remove_service(service_id)

    on(stand, story)


def test_networks_are_removed_only_when_nobody_is_on_them(stand: CliStand) -> None:
    async def story(cluster: ClusterClient) -> None:
        network_id = await cluster.create_network(
            NetworkSpec(name="wide", ipam=(IpamConfig("10.66.0.0/24"),))
        )
        with pytest.raises(FailedPrecondition, match="overlaps"):
            await cluster.create_network(NetworkSpec(name="on-it", ipam=(IpamConfig("10.66.0.0/16"),)))
        joined = replace(
            spec("member"), task=TaskSpec(ContainerSpec(image="i"), networks=(NetworkAttachmentSpec("WIDE"),))
        )
        service_id, _ = await cluster.create_service(joined)
        async with aclosing(cluster.watch_service(service_id)) as moments:
            await until(moments, lambda m: m.detail.running == 1)
        shown = await cluster.get_network("wide")
        assert [str(e.addresses[0]).rpartition(".")[0] for e in shown.endpoints] == ["10.66.0"]
        told = await cluster.inspect_network("wide")
        assert [each.name for each in told.services] == ["member"]
        assert [len(node.endpoints) for node in told.nodes] == [1]
        with pytest.raises(FailedPrecondition, match="in use by member"):
            await cluster.remove_network(network_id)
        await cluster.remove_service(service_id)
        await cluster.remove_network(network_id)
        await gone(cluster, service_id)
        while network_id in [network.id for network in await cluster.networks()]:
            await asyncio.sleep(0.02)

    on(stand, story)


def test_nodes_are_updated_by_version_and_managers_stay(stand: CliStand) -> None:
    async def story(cluster: ClusterClient) -> None:
        node = await cluster.get_node("w1")
        after = await cluster.update_node(
            node.id, node.meta.version, NodeSpec(labels={"ö": "1"}, availability=Availability.DRAIN)
        )
        assert after.spec.availability is Availability.DRAIN
        with pytest.raises(Conflict):
            await cluster.update_node(node.id, node.meta.version, NodeSpec())
        node = await cluster.get_node("w1")
        with pytest.raises(InvalidArgument, match="label"):
            await cluster.update_node(node.id, node.meta.version, NodeSpec(labels={"": "1"}))
        await cluster.update_node(node.id, node.meta.version, NodeSpec())
        with pytest.raises(FailedPrecondition, match="is a manager"):
            await cluster.remove_node((await cluster.get_node("m1")).id, force=True)
        with pytest.raises(NotFound):
            await cluster.get_node("nosuch")

    on(stand, story)


def test_many_tasks_come_in_pages_and_in_one_moment(stand: CliStand) -> None:
    async def story(cluster: ClusterClient) -> None:
        count = 2 * limits.page_items_max + 1
        service_id, _ = await cluster.create_service(spec("many", count))
        async with aclosing(cluster.watch_service(service_id)) as moments:
            moment = await until(moments, lambda m: m.detail.running == count)
        assert len(moment.tasks) == count
        assert len(await cluster.tasks(service_id=service_id)) == count
        await cluster.remove_service(service_id)
        await gone(cluster, service_id)

    on(stand, story)
