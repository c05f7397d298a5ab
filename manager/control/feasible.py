"""Could a service be as it is asked for, on the nodes that there are? What needs a look at the cluster."""

from covey.errors import FailedPrecondition
from covey.model import constraint
from covey.model.objects import Node
from covey.model.platforms import made_for
from covey.model.specs import Placement, ServiceSpec
from covey.model.states import PublishMode, ServiceModeKind, UpdateOrder
from manager.store.view import View


def check_feasible(view: View, spec: ServiceSpec, current: ServiceSpec | None = None) -> None:
    """Refuse a sound spec that asks for more places than its own rules leave it.

    The nodes that count are those that satisfy the constraints, be they up, full, drained or down: what only has to
    wait for one of them is not refused. Neither is anything while there is no such node: one may be on its way.
    `current` is what the service has now: an update that leaves all this as it is goes through, even where a node
    has left since. Jobs need no more than one place.

    Raises:
        FailedPrecondition: naming field, value and remedy.
    """
    if spec.mode.kind is not ServiceModeKind.REPLICATED or not spec.mode.replicas:
        return
    if current is not None and _claims(current) == _claims(spec):
        return
    fitting = [node for node in view.all(Node) if _fits(spec.task.placement, node)]
    if fitting:
        _check_most(spec, len(fitting))
        _check_ports(spec, len(fitting))


def _claims(spec: ServiceSpec) -> object:
    """Give all that decides here."""
    placement = spec.task.placement
    return (
        spec.mode,
        (placement.constraints, placement.platforms, placement.max_replicas_per_node),
        (spec.update.order, spec.rollback.order),
        _host_ports(spec),
    )


def _check_most(spec: ServiceSpec, nodes: int) -> None:
    most, replicas = spec.task.placement.max_replicas_per_node, spec.mode.replicas
    if not most:
        return
    if replicas > most * nodes:
        raise FailedPrecondition(
            f"replicas: {replicas} are more than the {most * nodes} that replicas-max-per-node {most} allows on "
            f"{_of(nodes, spec)}; ask for fewer, raise replicas-max-per-node, or add nodes first"
        )
    if replicas == most * nodes:
        _refuse_start_first(
            spec,
            f"needs room for one more task while an old one runs, and replicas-max-per-node {most} allows the "
            f"{replicas} replicas and no more on {_of(nodes, spec)}",
            "raise replicas-max-per-node",
        )


def _check_ports(spec: ServiceSpec, nodes: int) -> None:
    ports = _host_ports(spec)
    if ports and spec.mode.replicas >= nodes:
        _refuse_start_first(
            spec,
            f"needs port {ports[0]} free on one node more than the {spec.mode.replicas} that run it, and it may "
            f"run on {_of(nodes, spec)}",
            "publish with mode=ingress",
        )


def _refuse_start_first(spec: ServiceSpec, reason: str, remedy: str) -> None:
    for field, update in (("update-order", spec.update), ("rollback-order", spec.rollback)):
        if update.order is UpdateOrder.START_FIRST:
            raise FailedPrecondition(
                f"{field}: 'start-first' {reason}; use stop-first, {remedy}, ask for fewer replicas, or add nodes first"
            )


def _host_ports(spec: ServiceSpec) -> tuple[int, ...]:
    """Give the ports of which each node has one; those without a number by the container's."""
    host = (port for port in spec.endpoint.ports if port.publish_mode is PublishMode.HOST)
    return tuple(port.published_port or port.target_port for port in host)


def _of(nodes: int, spec: ServiceSpec) -> str:
    placement = spec.task.placement
    of = "1 node" if nodes == 1 else f"{nodes} nodes"
    if not placement.constraints and not placement.platforms:
        return f"{of} in the cluster"
    return f"{of} that can be chosen by {', '.join(placement.constraints) or 'platform'}"


def _fits(placement: Placement, node: Node) -> bool:
    if not all(wanted.holds(node) for wanted in constraint.parse_all(placement.constraints)):
        return False
    return made_for(placement.platforms, node)
