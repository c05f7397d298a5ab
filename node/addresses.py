"""Which of the host's addresses a node is known by, and which ports it needs."""

import array
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

from covey import limits
from covey.errors import FailedPrecondition, InvalidArgument

_SIOCGIFADDR = 0x8915
_LOOPBACK = "lo"


def addresses_by_interface() -> dict[str, str]:
    """Give the first IPv4 address of every interface that has one, but for loopback and bridges."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for _, name in socket.if_nameindex():
            if name == _LOOPBACK or Path(f"/sys/class/net/{name}/bridge").exists():
                continue
            request = array.array("B", struct.pack("256s", name.encode()[:15]))
            try:
                fcntl.ioctl(control, _SIOCGIFADDR, request)
            except OSError:
                continue
            found[name] = socket.inet_ntoa(request.tobytes()[20:24])
    return found


def advertised(wanted: str, interfaces: dict[str, str], flag: str = "--advertise-addr") -> str:
    """Settle the address others reach this node by: the one asked for (or an interface's), or the only one."""
    if wanted in interfaces:
        return interfaces[wanted]
    if wanted:
        return parse(wanted, flag)
    candidates = sorted(set(interfaces.values()))
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise FailedPrecondition(f"this host has no address but loopback; give it one, or say {flag}")
    listed = ", ".join(f"{address} ({name})" for name, address in sorted(interfaces.items()))
    raise InvalidArgument(f"this host has several addresses: {listed}; choose one with {flag}")


def parse(text: str, flag: str) -> str:
    """Read an address that others can send to; raises `InvalidArgument` naming `flag`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidArgument(
            f"{flag} {text!r} is neither an address nor an interface of this host; write it without a port"
        ) from None
    if address.is_unspecified or address.is_multicast or address.is_loopback or "%" in text:
        raise InvalidArgument(f"{flag} {text} is no address that other hosts can reach")
    return str(address)


def require_local(address: str, flag: str) -> None:
    """Raise `InvalidArgument` unless `address` is this host's, and of IPv4: VXLAN packets are sent from it."""
    if ":" in address:
        raise InvalidArgument(
            f"{address} is of IPv6, and overlay packets go between nodes by IPv4; name one of this host's addresses or "
            f"interfaces that has it with {flag}"
        )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            raise InvalidArgument(
                f"{address} is not an address of this host; name the one that overlay packets go out from "
                f"with {flag}"
            ) from None


def source_of_packets(local: str, interfaces: dict[str, str]) -> str:
    """Settle where VXLAN packets are sent from if nobody said: from where a manager was reached, were it not by IPv6."""
    return advertised("", interfaces, "--data-path-addr") if ":" in local else local


def require_free(host: str, port: int) -> None:
    """Raise `FailedPrecondition` if somebody listens on a port that a manager needs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise FailedPrecondition(
                f"port {port}/tcp on {host} cannot be used ({error.strerror}); a manager needs it: "
                "stop what holds it (`ss -ltnp` shows it)"
            ) from None


def require_manager_ports() -> None:
    """Raise `FailedPrecondition` if a manager could not listen on this host."""
    for port in (limits.control_port, limits.bootstrap_port):
        require_free("0.0.0.0", port)  # noqa: S104  where managers listen


def manager_address(text: str, default_port: int) -> tuple[str, int]:
    """Read `HOST` or `HOST:PORT` of a manager's control port; an IPv6 host with a port stands in brackets."""
    text = text.strip()
    host, port_text = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port_text = rest.removeprefix(":") if rest else ""
        if rest and not rest.startswith(":"):
            host = ""
    elif text.count(":") == 1:
        host, _, port_text = text.partition(":")
    port = default_port
    if port_text or text.endswith(":"):
        port = int(port_text) if port_text.isascii() and port_text.isdigit() else 0
    if not host or not host.isprintable() or "/" in host or " " in host or not 0 < port < 65_535:
        raise InvalidArgument(f"{text!r} is not a manager's HOST:PORT, such as 192.0.2.1:{default_port}")
    return host, port
