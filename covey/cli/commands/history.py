"""`covey service history`, `rollback` and `why`: what a service was, and what goes on with it."""

import time

import click
from click import echo

from covey.client.cluster import connect
from covey.client.host import Host

from ..app import anew_on_conflict, run
from ..options import Number, detach, example, output_format, stale
from ..show.converge import Asked
from ..show.history import entries, history_json, history_table
from ..show.jsonable import json_array
from ..show.why import why_text
from .converging import Waited, wait_for
from .planning import plan_option, tell


@click.command(epilog=example("covey service history web", "covey service history --format json web"))
@click.argument("service", metavar="SERVICE")
@output_format
@stale
@click.pass_obj
def history(host: Host, service: str, form: str) -> None:
    """List a service's revisions, newest first: when, who, and what changed.

    `covey service rollback --to REVISION` brings one back; without --to it is the one marked as previous.
    """

    async def work() -> None:
        async with connect(host) as cluster:
            detail = await cluster.get_service(service)
            revisions = await cluster.revisions(detail.service.id)
            networks = {network.id: network.spec.name for network in await cluster.networks()}
        found = entries(detail, revisions, networks)
        echo(
            json_array(list(history_json(found))) if form == "json" else history_table(found, time.time_ns())
        )

    run(work)


@click.command(epilog=example("covey service rollback web", "covey service rollback --to 3 --plan web"))
@click.argument("service", metavar="SERVICE")
@click.option(
    "--to",
    "number",
    type=Number(1, 10**9),
    default=None,
    metavar="REVISION",
    help="The revision to bring back, by its number in `service history`. [default: the previous one]",
)
@plan_option
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@detach
@click.pass_obj
def rollback(host: Host, service: str, number: int | None, planned: bool, quiet: bool, detach: bool) -> None:
    """Bring an earlier revision of a service back.

    Its replicas stay as many as they are. Tasks are replaced a few at a time, by the rules of --rollback-...
    """
    roll_back(host, service, number or 0, planned=planned, quiet=quiet, detach=detach)


def roll_back(host: Host, service: str, number: int, *, planned: bool, quiet: bool, detach: bool) -> None:
    """Roll a service back and wait for it, or tell the plan."""

    async def plan() -> None:
        async with connect(host) as cluster:

            async def ask() -> None:
                detail = await cluster.get_service(service)
                version = detail.service.meta.version
                told = await cluster.plan_rollback(detail.service.id, version, number)
                tell(told, detail.revision.spec)

            await anew_on_conflict(ask)

    async def work() -> Waited:
        async with connect(host) as cluster:

            async def act() -> Waited:
                detail = await cluster.get_service(service)
                version = detail.service.meta.version
                restored = await cluster.roll_back_service(detail.service.id, version, number)
                echo(f"{detail.service.name} goes back to revision {restored}")
                return Waited(detail.service.id, detail.service.name, Asked.ROLLBACK)

            return await anew_on_conflict(act)

    if planned:
        run(plan)
        return
    waited = run(work)
    if not detach:
        wait_for(host, [waited], quiet)


@click.command(epilog=example("covey service why web", "covey service why 4bf0k3j1q2c7"))
@click.argument("target", metavar="SERVICE|TASK")
@output_format
@stale
@click.pass_obj
def why(host: Host, target: str, form: str) -> None:
    """Say why a service's tasks are where they are, or are not: what they wait for, and what would help."""

    async def work() -> None:
        async with connect(host) as cluster:
            told = await cluster.explain(target)
        echo(json_array([told]) if form == "json" else why_text(told))

    run(work)
