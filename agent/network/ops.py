"""Operations: the steps that lead from what is there to what should be, as data.

Each can be repeated and can follow an interruption: making what exists replaces it or is skipped by the
plan, removing what is gone is no error. `PHASES` is the order in which a plan carries them out. A wrong
namespace or link goes before its successor comes, links come before what lies on them, a new endpoint can
be reached before the firewall sends anyone there, and the firewall sends nobody there any more before an
endpoint's way is taken down.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .firewall import Chain, Table
from .state import Address, Link, Policy, Port, Route


@dataclass(frozen=True, slots=True)
class RemoveLink:
    """Remove a link, and with a veth its other end."""

    netns: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoveNetns:
    """Unbind a namespace; what is inside, and the other ends of its veths, go with it."""

    netns: str


@dataclass(frozen=True, slots=True)
class CreateNetns:
    """Make an empty namespace."""

    netns: str


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Write a kernel setting of the namespace."""

    netns: str
    path: str
    value: str


@dataclass(frozen=True, slots=True)
class SetLinkSysctl:
    """Write a kernel setting that is there only once its link is."""

    netns: str
    path: str
    value: str


@dataclass(frozen=True, slots=True)
class CreateLink:
    """Make a link, in its master and up as the wish says; a veth's `other` end is made with it, down."""

    netns: str
    link: Link
    other: Link | None = None


@dataclass(frozen=True, slots=True)
class SetLink:
    """Bring up a link, with this MTU, MAC address and master where they are given."""

    netns: str
    link: Link


@dataclass(frozen=True, slots=True)
class SetPort:
    """Say how a bridge treats one of its ports."""

    netns: str
    name: str
    port: Port


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take an address off a link; the routes over it go too."""

    netns: str
    address: Address


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Put an address on a link."""

    netns: str
    address: Address


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Remove a route."""

    netns: str
    route: Route


@dataclass(frozen=True, slots=True)
class AddRoute:
    """Add a route, or replace the one to the same destination."""

    netns: str
    route: Route


@dataclass(frozen=True, slots=True)
class RemovePolicy:
    """Take back an `AddPolicy`."""

    netns: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class AddPolicy:
    """Have marked packets routed by another table."""

    netns: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class AddStatic:
    """Tell a bridge which port a MAC address is behind."""

    netns: str
    link: str
    mac: str


@dataclass(frozen=True, slots=True)
class RemoveStatic:
    """Take back an `AddStatic`."""

    netns: str
    link: str
    mac: str


@dataclass(frozen=True, slots=True)
class SetForward:
    """Tell a VXLAN device which VTEP a MAC address is behind, in place of any other."""

    netns: str
    link: str
    mac: str
    vtep: str


@dataclass(frozen=True, slots=True)
class RemoveForward:
    """Take back a `SetForward`."""

    netns: str
    link: str
    mac: str


@dataclass(frozen=True, slots=True)
class SetNeighbour:
    """Tell a VXLAN device what to answer to "who has this address"."""

    netns: str
    link: str
    ip: str
    mac: str


@dataclass(frozen=True, slots=True)
class RemoveNeighbour:
    """Take back a `SetNeighbour`."""

    netns: str
    link: str
    ip: str


@dataclass(frozen=True, slots=True)
class ReplaceTable:
    """Put a whole firewall table in place of whatever has its name, in one transaction."""

    netns: str
    table: Table


@dataclass(frozen=True, slots=True)
class EditTable:
    """Change chains and map elements of a standing table, in one transaction.

    `put` chains are made or refilled; then map elements are removed and set; then `drop` chains go.
    """

    netns: str
    table: Table
    put: tuple[Chain, ...] = ()
    drop: tuple[str, ...] = ()
    unset: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    set: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])


@dataclass(frozen=True, slots=True)
class RemoveTable:
    """Remove a firewall table."""

    netns: str
    name: str


Operation = (
    RemoveLink
    | RemoveNetns
    | CreateNetns
    | SetSysctl
    | SetLinkSysctl
    | CreateLink
    | SetLink
    | SetPort
    | RemoveAddress
    | AddAddress
    | RemoveRoute
    | AddRoute
    | RemovePolicy
    | AddPolicy
    | AddStatic
    | RemoveStatic
    | SetForward
    | RemoveForward
    | SetNeighbour
    | RemoveNeighbour
    | ReplaceTable
    | EditTable
    | RemoveTable
)

PHASES: tuple[tuple[type[Operation], ...], ...] = (
    (RemoveLink,),
    (RemoveNetns,),
    (CreateNetns,),
    (SetSysctl,),
    (CreateLink,),
    (SetLink, SetPort),
    (SetLinkSysctl,),  # one that was too small for IPv6 has settings of it only once it has grown
    (RemoveAddress,),
    (AddAddress,),
    (RemoveRoute,),
    (AddRoute,),
    (RemovePolicy,),
    (AddPolicy,),
    (AddStatic, SetForward, SetNeighbour),
    (ReplaceTable, EditTable, RemoveTable),
    (RemoveStatic, RemoveForward, RemoveNeighbour),
)

ALONE = (CreateNetns, RemoveNetns, CreateLink, ReplaceTable, EditTable, RemoveTable)
"""Those that are carried out by themselves; others go together with what comes behind them in the same namespace."""
