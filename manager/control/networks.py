"""What requests about networks change, as functions on a draft."""

from ipaddress import IPv4Network
from random import Random

from msgspec.structs import replace

from covey.errors import FailedPrecondition, InvalidArgument, NotFound
from covey.ids import new_id
from covey.model.objects import Network, Revision, Service, Task
from covey.model.specs import NetworkSpec
from manager.store.draft import Draft
from manager.store.view import BY_NETWORK, BY_SERVICE


def create_network(draft: Draft, spec: NetworkSpec, dice: Random) -> Network:
    """Store a new network; the allocator gives it its number and subnet."""
    if spec.ingress:
        taken = next((n for n in draft.all(Network) if n.spec.ingress and not n.pending_delete), None)
        if taken is not None:
            raise InvalidArgument(
                f"ingress: {taken.spec.name!r} is the ingress network; there can be one only"
            )
    _check_subnets_free(draft, spec)
    network = Network(id=new_id(dice), spec=spec)
    draft.put(network)
    return network


def _check_subnets_free(draft: Draft, spec: NetworkSpec) -> None:
    """Refuse a subnet that another network has; one that is being removed will give it up in a moment."""
    taken = [
        (IPv4Network(cidr), other)
        for other in draft.all(Network)
        if not other.pending_delete
        for cidr in (*(s.cidr for s in other.subnets), *(c.subnet for c in other.spec.ipam if c.subnet))
    ]
    for config in spec.ipam:
        wanted = IPv4Network(config.subnet) if config.subnet else None
        for subnet, other in taken:
            if wanted is not None and wanted.overlaps(subnet):
                raise FailedPrecondition(
                    f"subnet: {config.subnet} overlaps {subnet} of network {other.spec.name}; "
                    "choose another one, or none at all"
                )


def remove_network(draft: Draft, network_id: str) -> None:
    """Mark a network for removal; it goes once its last task has ended."""
    network = draft.get(Network, network_id)
    if network is None:
        raise NotFound(f"there is no network {network_id!r}")
    if network.spec.ingress:
        raise FailedPrecondition(
            f"network {network.spec.name}: published ports need it; it cannot be removed"
        )
    users = sorted({service.name for service in _users(draft, network)})
    if users:
        remedy = "remove them or take them off it first"
        raise FailedPrecondition(f"network {network.spec.name} is in use by {', '.join(users[:5])}; {remedy}")
    draft.put(replace(network, pending_delete=True))


def _users(draft: Draft, network: Network) -> list[Service]:
    """List the services that are to be on a network: as of now, or with tasks that a rollout has yet to come to.

    It may still go back to those.
    """
    users = []
    for revision in draft.find(Revision, BY_NETWORK, network.id):
        service = draft.get(Service, revision.service_id)
        if service is None or service.pending_delete:
            continue
        tasks = draft.find(Task, BY_SERVICE, service.id)
        if service.revision_id == revision.id or any(
            task.revision_id == revision.id and task.desired_state.wants_up and not task.status.state.terminal
            for task in tasks
        ):
            users.append(service)
    return users
