"""`covey service`: what runs on the cluster. Creating and updating are in `change`, logs in `logs`."""

import time
from typing import Any

import click
from click import echo

from covey.client.cluster import connect
from covey.client.host import Host
from covey.client.views import ServiceDetail
from covey.model.objects import Task
from covey.model.states import ServiceModeKind, TaskState

from ..app import anew_on_conflict, as_usage, each, run
from ..habits import Family
from ..options import (
    detach,
    example,
    filters,
    inspected,
    labelled,
    no_resolve,
    no_trunc,
    output_format,
    passes,
    quiet_ids,
    stale,
    words,
)
from ..show import tasks as show
from ..show import text
from ..show.jsonable import json_array
from ..show.networks import with_names
from ..show.pretty import pretty
from ..spec.change import scale_argument, scaled
from . import change, history, logs, running
from .converging import Waited, run_and_wait
from .planning import plan_option, tell_plan
from .tasks import print_tasks_of

Filters = tuple[tuple[str, str], ...]


@click.group(cls=Family)
def service() -> None:
    """Manage services."""


service.add_command(change.create)
service.add_command(change.update)
service.add_command(logs.logs)
for command in (history.history, history.rollback, history.why, running.stop, running.start, running.restart):
    service.add_command(command)


@service.command(epilog=example("covey service ls", "covey service ls --filter name=web -q"))
@filters("id name mode label", mode=words(ServiceModeKind))
@output_format
@quiet_ids
@stale
@click.pass_obj
def ls(host: Host, filters: Filters, form: str, quiet: bool) -> None:
    """List the services."""

    async def work() -> None:
        async with connect(host) as cluster:
            found = await cluster.services()
        shown = sorted((item for item in found if _wanted(item, filters)), key=lambda item: item.service.name)
        if quiet:
            echo("".join(f"{item.service.id}\n" for item in shown), nl=False)
        elif form == "json":
            echo(json_array([_entry(item) for item in shown]))
        else:
            echo(text.table(("ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS"), map(_row, shown)))

    run(work)


def _wanted(item: ServiceDetail, filters: Filters) -> bool:
    return passes(
        filters,
        {
            "id": item.service.id.startswith,
            "name": item.service.name.startswith,
            "mode": lambda mode: mode == show.mode_word(item),
            "label": labelled(item.revision.spec.labels),
        },
    )


def _row(item: ServiceDetail) -> tuple[str, ...]:
    return (
        text.short(item.service.id),
        item.service.name,
        show.mode_word(item),
        show.replicas(item),
        item.revision.spec.task.container.image,
        show.ports_of(item),
    )


def _entry(item: ServiceDetail) -> dict[str, Any]:
    """Return what a script wants first, and everything below it."""
    return {
        "id": item.service.id,
        "name": item.service.name,
        "mode": show.mode_word(item),
        "running": item.running,
        "desired": item.desired,
        "image": item.revision.spec.task.container.image,
        "ports": item.service.ports or item.revision.spec.endpoint.ports,
        "update_status": item.service.update_status,
        "spec": item.revision.spec,
    }


@service.command(
    epilog=example("covey service ps web", "covey service ps web --filter desired-state=running")
)
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
@filters("id name node desired-state", desired_state=words(TaskState))
@output_format
@quiet_ids
@no_trunc
@no_resolve
@stale
@click.pass_obj
def ps(host: Host, /, services: tuple[str, ...], **options: Any) -> None:
    """List the tasks of services, with what went wrong."""

    async def work() -> None:
        async with connect(host) as cluster:

            async def tasks_of(name: str) -> list[Task]:
                return await cluster.tasks(service_id=(await cluster.get_service(name)).service.id)

            await print_tasks_of(cluster, services, tasks_of, now_ns=time.time_ns(), **options)

    run(work)


@service.command(epilog=example("covey service inspect web", "covey service inspect --pretty web"))
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
@inspected
@stale
@click.pass_obj
def inspect(host: Host, services: tuple[str, ...], readable: bool, form: str) -> None:
    """Show all that is known of services: one JSON array."""

    async def work() -> None:
        async with connect(host) as cluster:
            found = [await cluster.get_service(name) for name in services]
            networks = await cluster.networks() if readable else []
        if readable:
            names = {item.id: item.spec.name for item in networks}
            found = [with_names(item, names) for item in found]
        echo("\n\n".join(pretty(item) for item in found) if readable else json_array(list(found)))

    run(work)


@service.command(epilog=example("covey service scale web=5", "covey service scale --plan web=5 worker=0"))
@click.argument("targets", nargs=-1, required=True, metavar="SERVICE=REPLICAS...")
@plan_option
@detach
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.pass_obj
def scale(host: Host, targets: tuple[str, ...], planned: bool, detach: bool, quiet: bool) -> None:
    """Set how many tasks replicated services have, or how many of a job are to complete."""
    wanted = as_usage(lambda: dict(scale_argument(target) for target in targets))
    waited: list[Waited] = []

    async def work() -> None:
        async with connect(host) as cluster:

            async def act(name: str) -> None:
                detail = await cluster.get_service(name)
                spec = scaled(detail.revision.spec, wanted[name])
                if planned:
                    await tell_plan(cluster, spec, detail)
                    return
                await cluster.update_service(detail.service.id, detail.service.meta.version, spec)
                waited.append(Waited(detail.service.id, detail.service.name))
                echo(f"{name} scaled to {wanted[name]}")

            await each(wanted, lambda name: anew_on_conflict(lambda: act(name)))

    run_and_wait(host, work, waited, quiet=quiet, detach=detach)


@service.command(epilog=example("covey service rm web", "covey service rm web worker"))
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
@click.pass_obj
def rm(host: Host, services: tuple[str, ...]) -> None:
    """Remove services; their tasks are stopped in the background."""

    async def work() -> None:
        async with connect(host) as cluster:

            async def remove(name: str) -> str:
                await cluster.remove_service((await cluster.get_service(name)).service.id)
                return name

            await each(services, remove)

    run(work)
