"""Reading rtnetlink back: the links of a namespace and what lies on them, in the words of `state`."""

import errno
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from covey.model.network_options import MODES

from ..firewall import Family
from ..state import Address, Kind, Link, LinkIp, LinkMac, Macvlan, Policy, Port, Route, Vxlan
from . import rtnetlink as rt
from .wire import Channel, Message, address_text, attributes, string

_KINDS = {kind.value: kind for kind in Kind}
_MODES = {number: mode for mode, number in MODES.items()}
_IFF_LOOPBACK = 8
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_LINK_LOCAL = b"\xfe\x80"  # as the kernel makes them, of fe80::/10
_LOOPBACK = "::1/128"


@dataclass(frozen=True, slots=True)
class Found:
    """A link as read, with the kernel's index."""

    link: Link
    index: int


def interfaces(channel: Channel) -> tuple[dict[int, str], frozenset[str]]:
    """The names of all links by index, and those of links that are no loopback and in no bridge."""
    found = link_entries(channel)
    names = {head[2]: string(each[rt.IFLA_IFNAME]) for head, each in found}
    free = [
        names[head[2]] for head, each in found if not head[3] & _IFF_LOOPBACK and rt.IFLA_MASTER not in each
    ]
    return names, frozenset(free)


def link_entries(channel: Channel) -> list[tuple[tuple[int, ...], dict[int, bytes]]]:
    """Every link of the namespace as the kernel lists it: the fields of `IFINFO`, and its attributes."""
    return [
        (rt.IFINFO.unpack_from(body), attributes(body[rt.IFINFO.size :]))
        for _, body in channel.dump(Message(rt.RTM_GETLINK, 0, rt.IFINFO.pack(0, 0, 0, 0, 0)))
    ]


_NO_NAMES: Mapping[int, str] = {}


def links(channel: Channel, outside: Mapping[int, str] = _NO_NAMES) -> dict[str, Found]:
    """Every link of the namespace by name, those of foreign kinds left out; `outside` names the node's by index."""
    entries = link_entries(channel)
    names = {head[2]: string(found[rt.IFLA_IFNAME]) for head, found in entries}
    result = {}
    for (_, _, index, flags, _), found in entries:
        info = attributes(found.get(rt.IFLA_LINKINFO, b""))
        kind = _KINDS.get(string(info.get(rt.IFLA_INFO_KIND, b"")))
        if flags & _IFF_LOOPBACK:
            kind = Kind.LOOPBACK
        if kind is None:
            continue
        master = names.get(_u32(found.get(rt.IFLA_MASTER, b"")), "")
        link = Link(
            names[index],
            kind,
            mtu=_u32(found[rt.IFLA_MTU]),
            mac=_mac(found.get(rt.IFLA_ADDRESS, b"")) if kind is not Kind.LOOPBACK else "",
            up=bool(flags & rt.IFF_UP),
            master=master,
            port=_port(info) if master else None,
            vxlan=_vxlan(info) if kind is Kind.VXLAN else None,
            macvlan=_macvlan(found, info, outside) if kind is Kind.MACVLAN else None,
        )
        result[link.name] = Found(link, index)
    return result


def mtu_of(channel: Channel, address: str) -> int:
    """The MTU of the link that has this IPv4 address; 0 if none has."""
    wanted = socket.inet_aton(address)
    request = Message(rt.RTM_GETADDR, 0, rt.IFADDR.pack(socket.AF_INET, 0, 0, 0, 0))
    holders = {
        rt.IFADDR.unpack_from(body)[4]
        for _, body in channel.dump(request)
        if attributes(body[rt.IFADDR.size :]).get(rt.IFA_LOCAL) == wanted
    }
    for head, each in link_entries(channel):
        if head[2] in holders:
            return _u32(each[rt.IFLA_MTU])
    return 0


