"""Is a spec sound in itself? Pure; raises `InvalidArgument` naming the field, the value and the remedy."""

import ipaddress
import itertools
import re
from collections.abc import Sequence

import msgspec

from covey import limits
from covey.model import constraint
from covey.model.specs import (
    EndpointSpec,
    NetworkSpec,
    NodeSpec,
    Placement,
    PortConfig,
    ResourceRequirements,
    Resources,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from covey.model.states import EndpointMode, Protocol, PublishMode, ServiceModeKind

from .containers import check_container
from .refusal import check_labels, check_name, check_unique, is_address, is_number, refuse

_SPREAD = re.compile(r"(node|engine)\.labels\.\S+")


def check_service(spec: ServiceSpec, vxlan_port: int = limits.vxlan_port) -> None:
    """Check a whole service spec, except for what only the store knows (networks, names taken)."""
    check_name("name", spec.name)
    check_labels("labels", spec.labels)
    _check_mode(spec.mode)
    _check_task(spec.task)
    _check_update("update", spec.update)
    _check_update("rollback", spec.rollback)
    _check_endpoint(spec.endpoint)
    _check_own_ports(spec.endpoint, vxlan_port)
    size = len(msgspec.msgpack.encode(spec))
    if size > limits.spec_bytes_max:
        raise refuse("spec", f"{size} bytes", f"is more than the {limits.spec_bytes_max} a service may have")


def check_network(spec: NetworkSpec) -> None:
    """Check a network spec in itself."""
    check_name("name", spec.name)
    check_labels("labels", spec.labels)
    if spec.driver != "overlay":
        raise refuse("driver", spec.driver, "is not supported; use overlay")
    if len(spec.ipam) > limits.subnets_per_network_max:
        raise refuse("subnet", len(spec.ipam), f"are more than the {limits.subnets_per_network_max} allowed")
    for config in spec.ipam:
        if not config.subnet and (config.gateway or config.ip_range):
            raise refuse("subnet", config.subnet, "is needed where a gateway or an ip-range is given")
        if config.subnet:
            _check_subnet(config.subnet, config.gateway, config.ip_range)
    _check_apart([ipaddress.ip_network(config.subnet) for config in spec.ipam if config.subnet])
    for option, value in spec.options.items():
        _check_network_option(option, value)


def check_node(spec: NodeSpec) -> None:
    """Check a node spec in itself."""
    check_labels("labels", spec.labels)


def _check_mode(mode: ServiceMode) -> None:
    if mode.kind not in (ServiceModeKind.REPLICATED, ServiceModeKind.GLOBAL):
        name = mode.kind.name.lower().replace("_", "-")
        raise refuse("mode", name, "is not supported; use replicated or global")
    if mode.kind is ServiceModeKind.REPLICATED and not 0 <= mode.replicas <= limits.replicas_max:
        raise refuse("replicas", mode.replicas, f"is not between 0 and {limits.replicas_max}")


def _check_task(task: TaskSpec) -> None:
    check_container(task.container)
    _check_resources(task.resources)
    _check_restart(task.restart)
    _check_placement(task.placement)
    targets = [network.target for network in task.networks]
    check_unique("network", targets, "is attached twice; give it once, with all its aliases")
    for network in task.networks:
        for alias in network.aliases:
            check_name("network alias", alias)


def _check_resources(resources: ResourceRequirements) -> None:
    for prefix, amounts in (("limit", resources.limits), ("reserve", resources.reservations)):
        _check_amounts(prefix, amounts)
    cap, kept = resources.limits, resources.reservations
    if cap.nano_cpus and kept.nano_cpus > cap.nano_cpus:
        raise refuse("reserve-cpu", kept.nano_cpus / 1e9, f"is more than the limit of {cap.nano_cpus / 1e9}")
    if cap.memory_bytes and kept.memory_bytes > cap.memory_bytes:
        raise refuse(
            "reserve-memory", kept.memory_bytes, f"is more than the limit of {cap.memory_bytes} bytes"
        )


def _check_amounts(prefix: str, amounts: Resources) -> None:
    if amounts.nano_cpus and amounts.nano_cpus < limits.nano_cpus_min:
        raise refuse(f"{prefix}-cpu", amounts.nano_cpus / 1e9, "is less than 0.001 of a CPU")
    if amounts.memory_bytes and amounts.memory_bytes < limits.memory_bytes_min:
        least = limits.memory_bytes_min // 1024 // 1024
        raise refuse(f"{prefix}-memory", amounts.memory_bytes, f"bytes are less than the least, {least} MiB")
    if amounts.pids < 0:
        raise refuse(f"{prefix}-pids", amounts.pids, "is negative; 0 means no limit")


def _check_restart(restart: RestartPolicy) -> None:
    for field, value in (
        ("restart-delay", restart.delay_ns),
        ("restart-max-attempts", restart.max_attempts),
        ("restart-window", restart.window_ns),
    ):
        if value < 0:
            raise refuse(field, value, "is negative")


def _check_placement(placement: Placement) -> None:
    constraint.parse_all(placement.constraints)
    for preference in placement.preferences:
        if not _SPREAD.fullmatch(preference.spread):
            raise refuse("placement-pref", preference.spread, "is not node.labels.NAME or engine.labels.NAME")
    if placement.max_replicas_per_node < 0:
        raise refuse(
            "replicas-max-per-node", placement.max_replicas_per_node, "is negative; 0 means no bound"
        )


def _check_update(prefix: str, update: UpdateConfig) -> None:
    if update.parallelism < 0:
        raise refuse(f"{prefix}-parallelism", update.parallelism, "is negative; 0 means all tasks at once")
    if update.delay_ns < 0:
        raise refuse(f"{prefix}-delay", update.delay_ns, "is negative")
    if update.monitor_ns < 0:
        raise refuse(f"{prefix}-monitor", update.monitor_ns, "is negative")
    if not 0 <= update.max_failure_ratio <= 1:
        raise refuse(f"{prefix}-max-failure-ratio", update.max_failure_ratio, "is not between 0 and 1")


def _check_endpoint(endpoint: EndpointSpec) -> None:
    for port in endpoint.ports:
        _check_port(port)
        if endpoint.mode is EndpointMode.DNSRR and port.publish_mode is PublishMode.INGRESS:
            remedy = "cannot go with dnsrr; use mode=host, or endpoint-mode vip"
            raise refuse("publish", port.published_port, remedy)
    published = [(p.protocol.name.lower(), p.published_port) for p in endpoint.ports if p.published_port]
    check_unique("publish", published, "is published twice")


def _check_own_ports(endpoint: EndpointSpec, vxlan_port: int) -> None:
    """Keep the cluster's own ports: a mesh on them would cut the nodes off from each other."""
    own = {
        (Protocol.TCP, limits.control_port): "the managers",
        (Protocol.TCP, limits.bootstrap_port): "joining",
        (Protocol.UDP, vxlan_port): "the overlay networks",
    }
    for port in endpoint.ports:
        user = own.get((port.protocol, port.published_port))
        if user is not None:
            raise refuse(
                "publish", port.published_port, f"is the port of {user} of every node; choose another"
            )


def _check_port(port: PortConfig) -> None:
    if port.protocol is Protocol.SCTP:
        raise refuse("publish", "sctp", "is not supported; use tcp or udp")
    if not 0 < port.target_port <= 65535:
        raise refuse("publish", port.target_port, "is not a port of the container; use 1 to 65535")
    if not 0 <= port.published_port <= 65535:
        remedy = "is not a port; use 1 to 65535, or leave it out to have one chosen"
        raise refuse("publish", port.published_port, remedy)


def _check_subnet(subnet: str, gateway: str, ip_range: str) -> None:
    try:
        network = ipaddress.ip_network(subnet)
    except ValueError as error:
        raise refuse("subnet", subnet, f"is not a subnet ({error}); write it like 10.1.0.0/24") from error
    if network.version != 4:
        raise refuse("subnet", subnet, "is not IPv4; IPv6 networks are not supported")
    if network.num_addresses < 4:
        raise refuse("subnet", subnet, "is too small; a network needs /30 or larger")
    if network.prefixlen < limits.subnet_prefix_length_min:
        raise refuse("subnet", subnet, f"is too large; use /{limits.subnet_prefix_length_min} or smaller")
    if network.is_loopback or network.is_multicast or network.is_link_local or network.is_unspecified:
        raise refuse("subnet", subnet, "is kept for other purposes; use one of 10.0.0.0/8 or 172.16.0.0/12")
    if gateway and (not is_address(gateway) or ipaddress.ip_address(gateway) not in network):
        raise refuse("gateway", gateway, f"is not an address in {subnet}")
    if gateway and ipaddress.ip_address(gateway) in (network.network_address, network.broadcast_address):
        raise refuse("gateway", gateway, f"is the first or last address of {subnet}, which nobody can have")
    if ip_range:
        try:
            inner = ipaddress.ip_network(ip_range)
        except ValueError as error:
            raise refuse("ip-range", ip_range, f"is not a subnet ({error})") from error
        if inner.version != network.version or not inner.subnet_of(network):
            raise refuse("ip-range", ip_range, f"is not inside {subnet}")


def _check_apart(subnets: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
    for one, other in itertools.combinations(subnets, 2):
        if one.overlaps(other):
            raise refuse("subnet", str(other), f"overlaps {one}; give each once")


def _check_network_option(option: str, value: str) -> None:
    match option:
        case "mtu" | "com.docker.network.driver.mtu":
            if not is_number(value) or not 576 <= int(value) <= 65535 - limits.vxlan_overhead_bytes:
                raise refuse("opt mtu", value, "is not a size of packets; use 576 or more")
        case "encrypted":
            raise refuse(
                "opt", option, "is not supported; leave it out, or keep this traffic off the cluster"
            )
        case _:
            raise refuse("opt", option, "is not an option of overlay networks; there is mtu")
