"""What people see of a service; credentials stay here."""

from msgspec.structs import replace

from covey.errors import Bug
from covey.model.objects import Revision, Service, Task
from covey.model.specs import ServiceSpec
from covey.model.states import ServiceModeKind, TaskState
from covey.v1.control_pb2 import ServiceDetail
from covey.v1.objects_pb2 import Revision as RevisionMessage
from covey.v1.objects_pb2 import Service as ServiceMessage
from covey.wire.codec import to_message
from manager.store.view import BY_SERVICE, View


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


def _without_credentials(spec: ServiceSpec) -> ServiceSpec:
    return replace(spec, task=replace(spec.task, container=replace(spec.task.container, registry_auth=None)))
