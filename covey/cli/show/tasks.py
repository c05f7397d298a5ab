"""Tasks and services in words."""

from collections.abc import Iterable, Mapping, Sequence

from covey.client.views import ServiceDetail
from covey.model.objects import Task
from covey.model.specs import PortConfig
from covey.model.states import PublishMode, ServiceModeKind

from ..options import word
from .text import ago, first_line, short

HEADERS = ("ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS")


def task_name(task: Task, services: Mapping[str, str]) -> str:
    """Return `web.3`, or `web.NODE` for a task of a global service."""
    service = services.get(task.service_id, task.service_id)
    return f"{service}.{task.slot or short(task.node_id)}"


def newest_first(tasks: Iterable[Task]) -> list[Task]:
    """Order tasks by place, and within a place by age: the present one first, its predecessors below."""
    ordered = sorted(tasks, key=lambda task: (task.meta.created_at_ns, task.id), reverse=True)
    ordered.sort(key=lambda task: task.desired_state)  # a task that is to run stands above one that is to end
    ordered.sort(key=lambda task: (task.service_id, task.slot, "" if task.slot else task.node_id))
    return ordered


def rows(
    tasks: Sequence[Task],
    services: Mapping[str, str],
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
        state = word(task.status.state).capitalize()
        found.append(
            (
                short(task.id, whole),
                f" \\_ {name}" if name == previous else name,
                images.get(task.revision_id, ""),
                nodes.get(task.node_id, short(task.node_id, whole)),
                word(task.desired_state).capitalize(),
                f"{state} {ago(task.status.at_ns, now_ns)}".rstrip(),
                first_line(task.status.err, whole),
                "",
            )
        )
        previous = name
    return found


def mode_word(detail: ServiceDetail) -> str:
    """Return `replicated` or `global`."""
    return word(detail.revision.spec.mode.kind)


def replicas(detail: ServiceDetail) -> str:
    """Return `3/5`, with the bound per node if there is one."""
    placement = detail.revision.spec.task.placement
    most = f" (max {placement.max_replicas_per_node} per node)" if placement.max_replicas_per_node else ""
    return f"{detail.running}/{detail.desired}{most}"


def ports_text(ports: Iterable[PortConfig]) -> str:
    """Return `*:8080->80/tcp`; a port on single nodes only stands without the star."""
    said = []
    for port in ports:
        where = "*:" if port.publish_mode is PublishMode.INGRESS else ""
        said.append(f"{where}{port.published_port or '?'}->{port.target_port}/{word(port.protocol)}")
    return ", ".join(said)


def ports_of(detail: ServiceDetail) -> str:
    """Return a service's published ports, as allocated if they are."""
    return ports_text(detail.service.ports or detail.revision.spec.endpoint.ports)


def is_global(detail: ServiceDetail) -> bool:
    """Tell whether a service runs once on every node."""
    return detail.revision.spec.mode.kind is ServiceModeKind.GLOBAL
