"""Which names a network has, worked out of its table. Pure; one zone per network and node.

Swarm's rules (`tasks.` and aliases included), with one of our own: a service's name cannot be taken over
by another service's alias or by some task's hostname, whoever was there first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from covey import limits
from covey.model.states import EndpointMode, EndpointState
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

from .codec import BadNameError, Records, wire_name

SHORT_ID_CHARS = 12


@dataclass(frozen=True, slots=True)
class TaskNames:
    """What one endpoint adds to its zone. Kept from zone to zone: most rows of a new table are old ones."""

    row: EndpointRow
    wires: tuple[bytes, ...]
    records: Records
    reverse: tuple[bytes, ...]
    unusable: tuple[str, ...]

    def fits(self, row: EndpointRow) -> bool:
        """Tell whether this still holds for `row`; its state makes no difference here."""
        mine = self.row
        return (
            mine.addresses == row.addresses
            and mine.task_id == row.task_id
            and mine.task_name == row.task_name
            and mine.hostname == row.hostname
        )


@dataclass(slots=True)
class Zone:
    """The names of one network, by wire name; `reverse` by wire names below in-addr.arpa or ip6.arpa.

    `unusable` are names of the table that DNS cannot carry, for the log.
    """

    names: dict[bytes, Records] = field(default_factory=dict)
    reverse: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    unusable: tuple[str, ...] = ()
    tasks: dict[str, TaskNames] = field(default_factory=dict)


def zone_of(table: NetworkTable, before: Zone | None = None) -> Zone:
    """Return the zone of `table`. The zone `before` it, if there was one, only saves work.

    - `SERVICE` and its aliases: the virtual address, or with dnsrr all active endpoints' addresses.
    - `tasks.SERVICE` (or an alias): all active endpoints' addresses.
    - a task's name, its container's hostname and short id: its endpoint's addresses, active or not, so
      that members of a cluster can find each other while they come up.
    - backwards: an endpoint's addresses give the task's name, a virtual address the service's.
    """
    building = _Building()
    active: dict[str, list[Records]] = {}
    for row in table.endpoints:
        if row.task_id:
            task = building.add_task(row, before)
            if row.state is EndpointState.ACTIVE and row.service_id:
                active.setdefault(row.service_id, []).append(task.records)
    tasks = {service_id: Records.joined(found) for service_id, found in active.items()}
    # The order is the precedence: names of services, aliases, and then the names of single tasks.
    for service in table.services:
        building.add_service((service.name,), service, tasks.get(service.service_id, _NOBODY))
        building.add_virtual(service)
    building.seal()
    for service in table.services:
        building.add_service(service.aliases, service, tasks.get(service.service_id, _NOBODY))
    building.seal()
    for each in building.zone.tasks.values():
        building.add_names_of(each)
    building.seal()
    return building.finished()


_NOBODY = Records.of((), limits.dns_ttl_tasks_s)


class _Building:
    """Collects names rank by rank: in a rank equal names share addresses, across ranks the first wins."""

    def __init__(self) -> None:
        self.zone = Zone()
        self._rank: dict[bytes, list[Records]] = {}
        self._reverse: dict[bytes, dict[str, None]] = {}
        self._unusable: list[str] = []

    def add_task(self, row: EndpointRow, before: Zone | None) -> TaskNames:
        """Work out a task's names, unless that was done before."""
        task = before.tasks.get(row.endpoint_id) if before is not None else None
        if task is None or not task.fits(row):
            task = _task_names(row)
        self.zone.tasks[row.endpoint_id] = task
        return task

    def add_service(self, names: Iterable[str], service: ServiceRow, tasks: Records) -> None:
        """Add what a service is called."""
        records = tasks if (virtual := _virtual(service)) is None else virtual
        for name in names:
            self._add(name, records)
            self._add(f"tasks.{name}", tasks)

    def add_virtual(self, service: ServiceRow) -> None:
        """Let a virtual address lead back to its service."""
        if (virtual := _virtual(service)) is not None:
            self._add_reverse((wire_name(virtual.addresses[0].reverse_pointer),), service.name)

    def add_names_of(self, task: TaskNames) -> None:
        """Add what a single task is called."""
        for wire in task.wires:
            if wire not in self.zone.names:
                self._rank.setdefault(wire, []).append(task.records)
        self._add_reverse(task.reverse, task.row.task_name or task.row.task_id[:SHORT_ID_CHARS])
        self._unusable += task.unusable

    def seal(self) -> None:
        """End a rank."""
        for wire, found in self._rank.items():
            self.zone.names[wire] = found[0] if len(found) == 1 else Records.joined(found)
        self._rank.clear()

    def finished(self) -> Zone:
        """Return the zone."""
        self.zone.reverse = {wire: tuple(names) for wire, names in self._reverse.items()}
        self.zone.unusable = tuple(self._unusable)
        return self.zone

    def _add(self, name: str, records: Records) -> None:
        try:
            wire = wire_name(name)
        except BadNameError:
            self._unusable.append(name)
            return
        if wire not in self.zone.names:
            self._rank.setdefault(wire, []).append(records)

    def _add_reverse(self, wires: Iterable[bytes], name: str) -> None:
        for wire in wires:
            self._reverse.setdefault(wire, {})[name] = None


def _virtual(service: ServiceRow) -> Records | None:
    if service.mode is not EndpointMode.VIP or not service.virtual_ips:
        return None
    return Records.of(tuple(ip_address(each) for each in service.virtual_ips), limits.dns_ttl_vip_s)


def _task_names(row: EndpointRow) -> TaskNames:
    addresses = tuple(ip_address(address) for address in row.addresses)
    wires, unusable = list[bytes](), list[str]()
    for name in dict.fromkeys((row.task_name, row.hostname, row.task_id[:SHORT_ID_CHARS])):
        try:
            if name:
                wires.append(wire_name(name))
        except BadNameError:
            unusable.append(name)
    return TaskNames(
        row=row,
        wires=tuple(dict.fromkeys(wires)),
        records=Records.of(addresses, limits.dns_ttl_tasks_s),
        reverse=tuple(wire_name(address.reverse_pointer) for address in addresses),
        unusable=tuple(unusable),
    )
