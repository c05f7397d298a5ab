"""Tasks and services in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from covey.client.views import ServiceDetail
from covey.model.addressing import is_ipv6
from covey.model.names import place_name
from covey.model.objects import Task
from covey.model.specs import PortConfig
from covey.model.states import HealthState, PublishMode, ServiceModeKind, TaskState, UpdateState

from ..options import word
from .jobs import total
from .text import ago, first_line, short

HEADERS = ("ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS")


class Called(NamedTuple):
    """What a service is called, and its mode: they make the names of its tasks."""

    name: str
    kind: ServiceModeKind


def called(services: Iterable[ServiceDetail], by_id: bool = False) -> dict[str, Called]:
    """Return what services are called by id; with `by_id` they are called just that."""
    return {
        item.service.id: Called(item.service.id if by_id else item.service.name, item.revision.spec.mode.kind)
        for item in services
    }


def _called(task: Task, services: Mapping[str, Called]) -> Called:
    """One that is gone is called by its id; without a slot its tasks most likely had their nodes for places."""
    kind = ServiceModeKind.REPLICATED if task.slot else ServiceModeKind.GLOBAL
    return services.get(task.service_id, Called(task.service_id, kind))


def place_text(kind: ServiceModeKind, task: Task) -> str:
    """Return `3`, or the beginning of a node's id."""
    place = place_name(kind, task)
    return short(place) if kind.everywhere else place


def task_name(task: Task, services: Mapping[str, Called]) -> str:
    """Return `web.3`, or `web.NODE` for a task of a global service."""
    service = _called(task, services)
    return f"{service.name}.{place_text(service.kind, task)}"


def newest_first(tasks: Iterable[Task], services: Mapping[str, Called]) -> list[Task]:
    """Order tasks by place, and within a place by age: the present one first, its predecessors below."""

    def place(task: Task) -> tuple[str, int, str]:
        everywhere = _called(task, services).kind.everywhere
        return task.service_id, task.slot, task.node_id if everywhere else ""

    ordered = sorted(tasks, key=lambda task: (task.meta.created_at_ns, task.id), reverse=True)
    ordered.sort(key=lambda task: task.desired_state)  # a task that is to run stands above one that is to end
    ordered.sort(key=place)
    return ordered


def rows(
    tasks: Sequence[Task],
    services: Mapping[str, Called],
    images: Mapping[str, str],
    nodes: Mapping[str, str],
    now_ns: int,
    whole: bool = False,
) -> list[tuple[str, ...]]:
    """Return the lines of `ps`. The mappings give names by id (`images` by revision); ids stand in for absent ones."""
    found = list[tuple[str, ...]]()
    previous = ""
    for task in tasks:
        name = task_name(task, services)
        found.append(
            (
                short(task.id, whole),
                f" \\_ {name}" if name == previous else name,
                images.get(task.revision_id, ""),
                nodes.get(task.node_id, short(task.node_id, whole)),
                word(task.desired_state).capitalize(),
                _state_text(task, now_ns),
                first_line(task.status.err or _waits_text(task), whole),
                "",
            )
        )
        previous = name
    return found


def _state_text(task: Task, now_ns: int) -> str:
    """Say how far a task is and since when, and what its health check says of it."""
    state = f"{word(task.status.state).capitalize()} {ago(task.status.at_ns, now_ns)}".rstrip()
    known = task.status.health is not HealthState.NONE and task.status.state is TaskState.RUNNING
    return f"{state} ({word(task.status.health)})" if known else state


def _waits_text(task: Task) -> str:
    """Say what a task that is being held back waits for."""
    return task.status.message if task.status.message.startswith("restarting") else ""


def mode_word(detail: ServiceDetail) -> str:
    """Return `replicated`, `global`, `replicated-job` or `global-job`."""
    return word(detail.revision.spec.mode.kind)


def replicas(detail: ServiceDetail) -> str:
    """Return `3/5`, or `2/5 (3/10 completed)` of a job, with what else there is to know."""
    notes = []
    if detail.revision.spec.mode.kind.job:
        notes.append(f"{detail.completed}/{total(detail)} completed")
    if detail.revision.spec.task.placement.max_replicas_per_node:
        notes.append(f"max {detail.revision.spec.task.placement.max_replicas_per_node} per node")
    if note := _NOTES.get(detail.service.update_status.state):
        notes.append(note)
    if detail.service.stopped:
        notes.append("stopped")
    return " ".join([f"{detail.running}/{detail.desired}", *([f"({', '.join(notes)})"] if notes else [])])


_NOTES = {
    UpdateState.PAUSED: "update paused",
    UpdateState.ROLLBACK_PAUSED: "rollback paused",
}


def ports_text(ports: Iterable[PortConfig]) -> str:
    """Return `*:8080->80/tcp`; a port on single nodes only stands without the star."""
    said = []
    for port in ports:
        where = "*:" if port.publish_mode is PublishMode.INGRESS else ""
        if address := port.published_address:
            where = f"[{address}]:" if is_ipv6(address) else f"{address}:"
        said.append(f"{where}{port.published_port or '?'}->{port.target_port}/{word(port.protocol)}")
    return ", ".join(said)


def ports_of(detail: ServiceDetail) -> str:
    """Return a service's published ports, as allocated if they are."""
    return ports_text(detail.service.ports or detail.revision.spec.endpoint.ports)


def is_global(detail: ServiceDetail) -> bool:
    """Tell whether a service runs once on every node."""
    return detail.revision.spec.mode.kind is ServiceModeKind.GLOBAL
