"""What health ports answer. Pure."""

from collections.abc import Iterable, Mapping

from covey.model.states import EndpointState, MeshMode
from covey.model.tables import NetworkTable

Counts = Mapping[str, int]
"""Active tasks on this node, by the name of their service."""


def answers(tables: Iterable[NetworkTable], node_id: str) -> dict[int, Counts]:
    """Give for each health port the services it answers for."""
    found: dict[int, dict[str, set[str]]] = {}
    for table in tables:
        asked: dict[str, list[set[str]]] = {}
        for service in table.services:
            for port in service.ports:
                if port.mesh is MeshMode.LOCAL and port.health_port:
                    tasks = found.setdefault(port.health_port, {}).setdefault(service.name, set())
                    asked.setdefault(service.service_id, []).append(tasks)
        for row in table.endpoints if asked else ():
            if row.node_id == node_id and row.state is EndpointState.ACTIVE:
                for tasks in asked.get(row.service_id, ()):
                    tasks.add(row.task_id)
    return {port: {name: len(tasks) for name, tasks in names.items()} for port, names in found.items()}
