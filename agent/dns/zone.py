"""Which names a network has, worked out of its table. Pure; one zone per network and node.

Swarm's rules (`tasks.` and aliases included), with one of our own: a service's name cannot be taken over
by another service's alias or by some task's hostname, whoever was there first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from covey import limits
from covey.model.states import EndpointMode, EndpointState
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

from .codec import BadNameError, Records, wire_name

Address = IPv4Address | IPv6Address

SHORT_ID_CHARS = 12


@dataclass(slots=True)
class Zone:
    """The names of one network, by wire name; `reverse` by wire names below in-addr.arpa or ip6.arpa.

    `unusable` are names of the table that DNS cannot carry, for the log.
    """

    names: dict[bytes, Records] = field(default_factory=dict)
    reverse: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    unusable: tuple[str, ...] = ()


def zone_of(table: NetworkTable) -> Zone:
    """Return the zone of `table`.

    - `SERVICE` and its aliases: the virtual address, or with dnsrr all active endpoints' addresses.
    - `tasks.SERVICE` (or an alias): all active endpoints' addresses.
    - a task's name, its container's hostname and short id: its endpoint's addresses, active or not, so
      that members of a cluster can find each other while they come up.
    - backwards: an endpoint's addresses give the task's name, a virtual address the service's.
    """
    building = _Building()
    active: dict[str, list[Address]] = {}
    for row in table.endpoints:
        if row.state is EndpointState.ACTIVE and row.service_id:
            active.setdefault(row.service_id, []).extend(map(ip_address, row.addresses))
    # The order is the precedence: names of services, aliases, and then the names of single tasks.
    for service in table.services:
        building.add_service((service.name,), service, active.get(service.service_id, ()))
    building.seal()
    for service in table.services:
        building.add_service(service.aliases, service, active.get(service.service_id, ()))
    building.seal()
    for row in table.endpoints:
        building.add_endpoint(row)
    building.seal()
    return building.zone()


class _Building:
    """Collects names rank by rank: in a rank equal names share addresses, across ranks the first wins."""

    def __init__(self) -> None:
        self._sealed: dict[bytes, Records] = {}
        self._rank: dict[bytes, tuple[list[Address], int]] = {}
        self._reverse: dict[bytes, list[str]] = {}
        self._unusable: list[str] = []

    def add_service(self, names: Iterable[str], service: ServiceRow, tasks: Sequence[Address]) -> None:
        virtual = service.mode is EndpointMode.VIP and service.virtual_ip
        addresses = [ip_address(service.virtual_ip)] if virtual else list(tasks)
        for name in names:
            self._add(name, addresses, limits.dns_ttl_vip_s if virtual else limits.dns_ttl_tasks_s)
            self._add(f"tasks.{name}", tasks, limits.dns_ttl_tasks_s)
        if virtual and service.name in names:
            self._add_reverse(addresses, service.name)

    def add_endpoint(self, row: EndpointRow) -> None:
        if not row.task_id:
            return
        addresses = [ip_address(address) for address in row.addresses]
        for name in {row.task_name: 0, row.hostname: 0, row.task_id[:SHORT_ID_CHARS]: 0}:
            if name:
                self._add(name, addresses, limits.dns_ttl_tasks_s)
        self._add_reverse(addresses, row.task_name or row.task_id[:SHORT_ID_CHARS])

    def seal(self) -> None:
        """End a rank."""
        for wire, (addresses, ttl_s) in self._rank.items():
            self._sealed[wire] = Records(tuple(dict.fromkeys(addresses)), ttl_s)
        self._rank.clear()

    def zone(self) -> Zone:
        reverse = {wire: tuple(names) for wire, names in self._reverse.items()}
        return Zone(self._sealed, reverse, tuple(self._unusable))

    def _add(self, name: str, addresses: Sequence[Address], ttl_s: int) -> None:
        try:
            wire = wire_name(name)
        except BadNameError:
            self._unusable.append(name)
            return
        if wire in self._sealed:
            return
        known = self._rank.get(wire)
        if known is None:
            self._rank[wire] = (list(addresses), ttl_s)
        else:
            known[0].extend(addresses)

    def _add_reverse(self, addresses: Iterable[Address], name: str) -> None:
        for address in addresses:
            names = self._reverse.setdefault(wire_name(address.reverse_pointer), [])
            if name not in names:
                names.append(name)
