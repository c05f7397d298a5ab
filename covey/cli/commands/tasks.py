"""Printing tasks, for `service ps` and `node ps`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from click import echo

from covey.client.cluster import ClusterClient
from covey.errors import Refused
from covey.model.objects import Task

from ..app import SomeFailedError, complain
from ..options import passes, word
from ..show import tasks as show
from ..show import text
from ..show.jsonable import json_array


async def print_tasks_of(
    cluster: ClusterClient,
    targets: Iterable[str],
    tasks_of: Callable[[str], Awaitable[Sequence[Task]]],
    **options: Any,
) -> None:
    """Print the tasks of several services or nodes, each task once; those of targets not found are missing."""
    found: dict[str, Task] = {}
    failed = []
    for target in targets:
        try:
            found.update({task.id: task for task in await tasks_of(target)})
        except Refused as error:
            failed.append(error)
    if found or not failed:
        await print_tasks(cluster, list(found.values()), **options)
    for refusal in failed:
        complain(refusal)
    if failed:
        raise SomeFailedError


async def print_tasks(
    cluster: ClusterClient,
    tasks: Sequence[Task],
    *,
    now_ns: int,
    filters: tuple[tuple[str, str], ...],
    form: str,
    quiet: bool,
    no_trunc: bool,
    no_resolve: bool,
) -> None:
    """Print tasks as a table, as JSON, or their ids."""
    service_names = show.called(await cluster.services(), by_id=no_resolve)
    node_names = {} if no_resolve else {n.id: n.description.hostname or n.id for n in await cluster.nodes()}
    shown = [
        task
        for task in show.newest_first(tasks, service_names)
        if passes(
            filters,
            {
                "id": task.id.startswith,
                "name": show.task_name(task, service_names).startswith,
                "node": lambda name, task=task: name in (task.node_id, node_names.get(task.node_id)),  # type: ignore[misc]
                "desired-state": lambda state, task=task: state == word(task.desired_state),  # type: ignore[misc]
            },
        )
    ]
    if quiet:
        echo("".join(f"{task.id}\n" for task in shown), nl=False)
    elif form == "json":
        echo(json_array([_entry(task, service_names, node_names) for task in shown]))
    else:
        images = await _images(cluster, {task.service_id for task in shown})
        lines = show.rows(shown, service_names, images, node_names, now_ns, no_trunc)
        echo(text.table(show.HEADERS, lines))


async def _images(cluster: ClusterClient, service_ids: Iterable[str]) -> dict[str, str]:
    """Return images by revision: what a task ran is its own revision's, not the service's present one."""
    known = [revision for id in service_ids for revision in await cluster.revisions(id)]
    return {revision.id: revision.spec.task.container.image for revision in known}


def _entry(task: Task, services: Mapping[str, show.Called], nodes: Mapping[str, str]) -> dict[str, object]:
    return {"name": show.task_name(task, services), "node": nodes.get(task.node_id, ""), "task": task}
