"""Revisions of a service: when one is new, when it calls for new tasks, and which are forgotten.

Pure functions. The control API makes revisions with them; the orchestrator prunes.
"""

from collections.abc import Collection, Sequence
from random import Random

from msgspec.structs import replace

from covey import limits
from covey.ids import new_id
from covey.model.objects import Revision, Service, UpdateStatus
from covey.model.specs import ContainerSpec, Placement, PortConfig, RestartPolicy, ServiceSpec, TaskSpec
from covey.model.states import PublishMode, UpdateState

_OVER = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED, UpdateState.ROLLBACK_COMPLETED)


def needs_new_tasks(old: ServiceSpec, new: ServiceSpec) -> bool:
    """Tell whether going from `old` to `new` must replace running tasks.

    Not for what managers alone act on: the number of replicas, labels of the service, the update,
    rollback and restart policies, placement (a task whose node no longer fits is replaced all the same,
    see `rollout`), the endpoint mode, the numbers of ingress ports, and registry credentials.
    """
    return _of_container(old.task) != _of_container(new.task) or _of_endpoint(old) != _of_endpoint(new)


def _of_container(task: TaskSpec) -> TaskSpec:
    container: ContainerSpec = replace(task.container, registry_auth=None)
    return replace(task, container=container, placement=Placement(), restart=RestartPolicy())


def _of_endpoint(spec: ServiceSpec) -> tuple[bool, tuple[PortConfig, ...]]:
    """What of the ports a container is built for: an ingress interface, and its node's own ports."""
    host = tuple(port for port in spec.endpoint.ports if port.publish_mode is PublishMode.HOST)
    return len(host) < len(spec.endpoint.ports), host


def first_revision(service_id: str, spec: ServiceSpec, dice: Random) -> Revision:
    """Make the revision a new service starts with."""
    return Revision(id=new_id(dice), service_id=service_id, number=1, restart_generation=1, spec=spec)


def next_revision(
    service: Service, current: Revision, new_spec: ServiceSpec, dice: Random, *, force: bool = False
) -> Revision:
    """Make the revision that follows `current`; with `force` it replaces all tasks in any case.

    A restart generation is the number of the revision that began it, so it is never used twice.
    """
    number = service.last_revision_number + 1
    restart = force or new_spec.mode.kind.job or needs_new_tasks(current.spec, new_spec)
    generation = number if restart else current.restart_generation
    return Revision(
        id=new_id(dice), service_id=service.id, number=number, restart_generation=generation, spec=new_spec
    )


def adopt(service: Service, current: Revision | None, revision: Revision) -> Service:
    """Give `service` as it is once `revision` is its current one.

    A new restart generation takes over from any rollout before it, so the update status starts anew; so
    does that of a paused one, which any update lets go on, and of one that was rolled back, which is no news
    of what was asked for since. Something smaller (a scale) leaves a running rollout alone.
    """
    anew = current is None or current.restart_generation != revision.restart_generation
    if anew or service.update_status.state in _OVER:
        service = replace(service, update_status=UpdateStatus())
    return replace(
        service,
        revision_id=revision.id,
        previous_revision_id=service.revision_id,
        last_revision_number=revision.number,
    )


def before(current: Revision, revisions: Sequence[Revision]) -> Revision | None:
    """Find what a rollback of `current` goes back to: the newest older revision with other tasks."""
    older = [
        r
        for r in revisions
        if r.number < current.number and r.restart_generation != current.restart_generation
    ]
    return max(older, key=lambda r: r.number, default=None)


def rolled_back(service: Service, current: Revision, to: Revision, dice: Random) -> Revision:
    """Make the revision that brings `to` back.

    It has the restart generation of `to`, so that tasks of `to` which still run are right as they are,
    and keeps the present number of replicas: how many was not what went wrong.
    """
    number = service.last_revision_number + 1
    return Revision(
        id=new_id(dice),
        service_id=service.id,
        number=number,
        restart_generation=number if to.spec.mode.kind.job else to.restart_generation,  # a job runs anew
        spec=replace(to.spec, mode=current.spec.mode),
    )


def prunable(service: Service, revisions: Sequence[Revision], in_use: Collection[str]) -> list[Revision]:
    """Say which revisions to forget: past the newest few, and neither current, previous nor in use."""
    kept = {service.revision_id, service.previous_revision_id, *in_use}
    by_age = sorted(revisions, key=lambda r: r.number, reverse=True)
    return [r for r in by_age[limits.revisions_kept_per_service :] if r.id not in kept]
