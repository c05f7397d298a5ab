"""Networks, names and addresses: what a service is attached to and how hosts are written."""

import ipaddress

from covey import limits
from covey.errors import InvalidArgument
from covey.model.address import join_host_port
from covey.model.specs import NetworkAttachmentSpec

from .pairs import pairs


def attachment(text: str) -> NetworkAttachmentSpec:
    """Read what `--network` takes: a name or id, or `name=NET,alias=A,alias=B`."""
    if "=" not in text:
        if not text or "," in text:
            raise InvalidArgument(f"{text!r} is not a network: write its name, or name=NET,alias=ALIAS")
        return NetworkAttachmentSpec(target=text)
    target, aliases = "", list[str]()
    for key, value in pairs(text):
        if not value:
            raise InvalidArgument(f"{text!r}: {key} has no value; write name=NET,alias=ALIAS")
        match key:
            case "name":
                target = value
            case "alias":
                aliases.append(value)
            case _:
                raise InvalidArgument(f"{text!r}: unknown key {key!r}; there are name and alias")
    if not target:
        raise InvalidArgument(f"{text!r} names no network: write name=NET,alias=ALIAS")
    return NetworkAttachmentSpec(target=target, aliases=tuple(aliases))


def host_entry(text: str) -> str:
    """Read what `--host` takes: `NAME:ADDRESS`, a line for the container's /etc/hosts."""
    name, colon, ip = text.partition(":")
    if not name or not colon:
        raise InvalidArgument(f"{text!r} is not NAME:ADDRESS, such as db:10.0.0.7")
    return f"{name}:{address(ip)}"


def address(text: str) -> str:
    """Read an IP address of either family."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidArgument(f"{text!r} is not an IP address, such as 10.0.0.7 or fd00::7") from None


def subnet(text: str) -> str:
    """Read a subnet such as 10.1.0.0/24; host bits must be zero."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise InvalidArgument(f"{text!r} is not a subnet ({error}): {_meant(text)}") from None


def _meant(text: str) -> str:
    try:
        return f"did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        return "write it like 10.1.0.0/24"


def kept_address(text: str) -> tuple[str, str]:
    """Read what `--aux-address` takes: `NAME=ADDRESS`, an address of a subnet that nobody gets."""
    name, equals, ip = text.partition("=")
    if not name.strip() or not equals:
        raise InvalidArgument(f"{text!r} is not NAME=ADDRESS, such as router=10.1.0.9")
    return name, address(ip)


def manager_address(text: str) -> str:
    """Read `HOST` or `HOST:PORT`; the result always has a port. IPv6 addresses with a port need brackets."""
    host, port = _host_and_port(text)
    if not host or any(char.isspace() or char == "/" for char in host):
        raise InvalidArgument(f"{text!r} is not a manager's address: write HOST:{limits.control_port}")
    if not port.isdecimal() or not 1 <= int(port[:6]) <= 65535:
        raise InvalidArgument(f"{text!r}: {port!r} is not a port; managers listen on {limits.control_port}")
    return join_host_port(host, int(port))


def _host_and_port(text: str) -> tuple[str, str]:
    default = str(limits.control_port)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return (host, rest.removeprefix(":") or default) if rest[:1] in ("", ":") else ("", "")
    if text.count(":") > 1:
        return text, default
    host, colon, port = text.partition(":")
    return host, port if colon else default