def addresses(channel: Channel, names: Mapping[int, str]) -> frozenset[Address]:
    """The addresses on the links `names` (index to name), but for IPv6's link-local ones."""
    found = set()
    for _, body in channel.dump(Message(rt.RTM_GETADDR, 0, rt.IFADDR.pack(0, 0, 0, 0, 0))):
        family, prefix, _, _, index = rt.IFADDR.unpack_from(body)
        entry = attributes(body[rt.IFADDR.size :])
        own = entry.get(rt.IFA_LOCAL, entry.get(rt.IFA_ADDRESS))  # IPv6 has the first for point-to-point only
        if family not in _FAMILIES or index not in names or own is None or own[:2] == _LINK_LOCAL:
            continue
        found.add(Address(names[index], f"{socket.inet_ntop(family, own)}/{prefix}"))
    return frozenset(found)


def routes(channel: Channel, names: Mapping[int, str]) -> frozenset[Route]:
    """The routes by way of a gateway, or of loopback, over the links `names`, of every table."""
    found = set()
    for each in _routes(channel):
        if (each.gateway or each.cidr == _LOOPBACK) and each.index in names:
            found.add(Route(each.cidr, each.gateway, names[each.index], each.onlink, each.table, each.metric))
    return frozenset(found)


def policies(channel: Channel) -> frozenset[Policy]:
    """Which marked packets are routed by which table, as `rtnetlink.policy` says it."""
    found = set()
    for _, body in channel.dump(Message(rt.RTM_GETRULE, 0, rt.RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))):
        family, _, _, _, table, _, _, _, flags = rt.RTMSG.unpack_from(body)
        entry = attributes(body[rt.RTMSG.size :])
        if family not in _FAMILIES or _u32(entry.get(rt.FRA_PRIORITY, b"")) != rt.POLICY_PRIORITY:
            continue
        mask = _u32(entry.get(rt.FRA_FWMASK, b""))
        if mask:
            mark = _u32(entry.get(rt.FRA_FWMARK, b""))  # it is left out if it is 0
            found.add(Policy(mark, mask, table, Family(family), bool(flags & rt.FIB_RULE_INVERT)))
    return frozenset(found)


def link_routes(channel: Channel) -> list[tuple[str, str]]:
    """The main table's destinations, each with the link it leads over."""
    names = _names(channel)
    return sorted(
        {
            (each.cidr, names.get(each.index, "?"))
            for each in _routes(channel)
            if each.table == rt.RT_TABLE_MAIN
        }
    )


def taught_links(channel: Channel) -> frozenset[str]:
    """The links over which IPv6 routes lead that routers have advertised."""
    names = _names(channel)
    taught = (each.index for each in _routes(channel) if each.protocol == rt.RTPROT_RA)
    return frozenset(names[index] for index in taught if index in names)


def _names(channel: Channel) -> dict[int, str]:
    return {head[2]: string(each[rt.IFLA_IFNAME]) for head, each in link_entries(channel)}


def statics(channel: Channel, names: Mapping[int, str]) -> frozenset[LinkMac]:
    """The bridge FDB entries that somebody made by hand on the ports `names`."""
    found = set()
    for index, state, flags, entry in _neighbours(channel, socket.AF_BRIDGE):
        ours = state & rt.NUD_NOARP and not state & rt.NUD_PERMANENT
        if index in names and ours and not flags & rt.NTF_SELF and rt.NDA_LLADDR in entry:
            found.add((names[index], _mac(entry[rt.NDA_LLADDR])))
    return frozenset(found)


def forwards(channel: Channel, names: Mapping[int, str]) -> dict[LinkMac, str]:
    """The FDB entries of the VXLAN devices `names`, MAC to VTEP."""
    found = {}
    for index, _, flags, entry in _neighbours(channel, socket.AF_BRIDGE):
        if index in names and flags & rt.NTF_SELF and rt.NDA_DST in entry and rt.NDA_LLADDR in entry:
            found[names[index], _mac(entry[rt.NDA_LLADDR])] = address_text(entry[rt.NDA_DST])
    return found


def neighbours(channel: Channel, names: Mapping[int, str]) -> dict[LinkIp, str]:
    """The permanent neighbours on the links `names`, such as VXLAN devices."""
    found = {}
    for family in _FAMILIES:
        for index, state, _, entry in _neighbours(channel, family):
            if index in names and state & rt.NUD_PERMANENT and rt.NDA_LLADDR in entry:
                ip = socket.inet_ntop(family, entry[rt.NDA_DST])
                found[names[index], ip] = _mac(entry[rt.NDA_LLADDR])
    return found


