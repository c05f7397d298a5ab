"""`--plan`: what a change would do, told instead of done."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click import echo

from covey.client.cluster import ClusterClient
from covey.client.views import Plan, ServiceDetail
from covey.model.specs import ServiceSpec

from ..app import warn
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
    tell(await cluster.plan_service(spec, service_id, version, resolve, force=force), spec)


def tell(plan: Plan, spec: ServiceSpec) -> None:
    """Print a plan for the service of a spec."""
    warn(plan.warnings)
    echo(plan_text(plan, spec.name, spec.mode.kind))
