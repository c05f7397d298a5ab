"""Is a network's spec sound in itself? Pure; raises `InvalidArgument` naming the field, the value and the remedy."""

from covey import limits
from covey.model import network_options, predefined
from covey.model.specs import NetworkSpec, ServiceSpec
from manager.control.refusal import check_labels, check_name, is_number, refuse

from .ipam import check_ipam
from .macvlan import check_macvlan, check_option, check_unknown, own_option


def check_network(spec: NetworkSpec) -> None:
    """Check a network spec in itself."""
    check_name("name", spec.name)
    if predefined.find(spec.name) is not None:
        raise refuse("name", spec.name, "is that of a network every node has; choose another one")
    check_labels("labels", spec.labels)
    _check_kind(spec)
    check_ipam(spec)
    if spec.driver == network_options.MACVLAN:
        check_macvlan(spec)
        check_unknown(spec.options)
    for name, value in spec.options.items():
        if own_option(name) and (spec.config_only or spec.driver == network_options.MACVLAN):
            check_option(name, value)
        else:
            _check_option(name, value)
    small = network_options.mtu(spec.options)
    if spec.ipv6 and 0 < small < limits.ipv6_mtu_bytes_min:
        remedy = (
            f"is too small for IPv6, which takes {limits.ipv6_mtu_bytes_min} or more; give that, or no ipv6"
        )
        raise refuse("opt mtu", str(small), remedy)
    for names in {names for driver in network_options.KNOWN.values() for names in driver}:
        if len([name for name in names if name in spec.options]) > 1:
            raise refuse("opt", " and ".join(names), "are the same; give one of them")


def check_predefined(spec: ServiceSpec) -> None:
    """Check what a service asks for beside a network that every node has of itself; its networks are named by id."""
    kind = predefined.kind_of(spec.task.networks)
    if not kind:
        return
    for attachment in spec.task.networks:
        if attachment.target != kind:
            remedy = "goes with no other network; leave it out, or the others"
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
    if spec.driver in predefined.NAMES:
        remedy = f"is a network every node has; use it as it is: --network {spec.driver}"
        raise refuse("driver", spec.driver, remedy)
    if spec.driver not in network_options.DRIVERS:
        raise refuse("driver", spec.driver, f"is not supported; use {' or '.join(network_options.DRIVERS)}")
    if spec.ingress and spec.internal:
        raise refuse(
            "internal", spec.name, "contradicts ingress, by which ports are published; leave one out"
        )
    if spec.ingress and spec.attachable:
        raise refuse(
            "attachable", spec.name, "contradicts ingress, which nothing joins by name; leave one out"
        )


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
        if value not in ("", "true", "false"):
            raise refuse(f"opt {name}", value, "is neither true nor false; write encrypted alone")
    else:
        known = ", ".join(names[0] for names in network_options.KNOWN[network_options.OVERLAY])
        raise refuse("opt", name, f"is not an option of overlay networks; there are {known}")
