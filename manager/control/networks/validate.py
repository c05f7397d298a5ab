"""Is a network's spec sound in itself? Pure; raises `InvalidArgument` naming the field, the value and the remedy."""

import ipaddress
import itertools
from collections.abc import Sequence
from ipaddress import IPv4Network

from covey import limits
from covey.model import network_options, predefined
from covey.model.specs import IpamConfig, NetworkSpec, ServiceSpec
from manager.control.refusal import check_labels, check_name, is_number, is_word, refuse


def check_network(spec: NetworkSpec) -> None:
    """Check a network spec in itself."""
    check_name("name", spec.name)
    if predefined.find(spec.name) is not None:
        raise refuse("name", spec.name, "is that of a network every node has; choose another one")
    check_labels("labels", spec.labels)
    _check_kind(spec)
    _check_families(spec)
    if len(spec.ipam) > limits.subnets_per_network_max:
        raise refuse("subnet", len(spec.ipam), f"are more than the {limits.subnets_per_network_max} allowed")
    if spec.ingress and len(spec.ipam) > 1:
        raise refuse("subnet", len(spec.ipam), "are too many for the ingress network; give it one, or none")
    _check_apart([_check_ipam(config) for config in spec.ipam if config.subnet])
    for config in spec.ipam:
        if not config.subnet and (config.gateway or config.ip_range or config.reserved):
            given = config.gateway or config.ip_range or ", ".join(sorted(config.reserved))
            raise refuse(
                "subnet", "", f"is needed where a gateway, an ip-range or an aux-address is given ({given})"
            )
    for name, value in spec.options.items():
        _check_option(name, value)
    for names in (network_options.MTU, network_options.VNI):
        if len([name for name in names if name in spec.options]) > 1:
            raise refuse("opt", " and ".join(names), "are the same; give one of them")


def check_predefined(spec: ServiceSpec) -> None:
    """Check what a service asks for beside a network that every node has of itself; its networks are named by id."""
    kind = predefined.kind_of(spec.task.networks)
    if not kind:
        return
    for attachment in spec.task.networks:
        if attachment.target != kind:
            remedy = f"goes with no other network such as {attachment.target!r}; leave one of them out"
            if kind == predefined.BRIDGE:
                remedy = (
                    "is where tasks are that name no network, and the way out of the others; leave it out"
                )
            raise refuse("network", kind, remedy)
        if attachment.aliases:
            raise refuse("network alias", attachment.aliases[0], f"is nobody's name on {kind}; leave it out")
    if kind != predefined.BRIDGE and spec.endpoint.ports:
        port = spec.endpoint.ports[0]
        why = "the task's ports are the node's" if kind == predefined.HOST else "nothing reaches the task"
        remedy = f"cannot be published with network {kind}: {why}; leave it out"
        raise refuse("publish", port.published_port or port.target_port, remedy)
    for name in spec.task.container.sysctls if kind == predefined.HOST else ():
        if name.replace("/", ".").startswith("net."):
            raise refuse(
                "sysctl", name, "is the node's with network host; set it on the node, or leave it out"
            )


def _check_kind(spec: NetworkSpec) -> None:
    if spec.config_only:
        remedy = "is not supported: a network of nothing but settings; give them to each network itself"
        raise refuse("config-only", spec.name, remedy)
    if spec.config_from:
        remedy = "is not supported; give the settings to the network itself"
        raise refuse("config-from", spec.config_from, remedy)
    if spec.driver in predefined.NAMES:
        remedy = f"is a network every node has; use it as it is: --network {spec.driver}"
        raise refuse("driver", spec.driver, remedy)
    if spec.driver != "overlay":
        raise refuse("driver", spec.driver, "is not supported; use overlay")
    if spec.ingress and spec.internal:
        raise refuse(
            "internal", spec.name, "contradicts ingress, by which ports are published; leave one out"
        )
    if spec.ingress and spec.attachable:
        raise refuse(
            "attachable", spec.name, "contradicts ingress, which nothing joins by name; leave one out"
        )


def _check_families(spec: NetworkSpec) -> None:
    if spec.ipv6:
        raise refuse("ipv6", spec.name, "is not supported yet; leave it out")
    if not spec.ipv4:
        raise refuse("ipv4", spec.name, "cannot be without; leave the option out")


