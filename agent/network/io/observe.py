"""Reading a whole node back: what every namespace of ours holds, and what the host is like."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from .. import names
from ..firewall import Family
from ..state import NODE, Kind, Netns, Node
from . import dump, sysctl
from .nftables import readback
from .places import Places

_LINKS = "net/ipv6/conf"
_FORWARDING = f"{_LINKS}/all/forwarding"
_NO_LINKS = ("all", "default", "lo")
_FILTERED = {
    "net/bridge/bridge-nf-call-iptables": Family.IPV4,
    "net/bridge/bridge-nf-call-ip6tables": Family.IPV6,
}
_INNER = (Kind.BRIDGE, Kind.VETH, Kind.VXLAN, Kind.MACVLAN)


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there. `broken` are files in the namespaces' directory that no namespace is bound to."""

    node: Node
    broken: tuple[str, ...]
    foreign_routes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the host the wishes depend on. `advertised` are links that learn IPv6 routes, and would no more."""

    mtu: int
    ipv6: bool
    bridge_filter: bool
    interfaces: frozenset[str]
    advertised: tuple[str, ...] = ()
    filtered: frozenset[Family] = frozenset()


def observe(places: Places) -> Observed:
    """Read everything of ours: the node's own namespace and every one bound in its directory."""
    bound, broken = places.bound()
    outside, _ = dump.interfaces(places.routing(NODE))
    node = {NODE: _netns(places, NODE)}
    for name in bound:
        node[name] = _netns(places, name, outside)
        places.rest(name)
    routes = dump.link_routes(places.routing(NODE))
    foreign = tuple(route for route, link in routes if not names.link_is_ours(NODE, link))
    return Observed(node, tuple(broken), foreign)


def with_settings(places: Places, name: str, have: Netns, want: Netns | None) -> Netns:
    """What a namespace holds, and of its kernel settings those that somebody wants to be something."""
    if want is None:
        return have
    return replace(have, sysctls=sysctl.read(places.path(name), want.sysctls))


def surroundings(places: Places, vtep: str) -> Surroundings:
    """Look at the host: the MTU of the link that has the VTEP address, and kernel features."""
    return Surroundings(
        mtu=dump.mtu_of(places.routing(NODE), vtep),
        ipv6=sysctl.has_ipv6(),
        bridge_filter=sysctl.present("net/bridge/bridge-nf-call-iptables"),
        interfaces=interfaces(places),
        advertised=tuple(_advertised(places)),
        filtered=filtered(),
    )


def filtered() -> frozenset[Family]:
    """The families of which the host's firewall looks at frames that bridges pass on."""
    found = sysctl.read(None, _FILTERED)
    return frozenset(family for path, family in _FILTERED.items() if found.get(path) == "1")


def interfaces(places: Places) -> frozenset[str]:
    """The node's interfaces that a macvlan network could go by: not ours, in no bridge."""
    _, free = dump.interfaces(places.routing(NODE))
    return frozenset(name for name in free if not names.link_is_ours(NODE, name))


def _advertised(places: Places) -> Iterator[str]:
    """The host's links that listen to routers as long as nothing is forwarded: `accept_ra` is 1.

    Of bridges and what may be on them, only those by which a router was heard: containers of other engines are no
    routers, and must not become any.
    """
    channel = places.routing(NODE)
    taught = dump.taught_links(channel)
    inner = {name for name, each in dump.links(channel).items() if each.link.kind in _INNER}
    inner |= {*_NO_LINKS, *filter(partial(names.link_is_ours, NODE), sysctl.entries(_LINKS))}
    listening = [each for each in sysctl.entries(_LINKS) if each in taught or each not in inner]
    settings = {f"{_LINKS}/{each}/accept_ra": each for each in listening}
    found = sysctl.read(None, [_FORWARDING, *settings])
    if found.get(_FORWARDING) == "0":
        yield from sorted(link for path, link in settings.items() if found.get(path) == "1")


_NOBODY: Mapping[int, str] = {}


def _ours(places: Places, name: str, outside: Mapping[int, str]) -> dict[str, dump.Found]:
    found = dump.links(places.routing(name), outside)
    return {
        link: each
        for link, each in found.items()
        if names.link_is_ours(name, link) and (name != NODE or each.link.kind is not Kind.LOOPBACK)
    }


def _netns(places: Places, name: str, outside: Mapping[int, str] = _NOBODY) -> Netns:
    channel = places.routing(name)
    found = _ours(places, name, outside)
    indexes = {each.index: link for link, each in found.items() if each.link.kind is not Kind.LOOPBACK}
    vxlans = {each.index: link for link, each in found.items() if each.link.kind is Kind.VXLAN}
    ports = {each.index: link for link, each in found.items() if each.link.master}
    answering = vxlans if name == NODE else indexes
    filtering = places.filtering(name)
    link_tables = readback.tables(filtering, names.LINK_TABLES, Family.LINK) if name != NODE else {}
    return Netns(
        links={link: each.link for link, each in found.items()},
        addresses=dump.addresses(channel, indexes),
        routes=dump.routes(channel, indexes),
        statics=dump.statics(channel, ports) if ports else frozenset(),
        forwards=dump.forwards(channel, vxlans) if vxlans else {},
        neighbours=dump.neighbours(channel, answering) if answering else {},
        tables=readback.tables(filtering, names.TABLES)
        | readback.tables(filtering, names.TABLES_IPV6, Family.IPV6)
        | link_tables,
        policies=dump.policies(channel) if name != NODE else frozenset(),
    )
