"""Links, addresses, routes, FDB and neighbours as rtnetlink messages.

What experience taught, and the code relies on: a veth's other end must not be asked to be up in the message
that makes it (ENOTCONN); one RTM_NEWLINK may carry master, state, MTU, MAC and the other end's namespace;
a VXLAN device made from one namespace with IFLA_NET_NS_FD of another keeps its UDP socket in the first.
"""

import socket
import struct
from ipaddress import IPv4Network, ip_address, ip_interface, ip_network

from covey.model.network_options import MODES

from ..firewall import family_of
from ..state import MAIN, Address, Kind, Link, Policy, Port, Route
from .wire import (
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    Message,
    attribute,
    nested,
    packed_address,
    text,
    u8,
    u16_big,
    u32,
)

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_GETROUTE = 26
RTM_NEWNEIGH = 28
RTM_DELNEIGH = 29
RTM_GETNEIGH = 30
RTM_NEWRULE = 32
RTM_DELRULE = 33
RTM_GETRULE = 34

IFF_UP = 1
IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINK = 5
IFLA_MASTER = 10
IFLA_LINKINFO = 18
IFLA_NET_NS_FD = 28
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
IFLA_INFO_SLAVE_KIND = 4
IFLA_INFO_SLAVE_DATA = 5

IFLA_BR_MCAST_SNOOPING = 23
IFLA_MACVLAN_MODE = 1
IFLA_VXLAN_ID = 1
IFLA_VXLAN_LOCAL = 4
IFLA_VXLAN_LOCAL6 = 17
IFLA_VXLAN_LEARNING = 7
IFLA_VXLAN_PROXY = 11
IFLA_VXLAN_PORT = 15
VETH_INFO_PEER = 1
IFLA_BRPORT_LEARNING = 8
IFLA_BRPORT_UNICAST_FLOOD = 9
IFLA_BRPORT_MCAST_FLOOD = 27
IFLA_BRPORT_ISOLATED = 33

IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_BROADCAST = 4
IFA_F_NODAD = 2
RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_PRIORITY = 6
RT_TABLE_MAIN = MAIN
IP6_RT_PRIO_USER = 1_024  # the metric of IPv6 routes that were given none
RTPROT_STATIC = 4
RTPROT_UNSPEC = 0
RTPROT_RA = 9
RTN_UNICAST = 1
RTN_LOCAL = 2
RTNH_F_ONLINK = 4
FR_ACT_TO_TBL = 1
FIB_RULE_INVERT = 2
FRA_PRIORITY = 6
FRA_FWMARK = 10
FRA_FWMASK = 16
POLICY_PRIORITY = 100
NDA_DST = 1
NDA_LLADDR = 2
NUD_NOARP = 0x40
NUD_PERMANENT = 0x80
NTF_SELF = 2
NTF_MASTER = 4

IFINFO = struct.Struct("=BxHiII")
IFADDR = struct.Struct("=BBBBi")
RTMSG = struct.Struct("=BBBBBBBBI")
NDMSG = struct.Struct("=BxxxiHBB")

_DO = NLM_F_REQUEST | NLM_F_ACK
_MAKE = _DO | NLM_F_CREATE | NLM_F_EXCL
_BESIDE = _DO | NLM_F_CREATE | NLM_F_APPEND
_PUT = _DO | NLM_F_CREATE | NLM_F_REPLACE


def mac_bytes(mac: str) -> bytes:
    """The six bytes of a MAC address."""
    return bytes.fromhex(mac.replace(":", ""))


def bridge(link: Link) -> Message:
    """Make a bridge without multicast snooping, for nothing here is multicast."""
    kind = (text(IFLA_INFO_KIND, "bridge"), nested(IFLA_INFO_DATA, u8(IFLA_BR_MCAST_SNOOPING, 0)))
    return _new_link(link, nested(IFLA_LINKINFO, *kind))


