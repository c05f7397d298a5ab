"""What follows from a network's table: worked out once for all namespaces, and row by row when rows change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from covey.model.changes import table_delta
from covey.model.states import EndpointMode, EndpointState
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

from ..firewall import FAMILIES, Family, family_of
from ..lineage import Derived, touched
from .addressing import mac
from .host import Host

K = TypeVar("K")
V = TypeVar("V")
UNKEPT = "to-unkept"  # the mesh's chain for them
Entries = Derived[tuple[str, str], str]
Members = Derived[str, tuple[EndpointRow, ...]]


Addresses = Derived[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Reach:
    """Addresses of one family: where new connections may go by service, those of them on this node, and those on
    nodes that cannot keep a client's address, with the mesh's chain for such.
    """

    active: Addresses = field(default_factory=Addresses)
    here: Addresses = field(default_factory=Addresses)
    unkept: Derived[str, str] = field(default_factory=Derived[str, str])


@dataclass(frozen=True, slots=True)
class Digest:
    """What follows from a table, on a node whose packets of this network come from `local`; with `ipv6` or without.

    `forwards` and `neighbours` are the entries of the network's VXLAN device, for every endpoint that another
    node holds; `reach` says whom new connections may reach in each family. `alive` are all addresses that may
    have some (what goes to an endpoint that is only joining was sent to another), `virtual` those of services. `vteps`
    are where other nodes' packets come from, and `own` is this node's own endpoint. `rows`, `members` and `held` are
    for the next digest, which is not made from this one if `ambiguous`: two rows say something of one thing, and
    their order decides.
    """

    table: NetworkTable
    forwards: Entries = field(default_factory=Entries)
    neighbours: Entries = field(default_factory=Entries)
    reach: Mapping[Family, Reach] = field(default_factory=lambda: {each: Reach() for each in FAMILIES})
    alive: Derived[str, str] = field(default_factory=Derived[str, str])
    services: Derived[str, ServiceRow] = field(default_factory=Derived[str, ServiceRow])
    virtual: Derived[str, str] = field(default_factory=Derived[str, str])
    vteps: frozenset[str] = frozenset()
    own: EndpointRow | None = None
    rows: Derived[str, EndpointRow] = field(default_factory=Derived[str, EndpointRow])
    members: Members = field(default_factory=Members)
    held: Derived[str, int] = field(default_factory=Derived[str, int])
    ambiguous: bool = False
    local: str = ""
    ipv6: bool = True

    def services_since(self, before: "Digest", family: Family) -> set[str]:
        """The services that may be led elsewhere in a family than by `before`."""
        then, now = before.reach[family], self.reach[family]
        return {
            *touched(then.active, now.active),
            *touched(then.here, now.here),
            *touched(before.services, self.services),
        }


def digest(table: NetworkTable, host: Host, device: str, local: str, before: Digest | None = None) -> Digest:
    """What follows from `table`, made from what followed from one before it, if that is known."""
    if before is None or before.ambiguous or (before.local, before.ipv6) != (local, host.ipv6):
        before = Digest(NetworkTable(network_id=table.network_id))
    delta = table_delta(before.table, table)
    ids = (*delta.endpoints_removed, *(row.endpoint_id for row in delta.endpoints))
    gone = [row for id in ids if (row := before.rows.get(id)) is not None]
    rows = before.rows.changed({row.endpoint_id: row for row in delta.endpoints}, delta.endpoints_removed)
    ways = _Ways(host, device, local)
    ways.away(gone)
    ways.come(delta.endpoints)
    virtual = _Change[str, str]()
    for service_id in (*delta.services_removed, *(row.service_id for row in delta.services)):
        virtual.remove(virtual_of(before.services.get(service_id)))
    for service in delta.services:
        virtual.put_all((each, service.service_id) for each in virtual_of(service))
    held = _held(before.held, gone, delta.endpoints)
    every = held.keys() - {"", host.vtep}
    members = _members(before, gone, delta.endpoints)
    found = Digest(
        table,
        ways.forwards.of(before.forwards),
        ways.neighbours.of(before.neighbours),
        {each: _reach(before, members, host, each, ways.unkept[each]) for each in FAMILIES},
        ways.alive.of(before.alive),
        before.services.changed({row.service_id: row for row in delta.services}, delta.services_removed),
        virtual.of(before.virtual),
        before.vteps if before.vteps == every else frozenset(every),
        _own(before.own, delta.endpoints, rows, host),
        rows,
        members,
        held,
        local=local,
        ipv6=host.ipv6,
    )
    if not (ways.ambiguous or virtual.ambiguous):
        return found
    return replace(found if not before.rows else digest(table, host, device, local), ambiguous=True)


@dataclass(slots=True)
class _Change(Generic[K, V]):
    """What is put into a mapping, and dropped from it before; `ambiguous` if a key is put that stays otherwise."""

    put: dict[K, V] = field(default_factory=dict[K, V])
    dropped: set[K] = field(default_factory=set[K])
    ambiguous: bool = False

    def remove(self, keys: Iterable[K]) -> None:
        self.dropped.update(keys)

    def put_all(self, items: Iterable[tuple[K, V]]) -> None:
        for key, value in items:
            self.ambiguous = self.ambiguous or key in self.put
            self.put[key] = value

    def of(self, before: Derived[K, V]) -> Derived[K, V]:
        self.ambiguous = self.ambiguous or any(key in before and key not in self.dropped for key in self.put)
        return before.changed(self.put, self.dropped)


class _Ways:
    """The ways to endpoints: what each row adds, and takes away when it goes.

    A VXLAN device sends to addresses of the family of its own: there is no way to who has none of that, and asking the
    kernel for one would stop all that is asked for with it.
    """

    def __init__(self, host: Host, device: str, local: str) -> None:
        self._host = host
        self._device = device
        self._family = family_of(local)
        self.forwards = _Change[tuple[str, str], str]()
        self.neighbours = _Change[tuple[str, str], str]()
        self.unkept = {each: _Change[str, str]() for each in FAMILIES}
        self.alive = _Change[str, str]()

    @property
    def ambiguous(self) -> bool:
        return (
            self.forwards.ambiguous
            or self.neighbours.ambiguous
            or self.alive.ambiguous
            or any(each.ambiguous for each in self.unkept.values())
        )

    def away(self, rows: Iterable[EndpointRow]) -> None:
        for row in rows:
            self.alive.remove(row.addresses)
            usable = _usable(row, self._host)
            if self._is_remote(row):
                self.forwards.remove([(self._device, mac(row.number))])
                self.neighbours.remove([(self._device, each) for each in usable])
            if _takes(row) and not row.keeps_client_address:
                for each in usable:
                    self.unkept[family_of(each)].remove([each])

    def come(self, rows: Iterable[EndpointRow]) -> None:
        for row in rows:
            if not joins(row):
                self.alive.put_all((each, row.endpoint_id) for each in row.addresses)
            usable = _usable(row, self._host)
            if self._is_remote(row):
                own = mac(row.number)
                self.forwards.put_all([((self._device, own), row.vtep)])
                self.neighbours.put_all(((self._device, each), own) for each in usable)
            if _takes(row) and not row.keeps_client_address:
                for each in usable:
                    self.unkept[family_of(each)].put_all([(each, UNKEPT)])

    def _is_remote(self, row: EndpointRow) -> bool:
        elsewhere = row.node_id != self._host.node_id and bool(row.vtep) and row.vtep != self._host.vtep
        return elsewhere and family_of(row.vtep) is self._family and "%" not in row.vtep


def joins(row: EndpointRow | None) -> bool:
    """Tell whether a row is of an endpoint that nobody was sent to yet."""
    return row is not None and row.state is EndpointState.JOINING


def _takes(row: EndpointRow) -> bool:
    return row.state is EndpointState.ACTIVE and bool(row.service_id)


def _usable(row: EndpointRow, host: Host) -> Sequence[str]:
    """The row's addresses that this host can do something with."""
    return row.addresses if host.ipv6 else [each for each in row.addresses if family_of(each) is Family.IPV4]


