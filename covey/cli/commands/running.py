"""`covey service stop`, `start` and `restart`: what a service is stays, whether it runs does not."""

from collections.abc import Awaitable, Callable

import click

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.client.views import ServiceDetail
from covey.errors import FailedPrecondition

from ..app import anew_on_conflict, each
from ..options import detach, example
from ..show.converge import Asked
from .converging import Waited, run_and_wait, stopping

Act = Callable[[ClusterClient, ServiceDetail], Awaitable[Waited]]

_services = click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


@click.command(epilog=example("covey service stop web", "covey service stop -d web worker"))
@_services
@_quiet
@detach
@click.pass_obj
def stop(host: Host, services: tuple[str, ...], quiet: bool, detach: bool) -> None:
    """Stop all tasks of services, and keep everything else: settings, addresses, ports, history."""

    async def act(cluster: ClusterClient, detail: ServiceDetail) -> Waited:
        await cluster.stop_service(detail.service.id)
        return stopping(detail)

    _act_on(host, services, act, quiet=quiet, detach=detach)


@click.command(epilog=example("covey service start web"))
@_services
@_quiet
@detach
@click.pass_obj
def start(host: Host, services: tuple[str, ...], quiet: bool, detach: bool) -> None:
    """Start services that were stopped."""

    async def act(cluster: ClusterClient, detail: ServiceDetail) -> Waited:
        await cluster.start_service(detail.service.id)
        return Waited(detail.service.id, detail.service.name)

    _act_on(host, services, act, quiet=quiet, detach=detach)


@click.command(epilog=example("covey service restart web"))
@_services
@_quiet
@detach
@click.pass_obj
def restart(host: Host, services: tuple[str, ...], quiet: bool, detach: bool) -> None:
    """Replace all tasks of services, a few at a time as in an update; of a job: run it again."""

    async def act(cluster: ClusterClient, detail: ServiceDetail) -> Waited:
        service = detail.service
        if service.stopped:
            raise FailedPrecondition(
                f"service {service.name} is stopped; start it: covey service start {service.name}"
            )
        await cluster.update_service(service.id, service.meta.version, detail.revision.spec, force=True)
        return Waited(service.id, service.name, Asked.UPDATE)

    _act_on(host, services, act, quiet=quiet, detach=detach)


def _act_on(host: Host, services: tuple[str, ...], act: Act, *, quiet: bool, detach: bool) -> None:
    """Act on each service, then wait for those where it was not refused."""
    waited: list[Waited] = []

    async def work() -> None:
        async with connect(host) as cluster:

            async def one(name: str) -> str:
                waited.append(await anew_on_conflict(lambda: _found(cluster, name)))
                return name

            async def _found(cluster: ClusterClient, name: str) -> Waited:
                return await act(cluster, await cluster.get_service(name))

            await each(services, one)

    run_and_wait(host, work, waited, quiet=quiet, detach=detach)
