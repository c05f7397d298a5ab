"""Is a macvlan network sound in itself? Pure; raises `InvalidArgument` as `validate` does.

Its tasks have interfaces of their own on the network that the nodes' interface `parent` is on. So it has no number on the
wire, its subnet may well be that of the nodes, and nobody can be given what is another host's there.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from covey.model import network_options as options
from covey.model.specs import IpamConfig, NetworkSpec, ServiceSpec
from covey.model.states import PublishMode
from manager.allocator.subnets import Net
from manager.control.refusal import refuse

_NAME_BYTES_MAX = 15  # of an interface, as the kernel has them
_OWN = (*options.PARENT, *options.MODE)


def own_option(name: str) -> bool:
    """Tell whether only macvlan networks have an option."""
    return name in _OWN


def check_macvlan(spec: NetworkSpec) -> None:
    """Check what a network of this driver needs, and what it cannot have."""
    if spec.ingress:
        raise refuse("driver", spec.driver, "cannot be that of the ingress network; leave it out")
    if not spec.ipv4:
        raise refuse("ipv4", spec.name, "cannot be without on a macvlan network; leave the option out")
    if not spec.config_from and not options.parent(spec.options):
        remedy = "is needed: the nodes' interface by which the network goes, such as parent=eth1"
        raise refuse("opt parent", "", remedy)


def check_option(name: str, value: str) -> None:
    """Check an option that only macvlan networks have."""
    if name in options.PARENT:
        sound = value.isprintable() and not any(char.isspace() or char == "/" for char in value)
        if not sound or not 0 < len(value.encode()) <= _NAME_BYTES_MAX or value in (".", ".."):
            raise refuse(f"opt {name}", value, "is not the name of an interface; write one such as eth1")
    elif value not in options.MODES:
        known = ", ".join(options.MODES)
        why = "is not a way in which tasks could share an interface" if value == "passthru" else "is no mode"
        raise refuse(f"opt {name}", value, f"{why}; there are {known}")


def check_unknown(given: Mapping[str, str]) -> None:
    """Refuse options that are another driver's, or nobody's."""
    known = {name for names in options.KNOWN[options.MACVLAN] for name in names}
    for name in given:
        if name not in known:
            there = ", ".join(names[0] for names in options.KNOWN[options.MACVLAN])
            raise refuse("opt", name, f"is not an option of macvlan networks; there are {there}")


def gives(config: IpamConfig, host: Net) -> bool:
    """Tell whether a subnet has an address, which is a host's, for tasks too."""
    kept = [ip_address(each) for each in (config.gateway, *config.reserved.values()) if each]
    window = ip_network(config.ip_range or config.subnet)
    return host.network_address in window and host.network_address not in kept


def check_publishing(spec: ServiceSpec, name: str) -> None:
    """Refuse ports in host mode beside a macvlan network, which tasks' answers would leave by."""
    for port in spec.endpoint.ports:
        if port.publish_mode is PublishMode.HOST:
            remedy = (
                f"cannot be published in host mode with network {name}, by which the task answers; "
                "use its address there, or publish in ingress mode"
            )
            raise refuse("publish", port.published_port or port.target_port, remedy)
