"""`covey service logs`: what containers wrote."""

import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

import click

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.client.views import LogLine, LogOptions
from covey.errors import NotFound
from covey.model.objects import Task

from ..app import run, warn
from ..options import Parsed, example
from ..parse import others
from ..show.jsonable import date
from ..show.tasks import Called, called, task_name
from ..show.text import short


@click.command(epilog=example("covey service logs -f --tail 100 web", "covey service logs --since 10m web"))
@click.argument("target", metavar="SERVICE|TASK")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("--since", help="Only what is newer: 10m, or a date such as 2030-01-31T12:00:00Z.")
@click.option(
    "-n",
    "--tail",
    type=Parsed("lines", others.tail),
    default="all",
    show_default=True,
    help="So many lines from each task's end.",
)
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time.")
@click.option("--raw", is_flag=True, help="Print lines as they were written, without their task.")
@click.option("--no-resolve", is_flag=True, help="Print ids instead of names.")
@click.option("--no-task-ids", is_flag=True, help="Leave out task ids.")
@click.option("--no-trunc", is_flag=True, help="Print ids in full.")
@click.pass_obj
def logs(
    host: Host,
    target: str,
    follow: bool,
    since: str | None,
    tail: int,
    timestamps: bool,
    raw: bool,
    no_resolve: bool,
    no_task_ids: bool,
    no_trunc: bool,
) -> None:
    """Print the logs of a service's tasks, or of one task."""
    since_ns = Parsed("time", lambda text: others.since_ns(text, time.time_ns())).convert(since, None, None)
    wanted = LogOptions(follow=follow, tail=tail, since_ns=since_ns or 0)

    async def work() -> None:
        async with connect(host) as cluster:
            service_id, task_id = await _find(cluster, target)
            sources = await Sources.read(cluster, service_id, no_resolve, no_task_ids, no_trunc)
            async with aclosing(cluster.logs(wanted, service_id, task_id)) as lines:
                await _print(lines, sources, timestamps, raw)

    run(work)


async def _print(
    lines: AsyncIterator[LogLine | str], sources: "Sources", timestamps: bool, raw: bool
) -> None:
    async for line in lines:
        if isinstance(line, str):
            warn([line])
            continue
        begin = f"{date(line.at_ns)} ".encode() if timestamps else b""
        if not raw:
            source = await sources.name(line.task_id, line.node_id)
            begin += f"{source.ljust(sources.width)} | ".encode()
        # Containers write bytes, not always text: they go out as they came.
        out = sys.stderr.buffer if line.stderr else sys.stdout.buffer
        out.write(begin + line.data + b"\n")
        out.flush()


async def _find(cluster: ClusterClient, target: str) -> tuple[str, str]:
    """Return the ids to ask for: of a service, or of a task. The service is known in both cases."""
    try:
        return (await cluster.get_service(target)).service.id, ""
    except NotFound:
        found = [task for task in await cluster.tasks() if target and task.id.startswith(target)]
    if len(found) > 1:
        raise NotFound(f"{len(found)} tasks' ids begin with {target!r}; write more of it")
    if not found:
        raise NotFound(
            f"there is no service or task {target!r}; `covey service ls` lists services, and "
            "`covey service ps SERVICE` the ids of their tasks"
        )
    return "", found[0].id


class Sources:
    """Where lines come from, as people read it: `web.3.abcdef123456@node1`. Asks again for tasks that are new."""

    def __init__(
        self, cluster: ClusterClient, service_id: str, no_resolve: bool, no_task_ids: bool, whole: bool
    ) -> None:
        self._cluster = cluster
        self._service_id = service_id
        self._no_resolve = no_resolve
        self._no_task_ids = no_task_ids
        self._whole = whole
        self._tasks: dict[str, Task] = {}
        self._services: Mapping[str, Called] = {}
        self._nodes: dict[str, str] = {}
        self.width = 0

    @classmethod
    async def read(
        cls, cluster: ClusterClient, service_id: str, no_resolve: bool, no_task_ids: bool, whole: bool
    ) -> "Sources":
        """Ask for the names there are now."""
        made = cls(cluster, service_id, no_resolve, no_task_ids, whole)
        await made._ask()
        return made

    async def name(self, task_id: str, node_id: str) -> str:
        """Return the name of one source."""
        if task_id not in self._tasks:
            await self._ask()
        task = self._tasks.get(task_id)
        name = short(task_id, self._whole)
        if task is not None and not self._no_resolve:
            named = task_name(task, self._services)
            name = named if self._no_task_ids else f"{named}.{name}"
        said = f"{name}@{self._nodes.get(node_id, short(node_id, self._whole))}"
        self.width = max(self.width, len(said))
        return said

    async def _ask(self) -> None:
        self._tasks = {task.id: task for task in await self._cluster.tasks(service_id=self._service_id)}
        if not self._no_resolve:
            self._services = called(await self._cluster.services())
            nodes = await self._cluster.nodes()
            self._nodes = {node.id: node.description.hostname or node.id for node in nodes}
