"""What requests about services change, as functions on a draft."""

from collections.abc import Collection
from random import Random

from msgspec.structs import replace

from covey.errors import Bug, Conflict, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from covey.ids import new_id
from covey.model import reference
from covey.model.objects import Network, Revision, Service, Task
from covey.model.specs import NetworkAttachmentSpec, PortConfig, ServiceSpec
from covey.model.states import PublishMode, ServiceModeKind, TaskState
from covey.v1.control_pb2 import ServiceDetail
from covey.v1.objects_pb2 import Revision as RevisionMessage
from covey.v1.objects_pb2 import Service as ServiceMessage
from covey.wire.codec import to_message
from manager.control.lookup import find_network
from manager.orchestrator.revisions import adopt, first_revision, next_revision
from manager.store.draft import Draft
from manager.store.view import BY_SERVICE, View


def create_service(draft: Draft, spec: ServiceSpec, dice: Random) -> Service:
    """Store a new service with its first revision. The spec has been validated."""
    _check_ports(draft, "", spec.endpoint.ports)
    service_id = new_id(dice)
    revision = first_revision(service_id, _with_networks(draft, spec), dice)
    service = adopt(Service(id=service_id, name=spec.name), None, revision)
    draft.put(revision)
    draft.put(service)
    return service


def update_service(draft: Draft, service_id: str, version: int, spec: ServiceSpec, dice: Random) -> None:
    """Give a service a new spec, as a new revision, unless nothing changed."""
    service = _present(draft, service_id)
    if service.meta.version != version:
        raise Conflict(
            f"service {service.name} changed since it was read (version {service.meta.version}, not {version}); "
            "repeat the command"
        )
    current = current_revision(draft, service)
    if spec.name != service.name:
        raise InvalidArgument(f"name: {spec.name!r} differs from {service.name!r}; a service keeps its name")
    if spec.mode.kind is not current.spec.mode.kind:
        raise InvalidArgument("mode: a service keeps its mode; remove it and create another one")
    spec = _with_networks(draft, _with_credentials(spec, current.spec))
    if spec == current.spec:
        return
    _check_ports(draft, service_id, set(spec.endpoint.ports) - set(current.spec.endpoint.ports))
    revision = next_revision(service, current, spec, dice)
    draft.put(revision)
    draft.put(adopt(service, current, revision))


def remove_service(draft: Draft, service_id: str) -> None:
    """Mark a service for removal; the orchestrator stops its tasks and then deletes it."""
    service = _present(draft, service_id)
    draft.put(replace(service, pending_delete=True))


def current_revision(view: View, service: Service) -> Revision:
    """Return the revision a service stands at."""
    revision = view.get(Revision, service.revision_id)
    if revision is None:
        raise Bug(f"service {service.id} has no revision {service.revision_id}")
    return revision


def describe(view: View, service: Service) -> ServiceDetail:
    """Put together what people see of a service; credentials stay here."""
    revision = current_revision(view, service)
    tasks = view.find(Task, BY_SERVICE, service.id)
    wanted = [task for task in tasks if task.desired_state.wants_up]
    if revision.spec.mode.kind is ServiceModeKind.REPLICATED:
        desired = revision.spec.mode.replicas
    else:
        desired = len(wanted)
    return ServiceDetail(
        service=to_message(service, ServiceMessage),
        revision=_shown(revision),
        running=sum(task.status.state is TaskState.RUNNING for task in wanted),
        desired=desired,
        completed=sum(task.status.state is TaskState.COMPLETE for task in tasks),
    )


def revisions(view: View, service_id: str) -> list[RevisionMessage]:
    """List what is kept of a service's history, oldest first."""
    kept = sorted(view.find(Revision, BY_SERVICE, service_id), key=lambda revision: revision.number)
    return [_shown(revision) for revision in kept]


def _shown(revision: Revision) -> RevisionMessage:
    return to_message(replace(revision, spec=_without_credentials(revision.spec)), RevisionMessage)


def _present(draft: Draft, service_id: str) -> Service:
    service = draft.get(Service, service_id)
    if service is None:
        raise NotFound(f"there is no service {service_id!r}")
    if service.pending_delete:
        raise FailedPrecondition(f"service {service.name} is being removed")
    return service


def _with_networks(draft: Draft, spec: ServiceSpec) -> ServiceSpec:
    """Name networks by id, and refuse those a service cannot join."""
    attachments = []
    for attachment in spec.task.networks:
        network = find_network(draft, attachment.target)
        _check_joinable(network)
        draft.require(network)  # lest it is removed at the same moment
        attachments.append(NetworkAttachmentSpec(target=network.id, aliases=attachment.aliases))
    if len({attachment.target for attachment in attachments}) < len(attachments):
        raise InvalidArgument("network: one network is named twice; give it once, with all its aliases")
    return replace(spec, task=replace(spec.task, networks=tuple(attachments)))


def _check_joinable(network: Network) -> None:
    if network.spec.ingress:
        remedy = "publish a port and it is joined by itself"
        raise InvalidArgument(f"network: {network.spec.name!r} is the ingress network; {remedy}")
    if network.pending_delete:
        raise FailedPrecondition(f"network: {network.spec.name!r} is being removed")


def _check_ports(draft: Draft, service_id: str, wanted: Collection[PortConfig]) -> None:
    """Refuse a port that another service has, or has asked for: a typing error is not to be stored.

    The allocator decides all the same: what is asked for at the same moment is told apart there.
    """
    numbers = {(port.protocol, port.published_port): port for port in wanted if port.published_port}
    for other in draft.all(Service) if numbers else ():
        if other.id == service_id or other.pending_delete:
            continue
        for port in (*other.ports, *current_revision(draft, other).spec.endpoint.ports):
            mine = numbers.get((port.protocol, port.published_port))
            if mine is not None and PublishMode.INGRESS in (mine.publish_mode, port.publish_mode):
                text = f"{port.published_port}/{port.protocol.name.lower()}"
                raise ResourceExhausted(f"port {text} is taken by service {other.name}; publish another one")


def _without_credentials(spec: ServiceSpec) -> ServiceSpec:
    return replace(spec, task=replace(spec.task, container=replace(spec.task.container, registry_auth=None)))


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