@dataclass(frozen=True, slots=True)
class _Route:
    """A route as read, with the index of the link it leads over."""

    cidr: str
    gateway: str
    index: int
    onlink: bool
    table: int
    protocol: int
    metric: int


def _routes(channel: Channel) -> list[_Route]:
    """Unicast routes, and those by which loopback of IPv6 is this host's own."""
    request = rt.RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)
    found = []
    for _, body in channel.dump(Message(rt.RTM_GETROUTE, 0, request)):
        family, prefix, _, _, table, protocol, _, kind, flags = rt.RTMSG.unpack_from(body)
        if family not in _FAMILIES or kind not in (rt.RTN_UNICAST, rt.RTN_LOCAL):
            continue
        entry = attributes(body[rt.RTMSG.size :])
        anywhere = bytes(4 if family == socket.AF_INET else 16)
        cidr = f"{socket.inet_ntop(family, entry.get(rt.RTA_DST, anywhere))}/{prefix}"
        if kind == rt.RTN_LOCAL and cidr != _LOOPBACK:
            continue
        gateway, metric = entry.get(rt.RTA_GATEWAY), _u32(entry.get(rt.RTA_PRIORITY, b""))
        found.append(
            _Route(
                cidr,
                socket.inet_ntop(family, gateway) if gateway else "",
                _u32(entry.get(rt.RTA_OIF, b"")),
                bool(flags & rt.RTNH_F_ONLINK),
                table,
                protocol,
                0 if metric == rt.IP6_RT_PRIO_USER and family == socket.AF_INET6 else metric,
            )
        )
    return found


def _neighbours(channel: Channel, family: int) -> list[tuple[int, int, int, dict[int, bytes]]]:
    """(link index, state, flags, attributes) of each neighbour or FDB entry."""
    found = []
    try:
        entries = channel.dump(Message(rt.RTM_GETNEIGH, 0, rt.NDMSG.pack(family, 0, 0, 0, 0)))
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # no bridge was ever made here
            return []
        raise
    for _, body in entries:
        _, index, state, flags, _ = rt.NDMSG.unpack_from(body)
        found.append((index, state, flags, attributes(body[rt.NDMSG.size :])))
    return found


def _vxlan(info: Mapping[int, bytes]) -> Vxlan:
    data = attributes(info.get(rt.IFLA_INFO_DATA, b""))
    local = data.get(rt.IFLA_VXLAN_LOCAL6) or data.get(rt.IFLA_VXLAN_LOCAL, bytes(4))
    port = int.from_bytes(data.get(rt.IFLA_VXLAN_PORT, b""), "big")
    return Vxlan(_u32(data.get(rt.IFLA_VXLAN_ID, b"")), address_text(local), port)


def _macvlan(found: Mapping[int, bytes], info: Mapping[int, bytes], outside: Mapping[int, str]) -> Macvlan:
    data = attributes(info.get(rt.IFLA_INFO_DATA, b""))
    parent = outside.get(_u32(found.get(rt.IFLA_LINK, b"")), "")
    return Macvlan(parent, _MODES.get(_u32(data.get(rt.IFLA_MACVLAN_MODE, b"")), "other"))


def _port(info: Mapping[int, bytes]) -> Port:
    data = attributes(info.get(rt.IFLA_INFO_SLAVE_DATA, b""))
    return Port(
        learning=_flag(data, rt.IFLA_BRPORT_LEARNING),
        flood=_flag(data, rt.IFLA_BRPORT_UNICAST_FLOOD),
        multicast_flood=_flag(data, rt.IFLA_BRPORT_MCAST_FLOOD),
        isolated=_flag(data, rt.IFLA_BRPORT_ISOLATED),
    )


def _flag(data: Mapping[int, bytes], kind: int) -> bool:
    return data.get(kind, b"\0")[0] != 0


def _u32(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder)


def _mac(data: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in data)