def vxlan(link: Link, namespace_fd: int | None) -> Message:
    """Make a VXLAN device in the namespace `namespace_fd`, with its UDP socket in the channel's own.

    The socket is of the family of the device's own address, and takes nothing of the other.

    It does not learn, has no default destination, and answers ARP from its neighbours.
    """
    assert link.vxlan is not None
    data = nested(
        IFLA_INFO_DATA,
        u32(IFLA_VXLAN_ID, link.vxlan.vni),
        attribute(
            IFLA_VXLAN_LOCAL6 if ":" in link.vxlan.local else IFLA_VXLAN_LOCAL,
            packed_address(link.vxlan.local),
        ),
        u8(IFLA_VXLAN_LEARNING, 0),
        u8(IFLA_VXLAN_PROXY, 1),
        u16_big(IFLA_VXLAN_PORT, link.vxlan.port),
    )
    where = u32(IFLA_NET_NS_FD, namespace_fd) if namespace_fd is not None else b""
    return _new_link(link, nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "vxlan"), data) + where, up=False)


def macvlan(link: Link, parent: int, namespace_fd: int) -> Message:
    """Make a macvlan device over the channel's own interface `parent`, in the namespace `namespace_fd`."""
    assert link.macvlan is not None
    data = nested(IFLA_INFO_DATA, u32(IFLA_MACVLAN_MODE, MODES[link.macvlan.mode]))
    where = u32(IFLA_LINK, parent) + u32(IFLA_NET_NS_FD, namespace_fd)
    return _new_link(link, nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "macvlan"), data) + where, up=False)


def veth(link: Link, other: Link, other_fd: int, master: int) -> Message:
    """Make a veth pair: `link` here, in `master` and up, and `other`, down, in the namespace `other_fd`."""
    peer = IFINFO.pack(0, 0, 0, 0, 0) + _described(other) + u32(IFLA_NET_NS_FD, other_fd)
    data = nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
    info = nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "veth"), data)
    return _new_link(link, info + u32(IFLA_MASTER, master))


def set_link(link: Link, index: int, master: int | None) -> Message:
    """Bring a link up (or down), with MTU, MAC and master where given."""
    up = IFF_UP if link.up else 0
    body = IFINFO.pack(0, 0, index, up, IFF_UP) + _described(link, named=False)
    if master is not None:
        body += u32(IFLA_MASTER, master)
    return Message(RTM_NEWLINK, _DO, body)


def set_port(index: int, port: Port) -> Message:
    """Say how the link's bridge treats it."""
    data = nested(
        IFLA_INFO_SLAVE_DATA,
        u8(IFLA_BRPORT_LEARNING, port.learning),
        u8(IFLA_BRPORT_UNICAST_FLOOD, port.flood),
        u8(IFLA_BRPORT_MCAST_FLOOD, port.multicast_flood),
        u8(IFLA_BRPORT_ISOLATED, port.isolated),
    )
    info = nested(IFLA_LINKINFO, text(IFLA_INFO_SLAVE_KIND, "bridge"), data)
    return Message(RTM_NEWLINK, _DO, IFINFO.pack(0, 0, index, 0, 0) + info)


def remove_link(name: str) -> Message:
    """Remove a link by its name."""
    return Message(RTM_DELLINK, _DO, IFINFO.pack(0, 0, 0, 0, 0) + text(IFLA_IFNAME, name))


def address(given: Address, index: int, *, remove: bool = False) -> Message:
    """Put an address on a link, or take it off."""
    interface = ip_interface(given.cidr)
    own, net = interface.ip.packed, interface.network
    # nobody else has it: a search for duplicates would only hold up whoever comes first
    flags = IFA_F_NODAD if net.version == 6 else 0
    body = IFADDR.pack(family_of(given.cidr), net.prefixlen, flags, 0, index)
    body += attribute(IFA_LOCAL, own) + attribute(IFA_ADDRESS, own)
    if isinstance(net, IPv4Network) and net.prefixlen < 31 and not remove:
        body += attribute(IFA_BROADCAST, net.broadcast_address.packed)
    return Message(RTM_DELADDR, _DO, body) if remove else Message(RTM_NEWADDR, _PUT, body)


