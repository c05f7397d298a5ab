"""What one row of a table adds to its zone. Pure; worked out once for each version of a row."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from covey import limits
from covey.model.states import EndpointMode
from covey.model.tables import EndpointRow, ServiceRow

from .codec import BadNameError, Records, reverse_wire, wire_name

SHORT_ID_CHARS = 12
NO_ADDRESSES = Records.of((), limits.dns_ttl_tasks_s)


@dataclass(frozen=True, slots=True)
class TaskNames:
    """An endpoint's names and addresses. `name` is what its addresses lead back to."""

    row: EndpointRow
    name: str = ""
    wires: tuple[bytes, ...] = ()
    records: Records = NO_ADDRESSES
    reverse: tuple[bytes, ...] = ()
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceNames:
    """A service's names, and its virtual addresses if it has any."""

    row: ServiceRow
    wires: tuple[bytes, ...]
    tasks_wires: tuple[bytes, ...]
    alias_wires: tuple[bytes, ...]
    tasks_alias_wires: tuple[bytes, ...]
    virtual: Records | None
    reverse: tuple[bytes, ...]
    unusable: tuple[str, ...]


def task_names(row: EndpointRow) -> TaskNames:
    """Work out what an endpoint adds. Raises ValueError if it has what is no address."""
    if not row.task_id:
        return TaskNames(row)
    addresses = tuple(ip_address(address) for address in row.addresses)
    short_id = row.task_id[:SHORT_ID_CHARS]
    wires, unusable = _wires(name for name in (row.task_name, row.hostname, short_id) if name)
    return TaskNames(
        row=row,
        name=row.task_name or short_id,
        wires=wires,
        records=Records.of(addresses, limits.dns_ttl_tasks_s),
        reverse=tuple(reverse_wire(address) for address in addresses),
        unusable=unusable,
    )


def service_names(row: ServiceRow) -> ServiceNames:
    """Work out what a service adds. Raises ValueError if it has what is no address."""
    virtual = None
    if row.mode is EndpointMode.VIP and row.virtual_ips:
        virtual = Records.of(tuple(ip_address(each) for each in row.virtual_ips), limits.dns_ttl_vip_s)
    wires, unusable = _wires([row.name])
    alias_wires, unusable_aliases = _wires(row.aliases)
    # `tasks.` makes a name longer, and one that is too long by that is missed by nobody.
    return ServiceNames(
        row=row,
        wires=wires,
        tasks_wires=_wires([f"tasks.{row.name}"])[0],
        alias_wires=alias_wires,
        tasks_alias_wires=_wires(f"tasks.{alias}" for alias in row.aliases)[0],
        virtual=virtual,
        reverse=tuple(reverse_wire(address) for address in virtual.addresses) if virtual is not None else (),
        unusable=(*unusable, *unusable_aliases),
    )


def _wires(names: Iterable[str]) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    wires, unusable = list[bytes](), list[str]()
    for name in names:
        try:
            wires.append(wire_name(name))
        except BadNameError:
            unusable.append(name)
    return tuple(dict.fromkeys(wires)), tuple(unusable)