def _members(before: Digest, gone: Iterable[EndpointRow], come: Iterable[EndpointRow]) -> Members:
    """The rows of each service that take connections, by id: so their order depends on nothing else."""
    left: dict[str, dict[str, EndpointRow]] = {}

    def of(service_id: str) -> dict[str, EndpointRow]:
        if service_id not in left:
            left[service_id] = {row.endpoint_id: row for row in before.members.get(service_id, ())}
        return left[service_id]

    for row in gone:
        if _takes(row):
            of(row.service_id).pop(row.endpoint_id, None)
    for row in come:
        if _takes(row):
            of(row.service_id)[row.endpoint_id] = row
    sorted_ = {id: tuple(rows[each] for each in sorted(rows)) for id, rows in left.items()}
    put = {id: rows for id, rows in sorted_.items() if rows}
    return before.members.changed(put, [id for id, rows in sorted_.items() if not rows])


def _reach(
    before: Digest, members: Members, host: Host, family: Family, unkept: "_Change[str, str]"
) -> Reach:
    active, here = dict[str, tuple[str, ...]](), dict[str, tuple[str, ...]]()
    moved = list(touched(before.members, members))
    for service_id in moved:
        rows: Sequence[EndpointRow] = members.get(service_id, ())
        for found, some in ((active, rows), (here, [row for row in rows if row.node_id == host.node_id])):
            addresses = [each for row in some for each in _usable(row, host) if family_of(each) is family]
            if addresses:
                found[service_id] = tuple(addresses)
    known = before.reach[family]
    return Reach(
        known.active.changed(active, moved), known.here.changed(here, moved), unkept.of(known.unkept)
    )


def _held(
    before: Derived[str, int], gone: Iterable[EndpointRow], come: Iterable[EndpointRow]
) -> Derived[str, int]:
    """How many rows each VTEP has."""
    put: dict[str, int] = {}
    for rows, step in ((gone, -1), (come, 1)):
        for row in rows:
            put[row.vtep] = put.get(row.vtep, before.get(row.vtep, 0)) + step
    return before.changed(
        {vtep: count for vtep, count in put.items() if count},
        [vtep for vtep, count in put.items() if not count],
    )


def _own(
    known: EndpointRow | None, come: Iterable[EndpointRow], rows: Derived[str, EndpointRow], host: Host
) -> EndpointRow | None:
    """The node's own endpoint, the first if there are several; all rows are asked only if the one known has gone."""
    stays = known is not None and rows.get(known.endpoint_id) is known
    some = come if known is None else [known, *come] if stays else rows.values()
    mine = (row for row in some if row.node_id == host.node_id and not row.task_id and row.addresses)
    return min(mine, key=lambda row: row.endpoint_id, default=None)


def virtual_of(row: ServiceRow | None) -> tuple[str, ...]:
    """The virtual addresses that connections to a service may go to."""
    return row.virtual_ips if row is not None and row.mode is EndpointMode.VIP else ()
