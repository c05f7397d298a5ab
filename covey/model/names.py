"""What people call tasks: `web.3.<task id>`, or `web.<node id>.<task id>` where every node has one."""

from covey.model.objects import Task
from covey.model.specs import ServiceSpec
from covey.model.states import ServiceModeKind


def place_name(kind: ServiceModeKind, task: Task) -> str:
    """Name a task's place: its slot (a job's first is 0), or its node."""
    return task.node_id if kind.everywhere else str(task.slot)


def task_name(spec: ServiceSpec, task: Task) -> str:
    """Name a task in full; `spec` is that of its revision."""
    return f"{spec.name}.{place_name(spec.mode.kind, task)}.{task.id}"
