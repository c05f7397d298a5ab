"""Waiting at the end of what changes a service, with progress shown."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import click
from click import echo

from covey import limits
from covey.client.cluster import connect
from covey.client.host import Host
from covey.client.views import Progress, ServiceDetail

from ..app import INTERRUPTED, SomeFailedError, run
from ..show.converge import Asked
from ..show.jobs import total
from ..show.progress import screen
from ..waiting import converge


@dataclass(frozen=True, slots=True)
class Waited:
    """A service to wait for, and what was asked of it."""

    service_id: str
    name: str
    asked: Asked = Asked.TASKS
    bound_s: float = limits.converge_bound_s


def stopping(detail: ServiceDetail) -> Waited:
    """Wait for a service to stop: its grace and drain times, and some more."""
    spec = detail.revision.spec
    own_s = (spec.task.container.stop_grace_ns + spec.endpoint.drain_ns) / 1e9
    bound_s = own_s + limits.converge_stop_margin_s
    return Waited(detail.service.id, detail.service.name, bound_s=bound_s)


def wait_for(host: Host, services: Sequence[Waited], quiet: bool) -> None:
    """Wait for each in turn. An interrupt ends the waiting only, and says so."""
    for service in services:

        async def work(service: Waited = service) -> Progress:
            async with connect(host) as cluster:
                shown = screen(quiet)
                return await converge(cluster, service.service_id, service.asked, shown, service.bound_s)

        try:
            moment = run(work)
        except KeyboardInterrupt:
            echo(
                f"\nOperation continuing in background: `covey service ps {service.name}` shows how far it is.",
                err=True,
            )
            raise click.exceptions.Exit(INTERRUPTED) from None
        if not quiet:
            echo(f"verify: {_reached(moment.detail)}")


def run_and_wait(
    host: Host, work: Callable[[], Awaitable[object]], waited: Sequence[Waited], *, quiet: bool, detach: bool
) -> None:
    """Run what changes services, and puts each into `waited`; then wait for those, though others were refused."""
    try:
        run(work)
    except SomeFailedError:
        if not detach:
            wait_for(host, waited, quiet)
        raise
    if not detach:
        wait_for(host, waited, quiet)


def _reached(detail: ServiceDetail) -> str:
    name = detail.service.name
    if detail.service.stopped:
        return f"Service {name} is stopped; `covey service start {name}` brings its tasks back"
    if detail.revision.spec.mode.kind.job:
        return f"Job {name} is complete: {detail.completed} of {total(detail)} tasks"
    return f"Service {name} converged"
