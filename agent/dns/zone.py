"""Which names a network has, worked out of its table and kept with it. One zone per network and node.

Swarm's rules (`tasks.` and aliases included), with one of our own: a service's name cannot be taken over
by another service's alias or by some task's hostname, whoever was there first.

A zone of ten thousand rows takes a fifth of a second to work out, in which nobody would be answered. So it is
worked out once, and a change of the table then touches the names of the rows that changed and no others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from covey.errors import FailedPrecondition
from covey.model.changes import table_delta
from covey.model.objects import ClusterVersion
from covey.model.states import EndpointState
from covey.model.tables import NetworkTable, NetworkTableDelta, PeerRow

from .claims import Claim, Claims, Rank
from .codec import Records
from .members import NO_ADDRESSES, ServiceNames, TaskNames, service_names, task_names

_NO_VERSION = ClusterVersion()


@dataclass(frozen=True, slots=True)
class Target:
    """Where one port of a service is: the answer to `_PORT._PROTOCOL.SERVICE`."""

    name: str
    port: int
    records: Records


@dataclass(slots=True)
class Zone:
    """The names of one network, by wire name; `reverse` by wire names below in-addr.arpa or ip6.arpa.

    - `SERVICE` and its aliases: the virtual addresses, or with dnsrr all active endpoints' addresses.
    - `tasks.SERVICE` (or an alias): all active endpoints' addresses.
    - a task's name, its container's hostname and short id: its endpoint's addresses, from before it is active,
      so that members of a cluster can find each other while they come up, until it drains.
    - backwards: an endpoint's addresses give the task's name, a virtual address the service's.
    """

    network_id: str = ""
    version: ClusterVersion = _NO_VERSION
    names: dict[bytes, Records] = field(default_factory=dict[bytes, Records])
    reverse: dict[bytes, tuple[str, ...]] = field(default_factory=dict[bytes, tuple[str, ...]])
    _tasks: dict[str, TaskNames] = field(default_factory=dict[str, TaskNames])
    _services: dict[str, ServiceNames] = field(default_factory=dict[str, ServiceNames])
    _peers: tuple[PeerRow, ...] = ()
    _claims: Claims = field(default_factory=Claims)
    _active: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])
    _records: dict[str, Records] = field(default_factory=dict[str, Records])
    """By service: the addresses of its active endpoints."""

    def set_table(self, table: NetworkTable) -> tuple[str, ...]:
        """Become the zone of `table`; returns names of changed rows that DNS cannot carry.

        Raises ValueError, and stays as it was, if the table holds what is no address.
        """
        found = self._change(table_delta(self.table(), table))
        self.network_id, self._peers = table.network_id, table.peers
        return found

    def change(self, change: NetworkTableDelta) -> tuple[str, ...]:
        """Follow a change of the table; as `set_table`. Raises FailedPrecondition if it is of another version."""
        if change.applies_to != self.version:
            raise FailedPrecondition(
                f"the table of network {self.network_id} is at version {self.version}, and the change is one of "
                f"version {change.applies_to}; send the whole table"
            )
        return self._change(change)

    def table(self) -> NetworkTable:
        """Return the table this is the zone of."""
        return NetworkTable(
            network_id=self.network_id,
            version=self.version,
            endpoints=tuple(self._tasks[id].row for id in sorted(self._tasks)),
            services=tuple(self._services[id].row for id in sorted(self._services)),
            peers=self._peers,
        )

    def targets(self, port: str, protocol: str, service: bytes) -> tuple[Target, ...] | None:
        """Return where the port called `port` of `service` is; None if there is no service of this name.

        A service with a virtual address is one target; of others, and of `tasks.SERVICE`, each task is one.
        """
        winners = self._claims.winners(service)
        if not winners or winners[0].rank is Rank.TASK:
            return None
        found: list[Target] = []
        for claim in winners:
            row = self._services[claim.id].row
            named = [
                each.target_port
                for each in row.ports
                if (each.name.lower(), each.protocol.name.lower()) == (port, protocol)
            ]
            virtual = None if claim.tasks else self._services[claim.id].virtual
            for number in named:
                if virtual is not None:
                    found.append(Target(row.name, number, virtual))
                else:
                    found += [Target(t.name, number, t.records) for t in self._active_tasks(claim.id)]
        return tuple(found)

    def _change(self, change: NetworkTableDelta) -> tuple[str, ...]:
        # What may raise comes first: a table that cannot be taken must change nothing.
        tasks = [task_names(row) for row in change.endpoints]
        services = [service_names(row) for row in change.services]
        shifted: set[str] = set()
        for endpoint_id in change.endpoints_removed:
            shifted.add(self._remove_task(endpoint_id))
        for task in tasks:
            shifted |= {self._remove_task(task.row.endpoint_id), self._add_task(task)}
        for service_id in change.services_removed:
            self._remove_service(service_id)
        for service in services:
            self._remove_service(service.row.service_id)
            self._add_service(service)
        shifted |= {service.row.service_id for service in services}
        for service_id in shifted - {""}:
            self._shift(service_id)
        self._settle()
        self.version = change.version
        if change.peers or change.peers_removed:
            self._peers = _merged_peers(self._peers, change)
        unusable = [*(each.unusable for each in tasks), *(each.unusable for each in services)]
        return tuple(name for names in unusable for name in names)

    def _add_task(self, task: TaskNames) -> str:
        row = task.row
        self._tasks[row.endpoint_id] = task
        if not row.task_id:
            return ""
        claim = Claim(Rank.TASK, row.endpoint_id)
        if row.state is not EndpointState.DRAINING:
            self._claims.add(task.wires, claim)
        self._claims.add_reverse(task.reverse, claim, task.name)
        if row.state is EndpointState.ACTIVE and row.service_id:
            self._active.setdefault(row.service_id, {})[row.endpoint_id] = None
            return row.service_id
        return ""

    def _remove_task(self, endpoint_id: str) -> str:
        task = self._tasks.pop(endpoint_id, None)
        if task is None or not task.row.task_id:
            return ""
        claim = Claim(Rank.TASK, endpoint_id)
        self._claims.remove(task.wires, claim)
        self._claims.remove_reverse(task.reverse, claim, task.name)
        service_id = task.row.service_id
        active = self._active.get(service_id, {})
        if endpoint_id not in active:
            return ""
        del active[endpoint_id]
        if not active:
            del self._active[service_id]
        return service_id

    def _add_service(self, service: ServiceNames) -> None:
        service_id = service.row.service_id
        self._services[service_id] = service
        for wires, claim in _service_claims(service):
            self._claims.add(wires, claim)
        self._claims.add_reverse(service.reverse, Claim(Rank.SERVICE, service_id), service.row.name)

    def _remove_service(self, service_id: str) -> None:
        service = self._services.pop(service_id, None)
        if service is None:
            return
        for wires, claim in _service_claims(service):
            self._claims.remove(wires, claim)
        self._claims.remove_reverse(service.reverse, Claim(Rank.SERVICE, service_id), service.row.name)
        self._records.pop(service_id, None)

    def _shift(self, service_id: str) -> None:
        """Work out anew where the tasks of a service are, and have its names looked at."""
        service = self._services.get(service_id)
        if service is None:
            return
        tasks = [task.records for task in self._active_tasks(service_id)]
        self._records[service_id] = Records.joined(tasks) if tasks else NO_ADDRESSES
        self._claims.touch(wire for wires, _ in _service_claims(service) for wire in wires)

    def _settle(self) -> None:
        """Give every name that was touched what its claims say now."""
        for wire in self._claims.take_touched():
            winners = self._claims.winners(wire)
            if not winners:
                self.names.pop(wire, None)
            elif len(winners) == 1:
                self.names[wire] = self._records_of(winners[0])
            else:
                self.names[wire] = Records.joined([self._records_of(claim) for claim in winners])
        for wire in self._claims.take_touched_reverse():
            names = self._claims.reverse_names(wire)
            if names:
                self.reverse[wire] = names
            else:
                self.reverse.pop(wire, None)

    def _records_of(self, claim: Claim) -> Records:
        if claim.rank is Rank.TASK:
            return self._tasks[claim.id].records
        virtual = self._services[claim.id].virtual
        return self._records[claim.id] if claim.tasks or virtual is None else virtual

    def _active_tasks(self, service_id: str) -> Iterator[TaskNames]:
        return (self._tasks[id] for id in sorted(self._active.get(service_id, ())))


def zone_of(table: NetworkTable) -> Zone:
    """Return the zone of `table`."""
    zone = Zone()
    zone.set_table(table)
    return zone


def _service_claims(service: ServiceNames) -> Iterable[tuple[tuple[bytes, ...], Claim]]:
    service_id = service.row.service_id
    return (
        (service.wires, Claim(Rank.SERVICE, service_id)),
        (service.tasks_wires, Claim(Rank.SERVICE, service_id, tasks=True)),
        (service.alias_wires, Claim(Rank.ALIAS, service_id)),
        (service.tasks_alias_wires, Claim(Rank.ALIAS, service_id, tasks=True)),
    )


def _merged_peers(peers: tuple[PeerRow, ...], change: NetworkTableDelta) -> tuple[PeerRow, ...]:
    # Names do not come from them; they are kept so that the table is whole.
    kept = {row.node_id: row for row in peers if row.node_id not in set(change.peers_removed)}
    kept |= {row.node_id: row for row in change.peers}
    return tuple(kept[id] for id in sorted(kept))
