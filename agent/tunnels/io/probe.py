"""Which WireGuard works on this host? Found out by passing a packet through a tunnel between two scratch namespaces."""

import errno
import socket
import time
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path

from agent.network import ops
from agent.network.io.claims import holder
from agent.network.io.kernel import carry_out
from agent.network.io.places import Places
from agent.network.state import Address, Kind, Link
from covey import limits
from covey.errors import CoveyError
from covey.io import netns

from .. import names
from ..keeping import Key
from ..plan import SetPeer
from ..state import Guard
from . import guarding, keys, links
from .devices import MAKES
from .userspace import PROGRAM, Userspace
from .wireguard import TunnelFault, WireGuard

_IPV6 = Path("/proc/sys/net/ipv6")
_ENDS = ("tunnel-a", "tunnel-b")
_UNDERLAY = (
    "192.0.2.1/24",
    "192.0.2.2/24",
)  # TEST-NET-1 (RFC 5737); it is nobody's, and never leaves the namespaces
_PREFIX = "fd00::/48"
_INSIDE = ("fd00::1", "fd00::2")
_PORT = 9
_SAID = b"a packet of Covey's probe of tunnels"


def find(
    directory: Path, node_id: str, mtu: int = limits.tunnel_underlay_mtu_min
) -> tuple[WireGuard | None, str]:
    """The first make that passes a packet, or None and why there is none. `directory` is for scratch namespaces.

    `mtu` is the underlay's, 0 if that is not known. What tunnels stand here already, a former agent's, show what works.
    """
    if not _IPV6.exists():
        return (
            None,
            "this kernel runs without IPv6, in which tunnels' addresses are; boot without ipv6.disable=1",
        )
    if 0 < mtu < limits.tunnel_underlay_mtu_min:
        least = limits.tunnel_underlay_mtu_min
        return (
            None,
            f"the link to other nodes takes {mtu} bytes at most, and tunnels need {least}; raise its MTU",
        )
    for port in range(limits.tunnel_port, limits.tunnel_port + names.SLOTS):
        if program := _taken(port):
            return None, f"UDP port {port} is taken by {program}; stop that, and restart coveyd"
    for kind in MAKES:
        make = kind()
        if any(make.read(name) is not None for name in names.devices(node_id)):
            return make, ""
        make.close()
    refusals = []
    for kind in MAKES:
        ends = kind(), kind()  # each has its own namespace's device, and its own process to wait for
        try:
            _pass_a_packet(directory, node_id, ends)
        except (CoveyError, OSError) as error:
            refusals.append(f"{ends[0].kind}: {str(error)[: limits.program_complaint_chars_max]}")
        else:
            return kind(), ""
    return None, (
        "no packet came through a tunnel of WireGuard; use a kernel with CONFIG_WIREGUARD, or install the "
        f"package wireguard-go ({'; '.join(refusals)})"
    )


def _taken(port: int) -> str:
    """What else on this host has the port of a tunnel; "" if it is free, or tunnels of a former agent have it."""
    standing = [name for name in links.names() if names.is_device(name)]
    program = holder("udp", port)
    if program:
        ours = {f"{PROGRAM} (pid {Userspace().server(name)})" for name in standing}
        return "" if program in ours else program
    if not standing and not _is_free(port):
        return "the kernel, for another WireGuard device perhaps (ip -d link show type wireguard)"
    return ""


def _is_free(port: int) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                tried.bind(("", port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
    return True


def _pass_a_packet(directory: Path, node_id: str, makes: tuple[WireGuard, WireGuard]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    places = Places(directory)
    devices = [
        f"{names.device(node_id, slot)}p" for slot in range(2)
    ]  # 15 bytes; sockets are of the whole host
    made = [keys.make(generation) for generation in (0, 1)]
    try:
        for end in _ENDS:
            netns.delete(directory / end)
        carry_out(places, _underlay())
        for place in (0, 1):
            netns.call_inside(directory / _ENDS[place], partial(_open, makes[place], devices, made, place))
        _exchange(directory)
    finally:
        for place in (0, 1):
            with suppress(CoveyError, OSError):
                netns.call_inside(directory / _ENDS[place], partial(_close, makes[place], devices[place]))
        places.close()
        for end in _ENDS:
            netns.delete(directory / end)


def _underlay() -> list[ops.Operation]:
    second = Link("u1", Kind.VETH, peer=(_ENDS[0], "u0"))
    return [
        *(ops.CreateNetns(end) for end in _ENDS),
        ops.CreateLink(_ENDS[0], Link("bridge", Kind.BRIDGE)),
        ops.CreateLink(_ENDS[0], Link("u0", Kind.VETH, master="bridge", peer=(_ENDS[1], "u1")), second),
        ops.SetLink(_ENDS[1], second),
        ops.AddAddress(_ENDS[0], Address("bridge", _UNDERLAY[0])),
        ops.AddAddress(_ENDS[1], Address("u1", _UNDERLAY[1])),
    ]


def _open(make: WireGuard, devices: list[str], made: list[Key], place: int) -> None:
    """Make one end of the tunnel, in its namespace."""
    name, other = devices[place], 1 - place
    guarding.put(
        Guard((name,), _PREFIX, limits.vxlan_port, (1,))
    )  # it must let tunnels through, and nothing else
    make.create(name)
    make.set_key(name, made[place].private_key, limits.tunnel_port)
    endpoint = f"{IPv4Interface(_UNDERLAY[other]).ip}:{limits.tunnel_port}"
    make.set_peers(name, [SetPeer(name, made[other].public_key, endpoint, _INSIDE[other], new=True)])
    links.bring_up(name, 1280)
    links.set_address(name, _INSIDE[place], present=True)
    links.set_route(name, _INSIDE[other], present=True)


def _close(make: WireGuard, name: str) -> None:
    make.remove(name)
    make.close()


def _exchange(directory: Path) -> None:
    receiver = netns.socket_inside(directory / _ENDS[1], socket.AF_INET6, socket.SOCK_DGRAM)
    sender = netns.socket_inside(directory / _ENDS[0], socket.AF_INET6, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((_INSIDE[1], _PORT))
        receiver.settimeout(0.1)
        until = time.monotonic() + limits.tunnel_probe_s
        while time.monotonic() < until:
            sender.sendto(_SAID, (_INSIDE[1], _PORT))
            with suppress(TimeoutError):
                if receiver.recv(2 * len(_SAID)) == _SAID:
                    return
    raise TunnelFault(f"no packet came through within {limits.tunnel_probe_s:g} s")
