"""Waiting at the end of create, scale and update, with progress shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import click
from click import echo

from covey import limits
from covey.client.cluster import connect
from covey.client.host import Host

from ..app import INTERRUPTED, run
from ..show.progress import screen
from ..waiting import converge


@dataclass(frozen=True, slots=True)
class Waited:
    """A service to wait for. `restarts`: the request calls for new tasks, old ones do not count."""

    service_id: str
    name: str
    restarts: bool


def wait_for(host: Host, services: Sequence[Waited], quiet: bool) -> None:
    """Wait for each in turn. An interrupt ends the waiting only, and says so."""
    for service in services:

        async def work(service: Waited = service) -> None:
            async with connect(host) as cluster:
                shown = screen(quiet)
                await converge(cluster, service.service_id, service.restarts, shown, limits.converge_bound_s)

        try:
            run(work)
        except KeyboardInterrupt:
            echo(
                f"\nOperation continuing in background: `covey service ps {service.name}` shows how far it is.",
                err=True,
            )
            raise click.exceptions.Exit(INTERRUPTED) from None
        if not quiet:
            echo(f"verify: Service {service.name} converged")
