"""What requests about services change, as functions on a draft."""

from collections.abc import Collection
from random import Random

from msgspec.structs import replace

from covey.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from covey.ids import new_id
from covey.model import network_options, predefined, reference
from covey.model.objects import Network, Revision, Service
from covey.model.specs import NetworkAttachmentSpec, PortConfig, ServiceSpec
from covey.model.states import PublishMode
from manager.control.feasible import check_feasible
from manager.control.lookup import find_network
from manager.control.networks.macvlan import check_publishing
from manager.control.networks.publishing import check_published_addresses
from manager.control.networks.validate import check_predefined
from manager.orchestrator.revisions import (
    adopt,
    find_rollback,
    first_revision,
    next_revision,
    resumed,
    rolled_back,
    rolling_back,
)
from manager.store.draft import Draft
from manager.store.view import BY_SERVICE, View

from .describing import current_revision


def create_service(draft: Draft, spec: ServiceSpec, dice: Random, author: str = "") -> Service:
    """Store a new service with its first revision. The spec has been validated."""
    check_feasible(draft, spec)
    _check_ports(draft, "", spec.endpoint.ports)
    service_id = new_id(dice)
    revision = first_revision(service_id, _with_networks(draft, spec), dice, author=author)
    service = adopt(Service(id=service_id, name=spec.name), None, revision)
    draft.put(revision)
    draft.put(service)
    return service


def update_service(
    draft: Draft,
    service_id: str,
    version: int,
    spec: ServiceSpec,
    dice: Random,
    *,
    force: bool = False,
    author: str = "",
) -> None:
    """Give a service a new spec, as a new revision. If nothing changed, let a rollout that is paused go on.

    `force` replaces all tasks, whatever changed.
    """
    service = _as_read(draft, service_id, version)
    current = current_revision(draft, service)
    spec = wanted(draft, current, spec, force=force)
    if spec == current.spec:
        if (after := resumed(service)) != service:
            draft.put(after)
        return
    check_feasible(draft, spec, current.spec)
    _check_ports(draft, service_id, set(spec.endpoint.ports) - set(current.spec.endpoint.ports))
    revision = next_revision(service, current, spec, dice, author=author)
    draft.put(revision)
    draft.put(adopt(service, current, revision))


def wanted(draft: Draft, current: Revision, spec: ServiceSpec, *, force: bool) -> ServiceSpec:
    """Give the spec that an update of `current` comes to, as it would be stored; refuse what cannot change."""
    name = current.spec.name
    if spec.name != name:
        raise InvalidArgument(f"name: {spec.name!r} differs from {name!r}; a service keeps its name")
    if spec.mode.kind is not current.spec.mode.kind:
        raise InvalidArgument("mode: a service keeps its mode; remove it and create another one")
    spec = _with_networks(draft, _with_credentials(spec, current.spec))
    if force:
        spec = replace(spec, task=replace(spec.task, force_update=current.spec.task.force_update + 1))
    return spec


def roll_back_service(
    draft: Draft,
    service_id: str,
    version: int,
    number: int,
    dice: Random,
    *,
    now_ns: int,
    author: str = "",
) -> Revision:
    """Bring an older revision back, by its number or (0) the one before; returns which. Its replicas stay as they are."""
    service = _as_read(draft, service_id, version)
    current = current_revision(draft, service)
    to = find_rollback(current, draft.find(Revision, BY_SERVICE, service.id), number)
    revision = rolled_back(service, current, to, dice, author=author)
    spec = _with_networks(draft, revision.spec)  # they may be gone by now
    check_feasible(draft, spec, current.spec)
    _check_ports(draft, service_id, set(spec.endpoint.ports) - set(current.spec.endpoint.ports))
    draft.put(revision)
    draft.put(rolling_back(service, current, revision, now_ns))
    return to


def stop_service(draft: Draft, service_id: str) -> None:
    """Have a service's tasks stopped; all else that it is stays."""
    draft.put(replace(_present(draft, service_id), stopped=True))


def start_service(draft: Draft, service_id: str) -> None:
    """Give a stopped service its tasks again."""
    draft.put(replace(_present(draft, service_id), stopped=False))


