"""What people see of a service; credentials stay here."""

from collections.abc import Collection

from msgspec.structs import replace

from covey.errors import Bug
from covey.model.jobs import extent
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
    completed = _completed(view, revision, tasks)
    match revision.spec.mode.kind:
        case ServiceModeKind.REPLICATED:
            desired = revision.spec.mode.replicas
        case ServiceModeKind.REPLICATED_JOB:
            total, at_once = extent(revision.spec.mode)
            desired = min(at_once, max(total - completed, 0))
        case _:
            desired = sum(not task.status.state.terminal for task in wanted)
    return ServiceDetail(
        service=to_message(service, ServiceMessage),
        revision=_shown(revision),
        running=sum(task.status.state is TaskState.RUNNING for task in wanted),
        desired=desired,
        completed=completed,
    )


def _completed(view: View, current: Revision, tasks: Collection[Task]) -> int:
    """Count tasks that succeeded; of a job, the places in which one of the present iteration did."""
    succeeded = [task for task in tasks if task.status.state is TaskState.COMPLETE]
    if not current.spec.mode.kind.job:
        return len(succeeded)
    found = {task.revision_id: view.get(Revision, task.revision_id) for task in succeeded}
    now = {
        id
        for id, revision in found.items()
        if revision and revision.restart_generation == current.restart_generation
    }
    everywhere = current.spec.mode.kind.everywhere
    return len({task.node_id if everywhere else task.slot for task in succeeded if task.revision_id in now})


def revisions(view: View, service_id: str) -> list[RevisionMessage]:
    """List what is kept of a service's history, oldest first."""
    kept = sorted(view.find(Revision, BY_SERVICE, service_id), key=lambda revision: revision.number)
    return [_shown(revision) for revision in kept]


def _shown(revision: Revision) -> RevisionMessage:
    return to_message(replace(revision, spec=_without_credentials(revision.spec)), RevisionMessage)


def _without_credentials(spec: ServiceSpec) -> ServiceSpec:
    return replace(spec, task=replace(spec.task, container=replace(spec.task.container, registry_auth=None)))
