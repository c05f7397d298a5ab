"""A dev cluster to measure on: services made through the typed client, and what came of them and when."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.client.views import Progress
from covey.errors import CoveyError, NotFound
from covey.model.objects import Task
from covey.model.specs import (
    ContainerSpec,
    NetworkAttachmentSpec,
    NetworkSpec,
    Placement,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import TaskState
from devcluster import cluster
from devcluster.place import Place
from devcluster.record import Record
from tests.bench import costs

BOUND_S = 180.0
NETWORK = "bench"
_POLL_S = 0.01


@dataclass(frozen=True)
class Started:
    """How a service came up. Times are seconds after the API call was made."""

    service_id: str
    began_ns: int  # UTC, when the call was made
    called_s: float  # the call returned
    seen_s: float  # the last task was seen running
    cpu: costs.Cpu
    tasks: tuple[Task, ...]
    created_s: Sequence[float]  # per task: planned, and that plan durable
    preparing_s: Sequence[float]  # per task: the agent had begun, by its own word
    running_s: Sequence[float]  # per task: it ran, by the agent's word
    replaced: int  # tasks that were needed beyond the number asked for


@dataclass
class Town:
    """One cluster. `client` is connected to its manager."""

    place: Place
    nodes: list[str]
    client: ClusterClient
    names: dict[str, str] = field(default_factory=dict)  # node ids to names
    network_id: str = ""

    async def settle_in(self) -> None:
        """Make the network, and have every node pull the images: a pull is measured apart."""
        self.names = {node.id: node.description.hostname for node in await self.client.nodes()}
        self.network_id = await self.client.create_network(NetworkSpec(name=NETWORK))

    def spec(self, name: str, replicas: int, **more: object) -> ServiceSpec:
        """A service of containers that sleep, on the overlay network."""
        container = ContainerSpec(
            image=f"{self.place.registry}/demo/tools:1",
            command=("sleep", "1000000"),
            stop_signal="SIGKILL",  # the first process of a container would leave others alone
        )
        task = TaskSpec(
            container=container,
            networks=(NetworkAttachmentSpec(target=self.network_id),),
            restart=RestartPolicy(delay_ns=0),
        )
        spec = ServiceSpec(name=name, task=task, mode=ServiceMode(replicas=replicas))
        return replace(spec, **more) if more else spec

    def pinned(self, name: str, node: str) -> ServiceSpec:
        """One sleeping container on a certain node."""
        spec = self.spec(name, 1)
        placement = Placement(constraints=(f"node.hostname=={node}",))
        return replace(spec, task=replace(spec.task, placement=placement))

    async def start(self, spec: ServiceSpec) -> Started:
        """Create a service; returns once all its tasks are seen running."""
        before = costs.cpu(self.place, self.nodes)
        began_ns, began = time.time_ns(), time.monotonic()
        service_id, _ = await self.client.create_service(spec)
        called_s = time.monotonic() - began
        marks = _Marks(began_ns)
        progress = await self.until(
            service_id, lambda seen: marks.note(seen) == spec.mode.replicas, f"{spec.mode.replicas} running"
        )
        seen_s = time.monotonic() - began
        return Started(
            service_id,
            began_ns,
            called_s,
            seen_s,
            costs.cpu(self.place, self.nodes).since(before),
            tuple(task for task in progress.tasks if task.status.state == TaskState.RUNNING),
            sorted(marks.created.values()),
            sorted(marks.preparing.values()),
            sorted(marks.running.values()),
            len(marks.created) - spec.mode.replicas,
        )

    async def until(self, service_id: str, done: Callable[[Progress], bool], what: str) -> Progress:
        """Watch a service until `done`; returns what was seen then."""
        last: Progress | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(BOUND_S), aclosing(self.client.watch_service(service_id)) as watch:
                async for last in watch:
                    if done(last):
                        return last
        errors = {task.status.err for task in (last.tasks if last else ()) if task.status.err}
        raise AssertionError(f"waited in vain for {what} within {BOUND_S:g} s; errors: {errors or 'none'}")

    async def change(self, service_id: str, change: Callable[[ServiceSpec], ServiceSpec]) -> None:
        """Update a service's spec."""
        detail = await self.client.get_service(service_id)
        await self.client.update_service(
            service_id, detail.service.meta.version, change(detail.revision.spec)
        )

    async def remove(self, started: Started) -> float:
        """Remove a service; the seconds until no trace of its tasks is left, on any node."""
        began = time.monotonic()
        await self.client.remove_service(started.service_id)
        tasks = await self.client.tasks(started.service_id)
        remains = self.remains([*started.tasks, *tasks])
        await wait_for(
            lambda: not any(path.exists() for path in remains), f"no trace of {len(started.tasks)} tasks"
        )
        gone_s = time.monotonic() - began
        await wait_for_answer(lambda: self._forgotten(started.service_id), "the service to be forgotten")
        return gone_s

    def remains(self, tasks: Sequence[Task]) -> list[Path]:
        """What stands on the nodes for these tasks: containers' folders and network namespaces."""
        found = []
        for task in tasks:
            if node := self.names.get(task.node_id):
                found += [self.container(node, task.id), self.netns(node, task.id)]
        return found

    def container(self, node: str, task_id: str) -> Path:
        """Where the agent keeps a task's container."""
        return self.place.state(node) / "containers" / task_id

    def netns(self, node: str, task_id: str) -> Path:
        """A task's network namespace."""
        return self.place.run(node) / "netns" / task_id

    async def _forgotten(self, service_id: str) -> bool:
        try:
            await self.client.get_service(service_id)
        except NotFound:
            return not await self.client.tasks(service_id)
        return False

    async def address_of(self, task: Task) -> str:
        """A task's address on the overlay network."""
        detail = await self.client.get_network(self.network_id)
        return next(each.addresses[0] for each in detail.endpoints if each.task_id == task.id)

    async def virtual_ip(self, service_id: str) -> str:
        """A service's virtual address on the overlay network."""
        service = (await self.client.get_service(service_id)).service
        return next(each.address for each in service.virtual_ips if each.network_id == self.network_id)


