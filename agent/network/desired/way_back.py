"""Inside a task's namespace: replies go back to the node through which their connection came. Pure.

A task that sees the client's own address would answer it by its way out, and the client would take no answer
from there. So what came in by the ingress interface is remembered by the node that sent it, whose number is
the end of the frame's MAC address:

1. the first packet marks its connection with that number;
2. what the task sends on such a connection bears the mark, and is routed anew;
3. a table of its own leads marked packets to a gateway that does not exist, out of the ingress interface;
4. there the mark becomes the end of the frame's destination, and the frame goes to that node.

This is the same whatever the number of nodes, and needs no change when they come and go.

A network with IPv6 has the same once more in that family; only the last step is common, for it knows of frames
alone. There the rule asks for no number, since those of such a network need not begin alike.

A UDP program that listens on every address answers from the address by which it would call the client, not
from that which was asked. So where there is a way out, what is asked by UDP from outside the ingress network
is handed to the address there.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from .. import names
from ..firewall import (
    Balance,
    Base,
    Chain,
    Family,
    FromAddress,
    Hook,
    InLink,
    MarkBySender,
    OverUdp,
    SendToMark,
    Table,
    TakeMark,
    Target,
    Unmarked,
)
from ..state import LinkIp, Policy, Route
from .addressing import IpNetwork

# It is never asked: its MAC address is known, and only its first two bytes are used.
GATEWAY = {Family.IPV4: "169.254.0.1", Family.IPV6: "fe80::1"}
ANYWHERE = {Family.IPV4: "0.0.0.0/0", Family.IPV6: "::/0"}
GATEWAY_MAC = "02:42:00:00:00:00"
TABLE = 100
_ALL = 0xFFFF_FFFF
_MANGLE = -150
_DESTINATION_NAT = -100


@dataclass(frozen=True, slots=True)
class Return:
    """What the way back adds to a task's namespace."""

    routes: tuple[Route, ...] = ()
    policies: frozenset[Policy] = frozenset()
    neighbours: Mapping[LinkIp, str] = field(default_factory=dict[LinkIp, str])
    tables: tuple[Table, ...] = ()


def way_back(link: str, subnets: Mapping[Family, IpNetwork], way_out: Mapping[Family, str]) -> Return:
    """The way back over the ingress interface `link`, in each family of which the network has one of `subnets`.

    `way_out` are the task's addresses on the gateway, if any.
    """
    routes, policies, neighbours, tables = [], [], {}, []
    for family, subnet in subnets.items():
        gateway, anywhere = GATEWAY[family], ANYWHERE[family]
        routes.append(Route(anywhere, gateway, link, onlink=True, table=TABLE))
        if (
            family not in way_out
        ):  # without any route to the client, the task would not get so far as to answer
            routes.append(Route(anywhere, gateway, link, onlink=True))
        policies.append(_policy(subnet))
        neighbours[link, gateway] = GATEWAY_MAC
        tables.append(_tracking(family, link, str(subnet), way_out.get(family, "")))
    return Return(tuple(routes), frozenset(policies), neighbours, (*tables, _sending(link)))


def _policy(subnet: IpNetwork) -> Policy:
    if not isinstance(subnet, IPv4Network):
        return Policy(0, _ALL, TABLE, Family.IPV6, negated=True)
    mark, mask = (
        int.from_bytes(each.packed, sys.byteorder) for each in (subnet.network_address, subnet.netmask)
    )
    return Policy(mark, mask, TABLE)


def _tracking(family: Family, link: str, subnet: str, way_out: str) -> Table:
    chains = [
        Chain(
            "arriving",
            ((InLink(link), Unmarked(), MarkBySender()),),
            Base("filter", Hook.PREROUTING, _MANGLE),
        ),
        Chain("answering", ((TakeMark(),),), Base("route", Hook.OUTPUT, _MANGLE)),
    ]
    if way_out:
        chains.append(
            Chain(
                "asked",
                ((InLink(link), FromAddress(subnet, negated=True), OverUdp(), Balance((Target(way_out),))),),
                Base("nat", Hook.PREROUTING, _DESTINATION_NAT),
            )
        )
    return Table(names.table(names.RETURN_TABLE, family), tuple(chains), family=family)


def _sending(link: str) -> Table:
    base = Base("filter", Hook.EGRESS, 0, link)
    return Table(names.EGRESS_TABLE, (Chain("sending", ((SendToMark(),),), base),), family=Family.LINK)
