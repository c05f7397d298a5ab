"""What a manager says of its cluster, asked through the typed client: for the demo and for tests."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.errors import FailedPrecondition, Unavailable
from covey.model.states import NodeState, TaskState

from .place import Place

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task, with its node by name."""

    id: str
    node: str
    state: TaskState
    desired: TaskState
    error: str

    @property
    def runs(self) -> bool:
        """Whether it runs, and is meant to."""
        return self.state == self.desired == TaskState.RUNNING


def ready(place: Place, manager: str = "m1") -> set[str]:
    """The names of the nodes that `manager` calls ready; none while it does not answer."""

    async def ask(cluster: ClusterClient) -> set[str]:
        listed = await cluster.nodes()
        return {node.description.hostname for node in listed if node.status.state == NodeState.READY}

    try:
        return _asked(place, manager, ask)
    except (Unavailable, FailedPrecondition):  # it does not answer, or does not even listen
        return set()


def tasks(place: Place, service: str, manager: str = "m1") -> list[TaskLine]:
    """Every task of a service, also those that have ended."""

    async def ask(cluster: ClusterClient) -> list[TaskLine]:
        names = {node.id: node.description.hostname for node in await cluster.nodes()}
        detail = await cluster.get_service(service)
        return [
            TaskLine(
                task.id, names.get(task.node_id, ""), task.status.state, task.desired_state, task.status.err
            )
            for task in await cluster.tasks(detail.service.id)
        ]

    return _asked(place, manager, ask)


def running(place: Place, service: str, manager: str = "m1") -> list[TaskLine]:
    """The tasks of a service that run and are meant to."""
    return [task for task in tasks(place, service, manager) if task.runs]


def services(place: Place, manager: str = "m1") -> set[str]:
    """The names of all services that nobody has removed yet."""

    async def ask(cluster: ClusterClient) -> set[str]:
        listed = await cluster.services()
        return {detail.service.name for detail in listed if not detail.service.pending_delete}

    return _asked(place, manager, ask)


def networks(place: Place, manager: str = "m1") -> set[str]:
    """The names of all networks that somebody asked for: without `ingress`, which is always there."""

    async def ask(cluster: ClusterClient) -> set[str]:
        return {network.spec.name for network in await cluster.networks() if not network.spec.ingress}

    return _asked(place, manager, ask)


def _asked(place: Place, manager: str, ask: Callable[[ClusterClient], Awaitable[Result]]) -> Result:
    async def work() -> Result:
        async with connect(Host(place.socket(manager))) as cluster:
            return await ask(cluster)

    return asyncio.run(work())