def route(given: Route, index: int, *, remove: bool = False) -> Message:
    """Put a route by way of a gateway (or, without one, to this host itself), or remove it."""
    net = ip_network(given.cidr)
    flags = RTNH_F_ONLINK if given.onlink else 0
    kind = RTN_UNICAST if given.via else RTN_LOCAL
    made_by = RTPROT_UNSPEC if remove else RTPROT_STATIC  # whoever made it, it goes
    body = RTMSG.pack(family_of(given.cidr), net.prefixlen, 0, 0, given.table, made_by, 0, kind, flags)
    if net.prefixlen:
        body += attribute(RTA_DST, net.network_address.packed)
    if given.via:
        body += attribute(RTA_GATEWAY, ip_address(given.via).packed)
    body += u32(RTA_OIF, index)
    if given.metric:
        body += u32(RTA_PRIORITY, given.metric)
    # Those without a gateway stand side by side, one for each link: the kernel would replace another link's.
    make = _PUT if given.via else _BESIDE
    return Message(RTM_DELROUTE, _DO, body) if remove else Message(RTM_NEWROUTE, make, body)


def policy(given: Policy, *, remove: bool = False) -> Message:
    """Have marked packets routed by another table, before the main one is asked; or take that back."""
    family, flags = int(given.family), FIB_RULE_INVERT if given.negated else 0
    body = RTMSG.pack(family, 0, 0, 0, given.table, 0, 0, FR_ACT_TO_TBL, flags)
    body += u32(FRA_PRIORITY, POLICY_PRIORITY)
    body += u32(FRA_FWMARK, given.mark) + u32(FRA_FWMASK, given.mask)
    return Message(RTM_DELRULE, _DO, body) if remove else Message(RTM_NEWRULE, _MAKE, body)


def static(index: int, mac: str, *, remove: bool = False) -> Message:
    """Tell a bridge that a MAC address is behind the port `index`, for good; or take that back."""
    body = NDMSG.pack(socket.AF_BRIDGE, index, NUD_NOARP, NTF_MASTER, 0)
    body += attribute(NDA_LLADDR, mac_bytes(mac))
    return Message(RTM_DELNEIGH, _DO, body) if remove else Message(RTM_NEWNEIGH, _PUT, body)


def forward(index: int, mac: str, vtep: str) -> Message:
    """Tell a VXLAN device which VTEP a MAC address is behind."""
    body = NDMSG.pack(socket.AF_BRIDGE, index, NUD_PERMANENT | NUD_NOARP, NTF_SELF, 0)
    body += attribute(NDA_DST, packed_address(vtep)) + attribute(NDA_LLADDR, mac_bytes(mac))
    return Message(RTM_NEWNEIGH, _PUT, body)


def unforward(index: int, mac: str) -> Message:
    """Take back a `forward`."""
    body = NDMSG.pack(socket.AF_BRIDGE, index, NUD_PERMANENT, NTF_SELF, 0)
    return Message(RTM_DELNEIGH, _DO, body + attribute(NDA_LLADDR, mac_bytes(mac)))


def neighbour(index: int, ip: str, mac: str) -> Message:
    """A permanent neighbour, which the VXLAN device's proxy answers ARP and neighbour solicitations from."""
    body = NDMSG.pack(family_of(ip), index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, packed_address(ip)) + attribute(NDA_LLADDR, mac_bytes(mac))
    return Message(RTM_NEWNEIGH, _PUT, body)


def unneighbour(index: int, ip: str) -> Message:
    """Take back a `neighbour`."""
    body = NDMSG.pack(family_of(ip), index, NUD_PERMANENT, 0, 0)
    return Message(RTM_DELNEIGH, _DO, body + attribute(NDA_DST, packed_address(ip)))


def _new_link(link: Link, rest: bytes, *, up: bool = True) -> Message:
    flag = IFF_UP if up and link.up else 0
    return Message(RTM_NEWLINK, _MAKE, IFINFO.pack(0, 0, 0, flag, flag) + _described(link) + rest)


def _described(link: Link, *, named: bool = True) -> bytes:
    described = text(IFLA_IFNAME, link.name) if named else b""
    if link.mtu and link.kind is not Kind.LOOPBACK:
        described += u32(IFLA_MTU, link.mtu)
    if link.mac:
        described += attribute(IFLA_ADDRESS, mac_bytes(link.mac))
    return described
