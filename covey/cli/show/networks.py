"""Networks for reading: a row of a list, and all that is true of one."""

from collections.abc import Mapping

from msgspec.structs import replace

from covey.client.views import NetworkFollower, NetworkService, NetworkTruth, ServiceDetail
from covey.model import predefined
from covey.model.objects import Network

from ..options import word
from . import text

ATTACHABLE = "attachable is kept, but only tasks of services join networks here"

HEADERS = ("NETWORK ID", "NAME", "DRIVER", "SCOPE", "SUBNET", "STATE")


def scope(item: Network) -> str:
    """Say whether a network spans the cluster, or every node has its own."""
    return "local" if item.spec.driver in predefined.NAMES else "cluster"


def row(item: Network, tasks: int, whole: bool) -> tuple[str, ...]:
    """Give a line of the list; `tasks` are still on a network that is being removed."""
    given = [each.cidr for each in item.subnets]
    subnets = ", ".join(given or [each.subnet for each in item.spec.ipam if each.subnet])
    return (
        text.short(item.id, whole),
        item.spec.name,
        item.spec.driver,
        scope(item),
        subnets,
        _state(item, tasks),
    )


def _state(item: Network, tasks: int) -> str:
    if item.pending_delete:
        return f"removing, waits for {counted(tasks)}" if tasks else "removing"
    if item.allocation_error:
        return text.first_line(item.allocation_error)
    if item.spec.config_only:
        return "settings only"
    return "ready" if item.subnets or item.vni or scope(item) == "local" else "being made"


def counted(tasks: int) -> str:
    """Count tasks: `1 task`, `2 tasks`."""
    return f"{tasks} task" if tasks == 1 else f"{tasks} tasks"


def with_names(detail: ServiceDetail, names: Mapping[str, str]) -> ServiceDetail:
    """Call the networks that a service is on by their names, for reading."""
    spec = detail.revision.spec
    task = replace(
        spec.task,
        networks=tuple(
            replace(each, target=names.get(each.target, each.target)) for each in spec.task.networks
        ),
    )
    given = tuple(
        replace(each, network_id=names.get(each.network_id, each.network_id))
        for each in detail.service.virtual_ips
    )
    return replace(
        detail,
        service=replace(detail.service, virtual_ips=given),
        revision=replace(detail.revision, spec=replace(spec, task=task)),
    )


def pretty(item: Network, truth: NetworkTruth) -> str:
    """Write what nodes follow, and where services' connections go."""
    nodes = [("NODE", "CONNECTED", "TABLE", "BEHIND", "ENDPOINTS"), *(_node(each) for each in truth.nodes)]
    parts = [
        f"Network {item.spec.name} ({item.id})",
        f"Newest table: version {truth.version.index}"
        if truth.version.index
        else "No node needs its table now.",
        *([f"Note: {ATTACHABLE}."] if item.spec.attachable else []),
        *([f"It is being removed, and {truth.removal}."] if truth.removal else []),
        text.table(nodes[0], nodes[1:]) if truth.nodes else "No node is on it.",
        *(_service(each, ingress=item.spec.ingress) for each in truth.services),
    ]
    return "\n\n".join(parts)


def _node(node: NetworkFollower) -> tuple[str, ...]:
    addresses = [address for each in node.endpoints for address in each.addresses]
    behind = "unknown" if node.behind_entries < 0 else "nothing"
    if node.behind_entries > 0:
        behind = f"{node.behind_entries} {'entry' if node.behind_entries == 1 else 'entries'}"
    applied = str(node.applied.index) if node.applied.index else "none"
    return (
        node.node_name or node.node_id,
        "yes" if node.connected else "no",
        applied,
        behind,
        text.some(addresses),
    )


def _ports(service: NetworkService, *, ingress: bool) -> str:
    """List ports: what is published, or, on other networks, the names by which DNS (SRV) tells them."""
    if not ingress:
        named = [f"_{port.name}._{port.protocol.name.lower()} ({port.target_port})" for port in service.ports]
        return ", ".join(named)
    return ", ".join(
        f"{port.published_port or '*'}->{port.target_port}/{port.protocol.name.lower()}"
        for port in service.ports
    )


def _service(service: NetworkService, *, ingress: bool) -> str:
    about = [f"Service {service.name}" if ingress else f"Service {service.name} ({word(service.mode)})"]
    if service.virtual_ips:
        about.append(f"at {', '.join(service.virtual_ips)}")
    if service.aliases:
        about.append(f"also called {', '.join(service.aliases)}")
    if service.ports:
        about.append(f"{'ports' if ingress else 'ports by name'} {_ports(service, ingress=ingress)}")
    headline = ", ".join(about)
    if not service.backends:
        return f"{headline}\nno task is on it"
    rows = [
        (each.task_name, word(each.state), each.node_name or each.node_id, ", ".join(each.addresses))
        for each in service.backends
    ]
    return f"{headline}\n{text.table(('TASK', 'STATE', 'NODE', 'ADDRESS'), rows)}"
