"""Published ports: `8080:80/tcp`, ranges, `192.0.2.1:8080:80`, `[2001:db8::1]:8080:80`, and
`published=8080,target=80,mode=host`.
"""

import re
from ipaddress import IPv6Address, ip_address

from msgspec.structs import replace

from covey.errors import InvalidArgument
from covey.model.specs import PortConfig
from covey.model.states import MeshMode, Protocol, PublishMode

from .pairs import pairs

_SHORT = re.compile(
    r"(?:(?P<address>[^/]+):(?=[^:]*:))?"  # the last two parts are the ports
    r"(?:(?P<published>\d+(?:-\d+)?)?:)?(?P<target>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?"
)
_EXAMPLE = "write it like 8080:80, 8080:80/udp or published=8080,target=80,mode=host"
_MODES = {"ingress": PublishMode.INGRESS, "host": PublishMode.HOST}
_MESH = {"preserve": MeshMode.PRESERVE, "masquerade": MeshMode.MASQUERADE, "local": MeshMode.LOCAL}
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP}
_PORT_MAX = 65535


def publish(text: str) -> tuple[PortConfig, ...]:
    """Read what `--publish` takes, in its short or long form. A range gives one entry per port."""
    return _long(text) if "=" in text else _short(text)


def target(text: str) -> PortConfig:
    """Read what `--publish-rm` takes: a target port and perhaps a protocol, `80` or `80/udp`."""
    port, _, protocol = text.partition("/")
    if not port.isdecimal():
        raise InvalidArgument(f"{text!r} is not a port inside the container: write it like 80 or 80/udp")
    number = _range(port, text)[0]
    return PortConfig(target_port=number, protocol=_protocol(protocol or "tcp", text))


def _short(text: str) -> tuple[PortConfig, ...]:
    form = _SHORT.fullmatch(text)
    if form is None:
        raise InvalidArgument(f"{text!r} is not a published port: {_EXAMPLE}")
    like = PortConfig(protocol=_protocol(form["protocol"] or "tcp", text))
    if form["address"] is not None:
        like = replace(like, published_address=_address(form["address"], text))
    return _paired(form["published"], form["target"], like, text)


def _address(text: str, whole: str) -> str:
    """Read the address of hosts that is to answer; nothing for all of them, however that is written."""
    inside = text.removeprefix("[").removesuffix("]")
    bracketed = text == f"[{inside}]"
    try:
        address = ip_address(inside)
    except ValueError as error:
        remedy = "write it like 192.0.2.1:8080:80 or [2001:db8::1]:8080:80"
        raise InvalidArgument(f"{whole!r}: {text!r} is not an address: {remedy}") from error
    if isinstance(address, IPv6Address) != bracketed and (bracketed or "=" not in whole):
        remedy = f"write [{address}]" if address.version == 6 else f"write {address}"
        raise InvalidArgument(f"{whole!r}: brackets are for IPv6 addresses, which need them: {remedy}")
    if address.is_unspecified and address.version == 6:
        raise InvalidArgument(
            f"{whole!r}: {text!r} stands for every address of IPv6 alone; leave the address out"
        )
    return "" if address.is_unspecified else str(address)


def _long(text: str) -> tuple[PortConfig, ...]:
    port, published, target_ports = PortConfig(), None, None
    for key, value in pairs(text):
        if not value:
            raise InvalidArgument(f"{text!r}: {key} has no value; {_EXAMPLE}")
        match key:
            case "target" | "target_port":
                target_ports = value
            case "published" | "published_port":
                published = value
            case "protocol":
                port = replace(port, protocol=_protocol(value, text))
            case "mode":
                mode = _MODES.get(value.lower())
                if mode is None:
                    raise InvalidArgument(f"{text!r}: mode {value!r} is neither ingress nor host")
                port = replace(port, publish_mode=mode)
            case "published-address" | "published_address":
                port = replace(port, published_address=_address(value, text))
            case "mesh":
                mesh = _MESH.get(value.lower())
                if mesh is None:
                    raise InvalidArgument(
                        f"{text!r}: mesh {value!r} is none of preserve, masquerade and local"
                    )
                port = replace(port, mesh=mesh)
            case "health-port" | "health_port":
                numbers = _range(value, text)
                if len(numbers) > 1:
                    raise InvalidArgument(f"{text!r}: health-port {value!r} is more than one port")
                port = replace(port, health_port=numbers[0])
            case "name":
                port = replace(port, name=value)
            case _:
                known = "target, published, published-address, protocol, mode, mesh, health-port and name"
                raise InvalidArgument(f"{text!r}: unknown key {key!r}; there are {known}")
    if target_ports is None:
        raise InvalidArgument(f"{text!r} names no target port: {_EXAMPLE}")
    return _paired(published, target_ports, port, text)


def _paired(published: str | None, target_ports: str, like: PortConfig, text: str) -> tuple[PortConfig, ...]:
    inside = _range(target_ports, text)
    outside = _range(published, text) if published else range(0)
    if len(outside) > 1 and len(inside) == 1:
        remedy = "a service's port can be published once; give one published port"
        raise InvalidArgument(f"{text!r} publishes {len(outside)} ports for one: {remedy}")
    if outside and len(outside) != len(inside):
        raise InvalidArgument(
            f"{text!r} publishes {len(outside)} ports for {len(inside)}: the two ranges must be equally long"
        )
    if not outside:
        return tuple(replace(like, target_port=port) for port in inside)
    return tuple(
        replace(like, target_port=port, published_port=seen)
        for seen, port in zip(outside, inside, strict=True)
    )


def _range(text: str, whole: str) -> range:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or len(text) > 11:
        raise InvalidArgument(f"{whole!r}: {text!r} is not a port or a range of ports; {_EXAMPLE}")
    ports = range(int(first), int(last or first) + 1)
    if not ports or ports[0] < 1 or ports[-1] > _PORT_MAX:
        order = ", in this order" if last else ""
        raise InvalidArgument(f"{whole!r}: {text!r} is not between 1 and {_PORT_MAX}{order}")
    return ports


def _protocol(text: str, whole: str) -> Protocol:
    protocol = _PROTOCOLS.get(text.lower())
    if protocol is None:
        raise InvalidArgument(f"{whole!r}: protocol {text!r} is neither tcp nor udp")
    return protocol
