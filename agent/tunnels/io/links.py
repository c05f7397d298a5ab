"""What rtnetlink knows of tunnels' devices: whether they are there and up, their addresses, the routes over them."""

import errno
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path

from agent.network.io import dump
from agent.network.io import rtnetlink as rt
from agent.network.io.wire import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    Channel,
    Message,
    attribute,
    attributes,
    string,
    u32,
)
from agent.network.state import Address

from .wireguard import TunnelFault

_SETTINGS = Path("/proc/sys/net/ipv6/conf")
_DO = NLM_F_REQUEST | NLM_F_ACK
_PUT = _DO | NLM_F_CREATE | NLM_F_REPLACE
_RT_SCOPE_LINK = 253
_NO_LINK_LOCAL = "1"  # addr_gen_mode: IN6_ADDR_GEN_MODE_NONE


@dataclass(slots=True)
class Found:
    """A link as read. `routes` are the single addresses that lead over it."""

    index: int
    mtu: int
    up: bool
    addresses: set[str] = field(default_factory=set[str])
    routes: set[str] = field(default_factory=set[str])


def read(names: Iterable[str]) -> dict[str, Found]:
    """Read those of the links that are there."""
    wanted = set(names)
    found: dict[int, tuple[str, Found]] = {}
    with Channel(socket.NETLINK_ROUTE) as channel:
        for (_, _, index, flags, _), entry in dump.link_entries(channel):
            if (name := string(entry[rt.IFLA_IFNAME])) in wanted:
                mtu = int.from_bytes(entry[rt.IFLA_MTU], sys.byteorder)
                found[index] = name, Found(index, mtu, bool(flags & rt.IFF_UP))
        if found:
            for index, address in _addresses(channel):
                if index in found:
                    found[index][1].addresses.add(address)
            for index, address in _routes(channel):
                if index in found:
                    found[index][1].routes.add(address)
    return dict(found.values())


def names() -> list[str]:
    """How all links here are called."""
    with Channel(socket.NETLINK_ROUTE) as channel:
        return [string(entry[rt.IFLA_IFNAME]) for _, entry in dump.link_entries(channel)]


def bring_up(name: str, mtu: int) -> None:
    """Bring a link up, with this MTU and no address but ours, whatever the host's settings say of IPv6."""
    for setting, value in (("addr_gen_mode", _NO_LINK_LOCAL), ("disable_ipv6", "0")):
        with suppress(OSError):  # what does not work then says so by itself
            (_SETTINGS / name / setting).write_text(value)
    body = rt.IFINFO.pack(0, 0, _index(name), rt.IFF_UP, rt.IFF_UP) + u32(rt.IFLA_MTU, mtu)
    _carry_out(Message(rt.RTM_NEWLINK, _DO, body), f"{name} cannot be brought up with MTU {mtu}")


def remove(name: str) -> None:
    """Remove a link, of whatever kind; fine if there is none."""
    _carry_out(rt.remove_link(name), f"{name} cannot be removed", errno.ENODEV)


def set_address(name: str, address: str, *, present: bool) -> None:
    """Put an address on a link, at once usable, or take it off."""
    asked = rt.address(Address(name, f"{address}/128"), _index(name), remove=not present)
    gone = () if present else (errno.EADDRNOTAVAIL,)
    _carry_out(asked, f"{name} cannot have the address {address}", *gone)


def set_route(name: str, address: str, *, present: bool) -> None:
    """Have packets to an address go over this link instead of any other, or no more."""
    body = rt.RTMSG.pack(
        socket.AF_INET6, 128, 0, 0, rt.RT_TABLE_MAIN, rt.RTPROT_STATIC, _RT_SCOPE_LINK, rt.RTN_UNICAST, 0
    )
    body += attribute(rt.RTA_DST, IPv6Address(address).packed) + u32(rt.RTA_OIF, _index(name))
    kind, flags = (rt.RTM_NEWROUTE, _PUT) if present else (rt.RTM_DELROUTE, _DO)
    gone = () if present else (errno.ESRCH,)
    _carry_out(Message(kind, flags, body), f"{address} cannot be routed over {name}", *gone)


def _addresses(channel: Channel) -> Iterator[tuple[int, str]]:
    for _, body in channel.dump(Message(rt.RTM_GETADDR, 0, rt.IFADDR.pack(socket.AF_INET6, 0, 0, 0, 0))):
        family, _, _, _, index = rt.IFADDR.unpack_from(body)
        own = attributes(body[rt.IFADDR.size :]).get(rt.IFA_ADDRESS)
        if family == socket.AF_INET6 and own is not None:
            address = IPv6Address(own)
            if not address.is_link_local:  # the kernel's own, if it has made one
                yield index, str(address)


def _routes(channel: Channel) -> Iterator[tuple[int, str]]:
    asked = rt.RTMSG.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0)
    for _, body in channel.dump(Message(rt.RTM_GETROUTE, 0, asked)):
        family, prefix, _, _, table, origin, _, kind, _ = rt.RTMSG.unpack_from(body)
        entry = attributes(body[rt.RTMSG.size :])
        ours = (family, prefix, table, origin, kind) == (
            *(socket.AF_INET6, 128, rt.RT_TABLE_MAIN, rt.RTPROT_STATIC, rt.RTN_UNICAST),
        )
        if ours and rt.RTA_OIF in entry and rt.RTA_GATEWAY not in entry:
            yield int.from_bytes(entry[rt.RTA_OIF], sys.byteorder), str(IPv6Address(entry[rt.RTA_DST]))


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise TunnelFault(f"the device {name} is gone") from error


def _carry_out(message: Message, denied: str, *done: int) -> None:
    """Have the kernel do one thing. Where it says one of `done`, it was so already."""
    with Channel(socket.NETLINK_ROUTE) as channel:
        for failure in channel.batch([message]):
            if failure.number not in done:
                raise TunnelFault(f"{denied}: {failure}")
