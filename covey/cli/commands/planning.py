"""`--plan`: what a change would do, told instead of done."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click import echo
from msgspec.structs import replace

from covey.client.cluster import ClusterClient
from covey.client.views import ServiceDetail
from covey.errors import NotFound
from covey.model.specs import ServiceSpec

from ..app import warn
from ..show.history import entries
from ..show.plan import plan_text

F = TypeVar("F", bound=Callable[..., Any])

plan_option = click.option(
    "--plan", "planned", is_flag=True, help="Say what would happen, and on which nodes; change nothing."
)


async def tell_plan(
    cluster: ClusterClient,
    spec: ServiceSpec,
    before: ServiceDetail | None = None,
    *,
    resolve: bool = False,
    force: bool = False,
) -> None:
    """Print what would come of creating a service, or of updating one."""
    service_id = before.service.id if before is not None else ""
    version = before.service.meta.version if before is not None else 0
    plan = await cluster.plan_service(spec, service_id, version, resolve, force=force)
    warn(plan.warnings)
    echo(plan_text(plan, spec.name, spec.mode.kind))


async def rollback_spec(cluster: ClusterClient, detail: ServiceDetail, number: int) -> ServiceSpec:
    """Return the spec that a rollback would bring back: by its number, or (0) the one before."""
    history = entries(detail, await cluster.revisions(detail.service.id), {})
    if number:
        wanted = [entry.revision for entry in history if entry.revision.number == number]
    else:
        wanted = [entry.revision for entry in history if entry.mark == "previous"]
    if not wanted:
        kept = ", ".join(str(entry.revision.number) for entry in history)
        raise NotFound(
            f"--to {number}: there is no such revision; to be had are: {kept}"
            if number
            else f"service {detail.service.name} has no revision to go back to; it has: {kept}"
        )
    return replace(wanted[0].spec, mode=detail.revision.spec.mode)
