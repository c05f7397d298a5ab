"""What network namespaces hold, as data: the same words for what is there and what should be.

A node is a mapping from namespace name to `Netns`. The name is that of the file under `RUN/netns`; the
node's own namespace is `NODE`. A field that the kernel fills in by itself is empty in a wish, and then
matches anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .firewall import Family, Table, TableView

NODE = ""
MAIN = 254  # the number of the routing table that has all routes, if not said otherwise
LOCAL = 255  # that of what is the namespace's own


class Kind(StrEnum):
    """What a link is, by the kernel's own names."""

    LOOPBACK = "loopback"
    BRIDGE = "bridge"
    VXLAN = "vxlan"
    VETH = "veth"
    MACVLAN = "macvlan"


@dataclass(frozen=True, slots=True)
class Vxlan:
    """A VXLAN device's fixed parameters. `local` is the VTEP address its packets come from."""

    vni: int
    local: str
    port: int


@dataclass(frozen=True, slots=True)
class Macvlan:
    """A macvlan device's fixed parameters. `parent` is an interface of the node's own namespace."""

    parent: str
    mode: str


@dataclass(frozen=True, slots=True)
class Port:
    """How a bridge treats a link. Nothing is learned; `flood` sends unknown unicast there."""

    learning: bool = False
    flood: bool = False
    multicast_flood: bool = False
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """One link. `peer` is (namespace, name) of a veth's other end; it is unknown (None) when read back."""

    name: str
    kind: Kind
    mtu: int = 0
    mac: str = ""
    up: bool = True
    master: str = ""
    port: Port | None = None
    vxlan: Vxlan | None = None
    peer: tuple[str, str] | None = None
    macvlan: Macvlan | None = None


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """An address with its prefix length (`10.0.0.3/24`, `fd00::3/64`) on a link. Link-local ones of IPv6 are
    the kernel's own affair."""

    link: str
    cidr: str


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """A route by way of a gateway; those that come with addresses are the kernel's own affair.

    `onlink`: the gateway is there although no address of the link says so. `table` is the kernel's number.
    Without a gateway it is said of the destination that what comes in by the link for it is for this host.
    Wishes have no `metric`, which is the kernel's own choice then (0 here, in either family); others' may.
    """

    cidr: str
    via: str
    link: str
    onlink: bool = False
    table: int = MAIN
    metric: int = 0

    @property
    def place(self) -> tuple[int, str, int, str]:
        """In what a route that is put takes another's place: those without a gateway have each a link."""
        return self.table, self.cidr, self.metric, "" if self.via else self.link


@dataclass(frozen=True, slots=True, order=True)
class Policy:
    """Which packets a routing table other than the main one is asked for: those marked `mark` under `mask`,
    or, negated, all others.
    """

    mark: int
    mask: int
    table: int
    family: Family = Family.IPV4
    negated: bool = False


LinkMac = tuple[str, str]
LinkIp = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Netns:
    """One namespace.

    `forwards` are VXLAN FDB entries ((link, MAC) to VTEP), `statics` bridge FDB entries (port, MAC),
    `neighbours` permanent ones ((link, IP) to MAC). `tables` is what can be read back of a firewall,
    `rules` the whole of it, in wishes only. `sysctls` are paths under /proc/sys, with `/`.
    """

    links: Mapping[str, Link] = field(default_factory=dict[str, Link])
    addresses: frozenset[Address] = frozenset()
    routes: frozenset[Route] = frozenset()
    policies: frozenset[Policy] = frozenset()
    statics: frozenset[LinkMac] = frozenset()
    forwards: Mapping[LinkMac, str] = field(default_factory=dict[LinkMac, str])
    neighbours: Mapping[LinkIp, str] = field(default_factory=dict[LinkIp, str])
    tables: Mapping[str, TableView] = field(default_factory=dict[str, TableView])
    rules: Mapping[str, Table] = field(default_factory=dict[str, Table])
    sysctls: Mapping[str, str] = field(default_factory=dict[str, str])


LOOPBACK_DOWN = Link("lo", Kind.LOOPBACK, up=False)
FRESH = Netns(links={"lo": LOOPBACK_DOWN})  # what a new namespace holds

Node = Mapping[str, Netns]
