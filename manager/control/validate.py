"""Is a spec sound in itself? Pure; raises `InvalidArgument` naming the field, the value and the remedy."""

import ipaddress
import itertools

import msgspec

from covey import limits
from covey.model.specs import (
    EndpointSpec,
    NodeSpec,
    PortConfig,
    RestartPolicy,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import Affinity, EndpointMode, MeshMode, Protocol, PublishMode

from .containers import check_container
from .placement import check_placement
from .refusal import (
    check_labels,
    check_name,
    check_not_negative,
    check_unique,
    refuse,
)
from .resources import check_resources
from .rollouts import check_mode, check_rollouts


def check_service(spec: ServiceSpec, vxlan_port: int = limits.vxlan_port) -> None:
    """Check a whole service spec, except for what only the store knows (networks, names taken)."""
    size = len(msgspec.msgpack.encode(spec))  # first: what follows looks at each part, some of them often
    if size > limits.spec_bytes_max:
        remedy = f"is more than the {limits.spec_bytes_max} a service may have; move data into the image or a volume"
        raise refuse("spec", f"{size} bytes", remedy)
    check_name("name", spec.name)
    check_labels("labels", spec.labels)
    check_mode(spec.mode)
    check_container(spec)
    _check_task(spec.task)
    check_placement(spec.task.placement, spec.mode.kind)
    check_rollouts(spec)
    _check_endpoint(spec.endpoint)
    _check_own_ports(spec.endpoint, vxlan_port)


def check_node(spec: NodeSpec) -> None:
    """Check a node spec in itself."""
    check_labels("labels", spec.labels)
    check_not_negative("drain-deadline", spec.drain_deadline_ns, "0 stops everything at once")


def _check_task(task: TaskSpec) -> None:
    check_resources(task.resources)
    _check_restart(task.restart)
    check_not_negative("force", task.force_update, "it counts how often all tasks were replaced")
    targets = [network.target for network in task.networks]
    check_unique("network", targets, "is attached twice; give it once, with all its aliases")
    for network in task.networks:
        for alias in network.aliases:
            check_name("network alias", alias)


def _check_restart(restart: RestartPolicy) -> None:
    check_not_negative("restart-delay", restart.delay_ns, "0 restarts at once")
    check_not_negative("restart-max-attempts", restart.max_attempts, "0 restarts without end")
    check_not_negative("restart-window", restart.window_ns, "0 counts every attempt")


def _check_endpoint(endpoint: EndpointSpec) -> None:
    check_not_negative("drain-time", endpoint.drain_ns, "0 asks a task to stop at once")
    if endpoint.mode is EndpointMode.DNSRR and endpoint.affinity is not Affinity.NONE:
        remedy = "cannot go with dnsrr, where clients choose the task; use endpoint-mode vip"
        raise refuse("affinity", endpoint.affinity.name.lower(), remedy)
    for port in endpoint.ports:
        _check_port(port)
        if endpoint.mode is EndpointMode.DNSRR and port.publish_mode is PublishMode.INGRESS:
            remedy = "cannot go with dnsrr; use mode=host, or endpoint-mode vip"
            raise refuse("publish", port.published_port, remedy)
    opened = {
        each: None for port in endpoint.ports for each in port.opened()
    }  # one health port may serve several
    for one, other in itertools.combinations(opened, 2):
        if one.published_port and one.meets(other):
            text = f"{one.published_port}/{one.protocol.name.lower()}"
            remedy = (
                "is published twice; choose another port for one of them, or an address of its own for each"
            )
            raise refuse("publish", text, remedy)


def _check_own_ports(endpoint: EndpointSpec, vxlan_port: int) -> None:
    """Keep the cluster's own ports: a mesh on them would cut the nodes off from each other."""
    own = {
        (Protocol.TCP, limits.control_port): "the managers",
        (Protocol.TCP, limits.bootstrap_port): "joining",
        (Protocol.UDP, vxlan_port): "the overlay networks",
    }
    for port in (opened for each in endpoint.ports for opened in each.opened()):
        user = own.get((port.protocol, port.published_port))
        if user is not None:
            raise refuse(
                "publish", port.published_port, f"is the port of {user} of every node; choose another"
            )


def _check_port(port: PortConfig) -> None:
    if port.name:
        check_name("publish name", port.name)
    if port.protocol is Protocol.SCTP:
        raise refuse("publish", "sctp", "is not supported; use tcp or udp")
    if not 0 < port.target_port <= 65535:
        raise refuse("publish", port.target_port, "is not a port of the container; use 1 to 65535")
    if not 0 <= port.published_port <= 65535:
        remedy = "is not a port; use 1 to 65535, or leave it out to have one chosen"
        raise refuse("publish", port.published_port, remedy)
    if port.publish_mode is PublishMode.HOST and port.mesh is not MeshMode.PRESERVE:
        remedy = "has no meaning with mode=host, where no mesh answers; leave one of them out"
        raise refuse("publish mesh", port.mesh.name.lower(), remedy)
    if not 0 <= port.health_port <= 65535:
        raise refuse(
            "publish health-port", port.health_port, "is not a port; use 1 to 65535, or leave it out"
        )
    if port.health_port and port.mesh is not MeshMode.LOCAL:
        remedy = "is for mesh=local only, since every node answers otherwise; add mesh=local, or leave it out"
        raise refuse("publish health-port", port.health_port, remedy)
    if port.published_address:
        _check_published_address(port.published_address)


def _check_published_address(text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        remedy = "is not an address; write one that hosts have, like 192.0.2.1"
        raise refuse("published-address", text, remedy) from error
    if text != str(address):
        raise refuse("published-address", text, f"is not as addresses are written; write {address}")
    if address.is_unspecified:
        raise refuse("published-address", text, "means every address; leave it out")
    # a link-local address is another one on each link, and a mapped one is of IPv4
    unclear = address.version == 6 and (address.is_link_local or address.ipv4_mapped is not None)
    if address.is_multicast or text == "255.255.255.255" or unclear:
        raise refuse("published-address", text, "is no host's own; write one that hosts have, like 192.0.2.1")