def _check_ipam(config: IpamConfig) -> IPv4Network:
    network = _check_subnet(config.subnet)
    if config.gateway:
        _check_inside("gateway", config.gateway, network)
    window = _check_range(config.ip_range, network) if config.ip_range else network
    for name, address in config.reserved.items():
        if not is_word(name):
            raise refuse("aux-address", name, "is not a name; write NAME=ADDRESS, such as router=10.1.0.9")
        _check_inside("aux-address", address, network)
    kept = [config.gateway or str(network.network_address + 1), *config.reserved.values()]
    for one, other in itertools.combinations(kept, 2):
        if one == other:
            raise refuse("aux-address", other, "is kept twice, or the gateway's; give each address once")
    edges = {str(network.network_address), str(network.broadcast_address)}
    lost = sum(ipaddress.IPv4Address(address) in window for address in edges | set(kept))
    if window.num_addresses <= lost:
        where = config.ip_range or config.subnet
        raise refuse(
            "subnet", where, "has no address left for anybody; take a larger one, or keep less of it"
        )
    return network


def _check_subnet(subnet: str) -> IPv4Network:
    try:
        network = ipaddress.ip_network(subnet)
    except ValueError as error:
        raise refuse("subnet", subnet, f"is not a subnet ({error}); {_without_host_bits(subnet)}") from error
    if not isinstance(network, IPv4Network):
        raise refuse("subnet", subnet, "is not IPv4; IPv6 networks are not supported yet")
    if network.num_addresses < 4:
        raise refuse("subnet", subnet, "is too small; a network needs /30 or larger")
    if network.prefixlen < limits.subnet_prefix_length_min:
        raise refuse("subnet", subnet, f"is too large; use /{limits.subnet_prefix_length_min} or smaller")
    if (
        network.is_loopback
        or network.is_multicast
        or network.is_link_local
        or network.is_unspecified
        or network.overlaps(IPv4Network("0.0.0.0/8"))
    ):
        raise refuse("subnet", subnet, "is kept for other purposes; use one of 10.0.0.0/8 or 172.16.0.0/12")
    return network


def _without_host_bits(subnet: str) -> str:
    """Say what was probably meant."""
    try:
        return f"did you mean {ipaddress.ip_network(subnet, strict=False)}?"
    except ValueError:
        return "write it like 10.1.0.0/24"


def _check_inside(field: str, text: str, network: IPv4Network) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise refuse(field, text, f"is not an address in {network}") from error
    if address not in network:
        raise refuse(field, text, f"is not an address in {network}")
    if address in (network.network_address, network.broadcast_address):
        raise refuse(field, text, f"is the first or last address of {network}, which nobody can have")


def _check_range(ip_range: str, network: IPv4Network) -> IPv4Network:
    try:
        inner = ipaddress.ip_network(ip_range)
    except ValueError as error:
        raise refuse(
            "ip-range", ip_range, f"is not a subnet ({error}); {_without_host_bits(ip_range)}"
        ) from error
    if not isinstance(inner, IPv4Network) or not inner.subnet_of(network):
        raise refuse("ip-range", ip_range, f"is not inside {network}")
    return inner


def _check_apart(subnets: Sequence[IPv4Network]) -> None:
    for one, other in itertools.combinations(subnets, 2):
        if one.overlaps(other):
            raise refuse("subnet", str(other), f"overlaps {one}; give each once")


def _check_option(name: str, value: str) -> None:
    if name in network_options.MTU:
        least, most = limits.network_mtu_bytes_min, limits.network_mtu_bytes_max
        if not is_number(value) or not least <= int(value) <= most:
            raise refuse(f"opt {name}", value, f"is not a size of packets; use {least} to {most}")
    elif name in network_options.VNI:
        first, last = limits.vni_first, limits.vni_last
        if not is_number(value) or not first <= int(value) <= last:
            raise refuse(
                f"opt {name}", value, f"is not a number for a network; use one from {first} to {last}"
            )
    elif name in network_options.ENCRYPTED:
        raise refuse("opt", name, "is not supported; leave it out, or keep this traffic off the cluster")
    else:
        known = ", ".join((network_options.MTU[0], network_options.VNI[0]))
        raise refuse("opt", name, f"is not an option of overlay networks; there are {known}")
