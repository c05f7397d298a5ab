"""What a manager says of its cluster, asked through the typed client: for the demo and for tests.

Without a manager's name, the first one that answers is asked.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.client.views import ClusterStatus
from covey.errors import FailedPrecondition, Unavailable
from covey.model.states import NodeRole, NodeState, TaskState, UpdateState

from . import record
from .place import Place

Result = TypeVar("Result")
_PAUSED = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)


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


def ready(place: Place, manager: str = "") -> set[str]:
    """The names of the nodes that `manager` calls ready; none while it does not answer."""

    async def ask(cluster: ClusterClient) -> set[str]:
        listed = await cluster.nodes()
        return {node.description.hostname for node in listed if node.status.state == NodeState.READY}

    try:
        return _asked(place, manager, ask)
    except (Unavailable, FailedPrecondition):  # it does not answer, or does not even listen
        return set()


def tasks(place: Place, service: str, manager: str = "") -> list[TaskLine]:
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


def running(place: Place, service: str, manager: str = "") -> list[TaskLine]:
    """The tasks of a service that run and are meant to."""
    return [task for task in tasks(place, service, manager) if task.runs]


def services(place: Place, manager: str = "") -> set[str]:
    """The names of all services that nobody has removed yet."""

    async def ask(cluster: ClusterClient) -> set[str]:
        listed = await cluster.services()
        return {detail.service.name for detail in listed if not detail.service.pending_delete}

    return _asked(place, manager, ask)


def paused(place: Place, manager: str = "") -> set[str]:
    """The names of services whose update or rollback has paused."""

    async def ask(cluster: ClusterClient) -> set[str]:
        found = [detail.service for detail in await cluster.services()]
        return {each.name for each in found if each.update_status.state in _PAUSED}

    return _asked(place, manager, ask)


def networks(place: Place, manager: str = "") -> set[str]:
    """The names of all networks that somebody asked for: without `ingress`, which is always there."""

    async def ask(cluster: ClusterClient) -> set[str]:
        return {network.spec.name for network in await cluster.networks() if not network.spec.ingress}

    return _asked(place, manager, ask)


def status(place: Place, manager: str = "", *, local: bool = False) -> ClusterStatus:
    """How the managers stand, as one of them knows; with `local` without asking the others."""
    return _asked(place, manager, lambda cluster: cluster.status(local))


def leader(place: Place, manager: str = "") -> str:
    """The name of the manager that leads; empty while there is none, or none that answers."""
    try:
        told = status(place, manager)
    except (Unavailable, FailedPrecondition):
        return ""
    leading = [each.hostname for each in told.managers if each.leader]
    return leading[0] if leading and told.has_quorum else ""


def roles(place: Place, manager: str = "") -> dict[str, NodeRole]:
    """What each node is, by its name."""

    async def ask(cluster: ClusterClient) -> dict[str, NodeRole]:
        return {node.description.hostname: node.role for node in await cluster.nodes()}

    return _asked(place, manager, ask)


def managing(place: Place) -> list[str]:
    """The nodes whose manager takes connections."""
    return [node for node in record.load(place).nodes if _listens(place.run(node) / "manager.sock")]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def _asked(place: Place, manager: str, ask: Callable[[ClusterClient], Awaitable[Result]]) -> Result:
    async def work(node: str) -> Result:
        async with connect(Host(place.socket(node))) as cluster:
            return await ask(cluster)

    nodes = [manager] if manager else managing(place)
    failure: Exception = Unavailable(f"no manager of {place.name} answers")
    for node in nodes:
        try:
            return asyncio.run(work(node))
        except (Unavailable, FailedPrecondition) as error:
            failure = error
    raise failure
