"""The endpoints of a task: one for each network, from the moment it is made until it has ended."""

from random import Random

from msgspec.structs import replace

from covey.ids import new_id
from covey.model import predefined
from covey.model.addressing import addresses_of
from covey.model.network_options import MACVLAN
from covey.model.objects import Endpoint, Network, Task
from covey.model.specs import ServiceSpec
from covey.model.states import EndpointState, HealthState, PublishMode, TaskState
from manager.store.draft import Draft
from manager.store.view import BY_TASK

from .addresses import Addresses
from .pool import numbering


def overlays_of(spec: ServiceSpec) -> list[str]:
    """The networks a service names that give addresses: not those that every node has of itself."""
    return [each.target for each in spec.task.networks if each.target not in predefined.NAMES]


def networks_of(spec: ServiceSpec, ingress_id: str) -> list[str]:
    """The networks a task of this spec stands on, in the order of its interfaces."""
    networks = overlays_of(spec)
    if any(port.publish_mode is PublishMode.INGRESS for port in spec.endpoint.ports):
        networks.append(ingress_id)
    return networks


def settle(draft: Draft, addresses: Addresses, task_id: str) -> bool:
    """Bring the endpoints of a task in line with its state; tells whether addresses were freed."""
    task = draft.get(Task, task_id)
    endpoints = draft.find(Endpoint, BY_TASK, task_id)
    if not endpoints:
        return False
    if task is None or task.status.state.terminal:
        for endpoint in endpoints:
            draft.delete(Endpoint, endpoint.id)
            addresses.observe_endpoint(endpoint.id, None)
        return True
    state = state_for(task)
    for endpoint in endpoints:
        if endpoint.state is not state:
            draft.put(replace(endpoint, state=state))
    return False


def state_for(task: Task) -> EndpointState:
    """Whether traffic may go to a task that has not ended: once it runs and, if it has a check, is healthy."""
    if not task.desired_state.wants_up or task.status.health is HealthState.UNHEALTHY:
        return EndpointState.DRAINING
    if task.status.state is TaskState.RUNNING and task.status.health is not HealthState.STARTING:
        return EndpointState.ACTIVE
    return EndpointState.JOINING


def give(draft: Draft, addresses: Addresses, task: Task, networks: list[str], dice: Random) -> str:
    """Make the endpoints a task lacks; if one cannot be had, make none and return the reason."""
    if not networks:
        return ""
    had: set[str] = set()
    if task.meta.version:
        had = {endpoint.network_id for endpoint in draft.find(Endpoint, BY_TASK, task.id)}
    made: list[Endpoint] = []
    for network_id in networks:
        if network_id in had:
            continue
        reason, number, given = take_address(draft, addresses, network_id)
        if reason:
            for endpoint in made:
                addresses.observe_endpoint(endpoint.id, None)
            return reason
        endpoint = Endpoint(
            id=new_id(dice),
            network_id=network_id,
            node_id=task.node_id,
            task_id=task.id,
            service_id=task.service_id,
            number=number,
            addresses=given,
        )
        addresses.observe_endpoint(endpoint.id, endpoint)
        made.append(endpoint)
    for endpoint in made:
        draft.put(endpoint)
    return ""


def take_address(draft: Draft, addresses: Addresses, network_id: str) -> tuple[str, int, tuple[str, ...]]:
    """Find a free number and its addresses on a network, or say why there is none.

    The caller has its holder observed.
    """
    network = draft.get(Network, network_id) if network_id else None
    if network is None:
        if not network_id:
            remedy = "make one (covey network create --ingress NAME), or publish in host mode"
            return f"there is no ingress network, by which ports are published; {remedy}", 0, ()
        return f"network {network_id} does not exist; create it, or take it out of the service", 0, ()
    if network.pending_delete:
        return f"network {network.spec.name} is being removed", 0, ()
    if not addresses.known(network_id):
        return f"network {network.spec.name}: {network.allocation_error or 'it has no subnet yet'}", 0, ()
    number = addresses.take(network_id, on_lan=network.spec.driver == MACVLAN)
    if number is None:
        subnets = ", ".join(subnet.ip_range or subnet.cidr for subnet in numbering(network.subnets))
        remedy = "remove some of them from it, or make one with a larger subnet"
        why = f"every address of {subnets} is taken, by tasks and services; {remedy}"
        return f"network {network.spec.name}: {why}", 0, ()
    return "", number, addresses_of(network.subnets, number)


def node_endpoint(addresses: Addresses, ingress: Network, node_id: str, dice: Random) -> Endpoint | None:
    """Make a node's own endpoint on the ingress network; None if no address is left."""
    number = addresses.take(ingress.id)
    if number is None:
        return None
    return Endpoint(
        id=new_id(dice),
        network_id=ingress.id,
        node_id=node_id,
        number=number,
        addresses=addresses_of(ingress.subnets, number),
        state=EndpointState.ACTIVE,
    )