@dataclass
class _Marks:
    """When each task of a service reached what, in seconds after the call."""

    began_ns: int
    created: dict[str, float] = field(default_factory=dict)
    preparing: dict[str, float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)

    def note(self, progress: Progress) -> int:
        """Take in what was seen; returns how many tasks run."""
        for task in progress.tasks:
            state, at_s = task.status.state, (task.status.at_ns - self.began_ns) / 1e9
            self.created.setdefault(task.id, (task.meta.created_at_ns - self.began_ns) / 1e9)
            if state >= TaskState.PREPARING:
                self.preparing.setdefault(task.id, at_s)
            if state == TaskState.RUNNING:
                self.running.setdefault(task.id, at_s)
        return sum(task.status.state == TaskState.RUNNING for task in progress.tasks)


async def wait_for(done: Callable[[], bool], what: str) -> None:
    """Look often until `done`."""

    async def look() -> bool:
        return done()

    await wait_for_answer(look, what)


async def wait_for_answer(done: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask often until `done`."""
    deadline = time.monotonic() + BOUND_S
    while not await done():
        assert time.monotonic() < deadline, f"waited in vain for {what} within {BOUND_S:g} s"
        await asyncio.sleep(_POLL_S)


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


@contextmanager
def raised(workers: int, managers: int = 1) -> Iterator[tuple[Place, list[str]]]:
    """A dev cluster of its own, gone afterwards."""
    place = Place(f"b{managers}{workers}x{os.getpid()}")
    asked = Record(managers=managers, workers=workers)
    try:
        cluster.up(place, asked, lambda _step: None)
        yield place, asked.nodes
    finally:
        cluster.down(place)


@asynccontextmanager
async def visiting(place: Place, nodes: list[str]) -> AsyncIterator[Town]:
    """A town on that cluster, connected."""
    async with connect(Host(place.socket(nodes[0]))) as client:
        town = Town(place, nodes, client)
        try:
            await town.settle_in()
            yield town
        except CoveyError as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
