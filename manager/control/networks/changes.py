"""What requests about networks change, as functions on a draft, and what of them only the store can judge."""

from collections.abc import Sequence
from ipaddress import ip_network
from random import Random

from msgspec.structs import replace

from covey.errors import AlreadyExists, FailedPrecondition, NotFound, Refused
from covey.ids import new_id
from covey.model import predefined
from covey.model.network_options import MACVLAN
from covey.model.objects import Cluster, Endpoint, Network, Node
from covey.model.specs import NetworkSpec
from manager.allocator.subnets import allocate, hosts_of
from manager.orchestrator.deletion import end_network
from manager.orchestrator.users import takers, users
from manager.store.draft import Draft
from manager.store.view import BY_NETWORK, View

from .macvlan import gives
from .settings import with_settings


def create_network(draft: Draft, spec: NetworkSpec, dice: Random) -> Network:
    """Store a new network; the allocator gives it its number and subnet, but only if it can have them."""
    present = [network for network in draft.all(Network) if not network.pending_delete]
    _check_alone(draft, spec)
    spec = with_settings(draft, spec)
    network = Network(id=new_id(dice), spec=spec)
    if spec.config_only:
        draft.put(network)
        return network
    _check_subnets_free(present, spec)
    _check_no_node_within(draft, spec)
    hosts = hosts_of(draft.all(Node))
    reason = allocate(network, present, _cluster(draft), hosts).allocation_error
    if reason:
        raise FailedPrecondition(reason)
    draft.put(network)
    return network


def _cluster(view: View) -> Cluster:
    return next(iter(view.all(Cluster)), Cluster())


def _check_alone(view: View, spec: NetworkSpec) -> None:
    """Refuse a second ingress network, and the name of one that is being removed: nobody could tell the two apart."""
    for network in view.all(Network):
        if spec.ingress and network.spec.ingress:
            state = (
                f"is being removed, and {waits_for(view, network)}" if network.pending_delete else "is there"
            )
            raise FailedPrecondition(
                f"ingress: the ingress network {network.spec.name!r} {state}; there can be one only: remove it first"
            )
        if network.pending_delete and network.spec.name.casefold() == spec.name.casefold():
            raise AlreadyExists(
                f"name: network {network.spec.name!r} is being removed, and {waits_for(view, network)}; create it "
                "once that is gone, or choose another name"
            )


def _check_subnets_free(present: Sequence[Network], spec: NetworkSpec) -> None:
    """Refuse a subnet that another network has; one that is being removed will give it up in a moment."""
    taken = [
        (ip_network(cidr), other)
        for other in present
        if not other.spec.config_only
        for cidr in (*(s.cidr for s in other.subnets), *(c.subnet for c in other.spec.ipam if c.subnet))
    ]
    for config in spec.ipam:
        wanted = ip_network(config.subnet) if config.subnet else None
        for subnet, other in taken:
            if wanted is not None and wanted.overlaps(subnet):
                remedy = "choose another one, or none at all"
                if spec.config_from:
                    remedy = (
                        f"settings with a subnet, as {spec.config_from} has, are for one network at a time"
                    )
                raise FailedPrecondition(
                    f"subnet: {config.subnet} overlaps {subnet} of network {other.spec.name}; {remedy}"
                )


def _check_no_node_within(view: View, spec: NetworkSpec) -> None:
    """Refuse a subnet in which nodes have their own addresses: tasks on it could not reach those.

    On a macvlan network they can, but none may be given one of those.
    """
    beside = spec.driver == MACVLAN
    for config in spec.ipam:
        for node in view.all(Node) if config.subnet else ():
            for host in hosts_of((node,)):
                if gives(config, host) if beside else host.overlaps(ip_network(config.subnet)):
                    remedy = "choose another one, or none at all"
                    if beside:
                        remedy = "keep it out of what tasks get, by ip-range or aux-address"
                    raise FailedPrecondition(
                        f"subnet: {config.subnet} holds the address {host.network_address} of node "
                        f"{node.description.hostname}; {remedy}"
                    )


def remove_network(draft: Draft, network_id: str) -> None:
    """Mark a network as one that goes, by `end_removal` or the orchestrator, once its last task has ended.

    Never at once: a service that is created in the same moment may be stored first, and this does not see it. Once the
    mark is stored, nobody takes the network up any more, and whoever did before it is seen.
    """
    network = draft.get(Network, network_id)
    if predefined.find(network_id) is not None:
        raise FailedPrecondition(f"network {network_id} cannot be removed: every node has it")
    if network is None:
        raise NotFound(f"there is no network {network_id!r}")
    if network.pending_delete:
        return
    reason = hindrance(draft, network)
    if reason is not None:
        raise reason
    draft.put(replace(network, pending_delete=True))


def end_removal(draft: Draft, network_id: str) -> Refused | None:
    """Delete a marked network if nothing is on it; say why it stays if somebody took it up in that moment."""
    network = draft.get(Network, network_id)
    if network is not None and network.pending_delete:
        end_network(draft, network)
        network = draft.get(Network, network_id)
    return None if network is None or network.pending_delete else hindrance(draft, network)


def hindrance(view: View, network: Network) -> Refused | None:
    """Say why a network cannot be removed now; None if it can."""
    if names := takers(view, network):
        remedy = "remove those first"
        return FailedPrecondition(
            f"network {network.spec.name}: it holds the settings of {_some(names)}; {remedy}"
        )
    members = sorted({service.name for service in users(view, network)})
    if not members:
        return None
    named = _some(members)
    if network.spec.ingress:
        remedy = f"services publish ports by it ({named}); remove them, or publish in host mode"
        return FailedPrecondition(f"network {network.spec.name}: {remedy}")
    remedy = "remove them or take them off it first"
    return FailedPrecondition(f"network {network.spec.name} is in use by {named}; {remedy}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def waits_for(view: View, network: Network) -> str:
    """Say what the removal of a network waits for: `waits for 3 tasks`."""
    tasks = {each.task_id for each in view.find(Endpoint, BY_NETWORK, network.id) if each.task_id}
    if not tasks:
        return "goes in a moment"
    return f"waits for {len(tasks)} {'task' if len(tasks) == 1 else 'tasks'} to end"
