"""What health ports answer. Pure."""

from collections.abc import Iterable, Mapping

from covey.model.states import EndpointState, MeshMode
from covey.model.tables import NetworkTable

Counts = Mapping[str, int]
"""Active tasks on this node, by the name of their service."""


Tasks = Mapping[int, Mapping[str, frozenset[str]]]
"""Active tasks on this node, by health port and the name of their service."""


class Answers:
    """What health ports answer, from tables of which mostly one at a time is another than before."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._said: dict[str, tuple[NetworkTable, Tasks]] = {}

    def of(self, tables: Iterable[NetworkTable]) -> dict[int, Counts]:
        """Give for each health port the services it answers for."""
        self._said = {table.network_id: (table, self._says(table)) for table in tables}
        found: dict[int, dict[str, set[str]]] = {}
        for _, said in self._said.values():
            for port, services in said.items():
                for name, tasks in services.items():
                    found.setdefault(port, {}).setdefault(name, set()).update(tasks)
        return {
            port: {name: len(tasks) for name, tasks in services.items()} for port, services in found.items()
        }

    def _says(self, table: NetworkTable) -> Tasks:
        before, said = self._said.get(table.network_id, (None, {}))
        return said if before is table else _read(table, self._node_id)


def _read(table: NetworkTable, node_id: str) -> Tasks:
    asked = {
        service.service_id: (service.name, ports)
        for service in table.services
        if (
            ports := [
                port.health_port for port in service.ports if port.mesh is MeshMode.LOCAL and port.health_port
            ]
        )
    }
    here: dict[str, set[str]] = {service_id: set() for service_id in asked}
    for row in table.endpoints if asked else ():
        if row.node_id == node_id and row.state is EndpointState.ACTIVE and row.service_id in here:
            here[row.service_id].add(row.task_id)
    found: dict[int, dict[str, frozenset[str]]] = {}
    for service_id, (name, ports) in asked.items():
        for port in ports:
            found.setdefault(port, {})[name] = frozenset(here[service_id])
    return found