def remove_service(draft: Draft, service_id: str) -> None:
    """Mark a service for removal; the orchestrator stops its tasks and then deletes it."""
    service = _present(draft, service_id)
    draft.put(replace(service, pending_delete=True))


def _as_read(draft: Draft, service_id: str, version: int) -> Service:
    """Find a service, unless it is another than the caller has seen."""
    service = _present(draft, service_id)
    if service.meta.version != version:
        raise Conflict(
            f"service {service.name} changed since it was read (version {service.meta.version}, not {version}); "
            "repeat the command"
        )
    return service


def _present(draft: Draft, service_id: str) -> Service:
    service = draft.get(Service, service_id)
    if service is None:
        raise NotFound(f"there is no service {service_id!r}")
    if service.pending_delete:
        raise FailedPrecondition(f"service {service.name} is being removed")
    return service


def _with_networks(draft: Draft, spec: ServiceSpec) -> ServiceSpec:
    """Name networks by id, and refuse those a service cannot join."""
    attachments, networks = [], []
    for attachment in spec.task.networks:
        network = find_network(draft, attachment.target)
        _check_joinable(network)
        if network.spec.driver == network_options.MACVLAN:
            check_publishing(spec, network.spec.name)
        if network.id not in predefined.NAMES:
            draft.require(network)  # lest it is removed at the same moment
        attachments.append(NetworkAttachmentSpec(target=network.id, aliases=attachment.aliases))
        networks.append(network)
    if len({attachment.target for attachment in attachments}) < len(attachments):
        raise InvalidArgument("network: one network is named twice; give it once, with all its aliases")
    ingress = [each for each in draft.all(Network) if each.spec.ingress] if spec.endpoint.ports else []
    if any(port.publish_mode is PublishMode.INGRESS for port in spec.endpoint.ports):
        for network in ingress:
            draft.require(network)  # who removes it looks for services that publish by it
    check_published_addresses(spec, networks, ingress)
    joined = replace(spec, task=replace(spec.task, networks=tuple(attachments)))
    check_predefined(joined)
    return joined


def _check_joinable(network: Network) -> None:
    if network.spec.ingress:
        remedy = "publish a port and it is joined by itself"
        raise InvalidArgument(f"network: {network.spec.name!r} is the ingress network; {remedy}")
    if network.spec.config_only:
        remedy = "make a network that takes them over (config-from), and name that"
        raise InvalidArgument(f"network: {network.spec.name!r} is nothing but settings; {remedy}")
    if network.pending_delete:
        raise FailedPrecondition(f"network: {network.spec.name!r} is being removed")


def _check_ports(draft: Draft, service_id: str, wanted: Collection[PortConfig]) -> None:
    """Refuse a port that another service has, or has asked for: a typing error is not to be stored.

    The allocator decides all the same: what is asked for at the same moment is told apart there.
    """
    numbered = [port for port in wanted if port.published_port]
    for other in draft.all(Service) if numbered else ():
        if other.id == service_id or other.pending_delete:
            continue
        for port in (*other.ports, *current_revision(draft, other).spec.endpoint.ports):
            met = [mine.publish_mode for mine in numbered if mine.meets(port)]
            if met and PublishMode.INGRESS in (*met, port.publish_mode):
                text = f"{port.published_port}/{port.protocol.name.lower()}"
                raise ResourceExhausted(f"port {text} is taken by service {other.name}; publish another one")


def with_credentials(view: View, service_id: str, spec: ServiceSpec) -> ServiceSpec:
    """Give a service's new spec with the credentials it has, as asking its image's registry needs them."""
    service = view.get(Service, service_id)
    return spec if service is None else _with_credentials(spec, current_revision(view, service).spec)


def _with_credentials(spec: ServiceSpec, current: ServiceSpec) -> ServiceSpec:
    """Keep the credentials that reading the service did not show, unless new ones came.

    They are for one registry, and are shown to no other.
    """
    container, known = spec.task.container, current.task.container
    if container.registry_auth is not None or known.registry_auth is None:
        return spec
    if reference.parse(container.image).registry != reference.parse(known.image).registry:
        return spec
    kept = replace(container, registry_auth=known.registry_auth)
    return replace(spec, task=replace(spec.task, container=kept))
