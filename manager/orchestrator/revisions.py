"""Revisions of a service: when one is new, when it calls for new tasks, and which are forgotten.

Pure functions. The control API makes revisions with them; the orchestrator prunes.
"""

from collections.abc import Collection, Iterable, Sequence
from random import Random

from msgspec.structs import replace

from covey import limits
from covey.errors import FailedPrecondition, InvalidArgument
from covey.ids import new_id
from covey.model.history import goes_back_to, other_tasks
from covey.model.objects import Revision, Service, UpdateStatus
from covey.model.specs import ContainerSpec, Placement, PortConfig, RestartPolicy, ServiceSpec, TaskSpec
from covey.model.states import PublishMode, UpdateState

PAUSED = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)


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


def first_revision(service_id: str, spec: ServiceSpec, dice: Random, *, author: str = "") -> Revision:
    """Make the revision a new service starts with. `author` is who asked for it."""
    return Revision(
        id=new_id(dice), service_id=service_id, number=1, restart_generation=1, spec=spec, author=author
    )


def next_revision(
    service: Service,
    current: Revision,
    new_spec: ServiceSpec,
    dice: Random,
    *,
    force: bool = False,
    author: str = "",
) -> Revision:
    """Make the revision that follows `current`; with `force` it replaces all tasks in any case.

    A restart generation is the number of the revision that began it, so it is never used twice. Every
    revision of a job begins one: it runs anew.
    """
    number = service.last_revision_number + 1
    restart = force or new_spec.mode.kind.job or needs_new_tasks(current.spec, new_spec)
    return Revision(
        id=new_id(dice),
        service_id=service.id,
        number=number,
        restart_generation=number if restart else current.restart_generation,
        spec=new_spec,
        author=author,
    )


def adopt(service: Service, current: Revision | None, revision: Revision) -> Service:
    """Give `service` as it is once `revision` is its current one.

    A new restart generation takes over from any rollout before it, so the update status starts anew; so
    does that of one that was rolled back, which is no news of what was asked for since. Something smaller
    (a scale) leaves a running rollout alone, and lets a paused one go on.
    """
    anew = current is None or current.restart_generation != revision.restart_generation
    if anew or service.update_status.state is UpdateState.ROLLBACK_COMPLETED:
        service = replace(service, update_status=UpdateStatus())
    elif service.update_status.state in PAUSED:
        service = resumed(service)
    return replace(
        service,
        revision_id=revision.id,
        previous_revision_id=service.revision_id,
        last_revision_number=revision.number,
    )


def resumed(service: Service) -> Service:
    """Give `service` with its paused rollout going on, by the rules it went by; any other as it is."""
    status = service.update_status
    if status.state not in PAUSED:
        return service
    if status.state is UpdateState.ROLLBACK_PAUSED:
        status = replace(status, state=UpdateState.ROLLBACK_STARTED, message="rollback in progress")
    else:
        status = replace(status, state=UpdateState.UPDATING, message="update in progress")
    return replace(service, update_status=status)


def before(current: Revision, revisions: Iterable[Revision]) -> Revision | None:
    """Find what a rollback of `current` goes back to: the newest older revision with other tasks.

    Tasks are other ones too where only the constraints differ that say where they may run.
    """
    older = [r for r in revisions if r.number < current.number and other_tasks(r, current)]
    return max(older, key=lambda r: r.number, default=None)


def find_rollback(current: Revision, revisions: Iterable[Revision], number: int = 0) -> Revision:
    """Find the revision that people ask to have back: by its number, or (0) the one before `current`.

    With 0 it is what `goes_back_to` finds: one that differs in more than the number of replicas. Raises
    `InvalidArgument` for a number that is not there, `FailedPrecondition` if nothing is older.
    """
    history = sorted((r for r in revisions if r.number != current.number), key=lambda r: r.number)
    kept = ", ".join(str(r.number) for r in history) or "none but the current one"
    if number == current.number:
        raise InvalidArgument(f"revision: {number} is the current one; there are also: {kept}")
    if number:
        found = next((r for r in history if r.number == number), None)
        if found is None:
            raise InvalidArgument(f"revision: there is no {number}; to be had are: {kept}")
        return found
    if (older := goes_back_to(current, history)) is not None:
        return older
    raise FailedPrecondition(
        f"revision: there is none before {current.number} that differs in more than its replicas; "
        f"name one with its number, to be had are: {kept}"
    )


def rolled_back(
    service: Service, current: Revision, to: Revision, dice: Random, *, author: str = ""
) -> Revision:
    """Make the revision that brings `to` back.

    It has the restart generation of `to`, so that tasks of `to` which still run are right as they are,
    and keeps the present number of replicas: how many was not what went wrong. A job runs anew.
    """
    number = service.last_revision_number + 1
    return Revision(
        id=new_id(dice),
        service_id=service.id,
        number=number,
        restart_generation=number if to.spec.mode.kind.job else to.restart_generation,
        spec=replace(to.spec, mode=current.spec.mode),
        author=author,
        restores=to.number,
    )


def rolling_back(
    service: Service,
    current: Revision,
    back: Revision,
    now_ns: int,
    message: str = "manually requested rollback",
) -> Service:
    """Give `service` as it is once the rollback to `back` has begun. A job just runs what it ran before."""
    service = adopt(service, current, back)
    if back.spec.mode.kind.job:
        return service
    status = UpdateStatus(UpdateState.ROLLBACK_STARTED, now_ns, 0, message)
    return replace(service, update_status=status)


def prunable(service: Service, revisions: Sequence[Revision], in_use: Collection[str]) -> list[Revision]:
    """Say which revisions to forget: past the newest few, and neither current, previous nor in use.

    Nor is it what a rollback would go back to, however often the service was scaled since.
    """
    kept = {service.revision_id, service.previous_revision_id, *in_use}
    current = next((r for r in revisions if r.id == service.revision_id), None)
    if current is not None:
        ways_back = (before(current, revisions), goes_back_to(current, revisions))
        kept.update(r.id for r in ways_back if r is not None)
    by_age = sorted(revisions, key=lambda r: r.number, reverse=True)
    return [r for r in by_age[limits.revisions_kept_per_service :] if r.id not in kept]
