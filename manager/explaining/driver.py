"""Explaining what the store holds now, beside all that the manager does."""

from collections.abc import Sequence

from covey import limits
from covey.model.objects import Revision, Service, Task
from covey.model.states import TaskState
from covey.v1 import objects_pb2
from covey.v1.control_pb2 import ExplainServiceResponse, RuledOut, TaskExplanation
from covey.wire.codec import to_message
from manager.scheduler.judging import judge
from manager.store.io.aside import Aside
from manager.store.view import BY_SERVICE, View

from .story import node_name, short_name, told
from .summary import advice, summary
from .target import find


class Explanations:
    """Explains what people ask about."""

    def __init__(self, aside: Aside) -> None:
        self._aside = aside

    async def explain(self, text: str) -> ExplainServiceResponse:
        """Explain a service or a task. Raises `NotFound`, or `InvalidArgument` if several may be meant."""
        return await self._aside.work(lambda tables, _given_up: explain(tables, text))


def explain(view: View, text: str) -> ExplainServiceResponse:
    """Explain what `text` means, from what a view holds."""
    target = find(view, text)
    service_id = target.service_id if isinstance(target, Task) else target.id
    service = view.get(Service, service_id)
    assert service is not None, "the service of a task is there as long as the task is"
    revision = view.get(Revision, service.revision_id)
    assert revision is not None, f"the current revision of service {service.name} is there"
    tasks = view.find(Task, BY_SERVICE, service.id)
    wanted = [t for t in tasks if t.desired_state.wants_up and not t.status.state.terminal]
    judgement = judge(view, service)
    places = _places(revision, tasks)
    completed = sum(any(_counts(revision, task) for task in here) for here in places.values())
    shown = _of_place(places, target) if isinstance(target, Task) else _in_trouble_first(places)
    told_of = [_told(view, service, task, places) for task in shown[: limits.explained_tasks_max]]
    alone = isinstance(target, Task)
    return ExplainServiceResponse(
        service_id=service.id,
        summary=f"{told_of[0].name} {told_of[0].text}"
        if alone
        else summary(service, revision, wanted, completed),
        advice=advice(service, shown if alone else tasks, judgement),
        tasks=told_of,
        ruled_out=[
            RuledOut(
                filter=filter.name,
                nodes=[host.name for host in hosts],
                detail=filter.explain(hosts).detail,
                remedy=filter.explain(hosts).remedy,
            )
            for filter, hosts in judgement.ruled_out.items()
        ],
        open=[host.name for host in judgement.open],
        nodes=len(judgement.open) + sum(map(len, judgement.ruled_out.values())),
    )


Places = dict[tuple[int, str], list[Task]]
"""The tasks of a service by place, oldest first."""


def _key(revision: Revision, task: Task) -> tuple[int, str]:
    return (0, task.node_id) if revision.spec.mode.kind.everywhere else (task.slot, "")


def _places(revision: Revision, tasks: Sequence[Task]) -> Places:
    places: Places = {}
    for task in sorted(tasks, key=lambda t: (t.meta.created_at_ns, t.meta.version, t.id)):
        places.setdefault(_key(revision, task), []).append(task)
    return dict(sorted(places.items()))


def _counts(revision: Revision, task: Task) -> bool:
    """Tell whether a task is why its place is done; what was lost and completed all the same may be another."""
    return task.status.state is TaskState.COMPLETE and task.revision_id == revision.id


def _of_place(places: Places, target: Task) -> list[Task]:
    """A task, then the others in its place, newest first."""
    for tasks in places.values():
        if any(task.id == target.id for task in tasks):
            return [target, *(task for task in reversed(tasks) if task.id != target.id)]
    raise AssertionError(f"task {target.id} is in a place")


def _in_trouble_first(places: Places) -> list[Task]:
    """What stands in each place now: those that do not run as they should first, then in the order of places."""
    shown = list[Task]()
    for tasks in places.values():
        alive = [task for task in tasks if not task.status.state.terminal]
        shown += alive or tasks[-1:]
    return sorted(
        shown, key=lambda task: task.status.state is TaskState.RUNNING and task.desired_state.wants_up
    )


def _told(view: View, service: Service, task: Task, places: Places) -> TaskExplanation:
    revision = view.get(Revision, service.revision_id)
    assert revision is not None, "it was there a moment ago"
    others = places[_key(revision, task)]
    return TaskExplanation(
        task=to_message(task, objects_pb2.Task),
        name=short_name(view, service, task),
        node_name=node_name(view, task),
        text=told(view, service, task, others),
    )
