"""Printing tasks, for `service ps` and `node ps`."""

from collections.abc import Mapping, Sequence

from click import echo

from covey.client.cluster import ClusterClient
from covey.client.views import ServiceDetail
from covey.model.objects import Task

from ..options import passes, word
from ..show import tasks as show
from ..show import text
from ..show.jsonable import json_array


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
    services = await cluster.services()
    service_names = {} if no_resolve else {item.service.id: item.service.name for item in services}
    node_names = {} if no_resolve else {n.id: n.description.hostname or n.id for n in await cluster.nodes()}
    shown = [
        task
        for task in show.newest_first(tasks)
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
        lines = show.rows(shown, service_names, _images(services), node_names, now_ns, no_trunc)
        echo(text.table(show.HEADERS, lines))


def _images(services: Sequence[ServiceDetail]) -> dict[str, str]:
    """Return images by revision: only the current revision of each service is known here."""
    return {item.revision.id: item.revision.spec.task.container.image for item in services}


def _entry(task: Task, services: Mapping[str, str], nodes: Mapping[str, str]) -> dict[str, object]:
    return {"name": show.task_name(task, services), "node": nodes.get(task.node_id, ""), "task": task}
