"""`covey network`: the networks of the cluster, and those that every node has."""

from typing import Any

import click
from click import echo

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.client.views import NetworkDetail
from covey.errors import NotFound
from covey.model import predefined
from covey.model.objects import Network

from ..app import as_usage, each, run
from ..habits import Family
from ..options import (
    Parsed,
    example,
    filters,
    inspected,
    labelled,
    no_trunc,
    output_format,
    passes,
    quiet_ids,
    stale,
)
from ..parse.attachments import address, kept_address, subnet
from ..parse.pairs import key_value
from ..show import networks as show
from ..show import text
from ..show.jsonable import json_array, jsonable
from ..show.pretty import pretty
from ..spec.network import network_spec

SUBNET = Parsed("subnet", subnet)
PAIR = Parsed("key=value", key_value)
Filters = tuple[tuple[str, str], ...]


@click.group(cls=Family)
def network() -> None:
    """Manage networks."""


def _ipam_driver(_ctx: click.Context, _parameter: click.Parameter, value: str) -> None:
    if value != "default":
        raise click.BadParameter(f"{value!r}: the managers give addresses themselves; leave it out")


@network.command(
    epilog=example(
        "covey network create net1",
        "covey network create --ipv6 both",
        "covey network create --subnet 10.5.0.0/16 --aux-address router=10.5.0.9 --opt mtu=1400 net2",
    )
)
@click.argument("name")
@click.option(
    "-d", "--driver", default="overlay", show_default=True, help="The kind of network: overlay, or macvlan."
)
@click.option(
    "--subnet",
    "subnets",
    type=SUBNET,
    multiple=True,
    help="The network's subnet, of either family. [default: one from the pool]",
)
@click.option(
    "--gateway",
    "gateways",
    type=Parsed("address", address),
    multiple=True,
    help="An address of the subnet kept for the gateway.",
)
@click.option(
    "--ip-range", "ip_ranges", type=SUBNET, multiple=True, help="The part of the subnet that endpoints get."
)
@click.option(
    "--aux-address",
    "aux_addresses",
    type=Parsed("name=address", kept_address),
    multiple=True,
    metavar="NAME=ADDRESS",
    help="An address of the subnet that nobody gets, and what it is kept for.",
)
@click.option(
    "--label", "labels", type=PAIR, multiple=True, metavar="KEY=VALUE", help="A label of the network."
)
@click.option(
    "-o",
    "--opt",
    "options",
    type=PAIR,
    multiple=True,
    metavar="KEY=VALUE",
    help="A driver option: mtu=1400, or vni=70000; of macvlan parent=eth1, or mode=private.",
)
@click.option(
    "--attachable", is_flag=True, help="Kept and shown only: all containers here are tasks of services."
)
@click.option("--internal", is_flag=True, help="No way out of the cluster from this network.")
@click.option("--ingress", is_flag=True, help="Make it the network of published ports.")
@click.option("--ipv4/--no-ipv4", default=True, show_default=True, help="Give endpoints IPv4 addresses.")
@click.option("--ipv6", is_flag=True, help="Give endpoints IPv6 addresses.")
@click.option(
    "--config-only", is_flag=True, help="Make nothing but settings, for other networks to take over."
)
@click.option(
    "--config-from", default="", metavar="NETWORK", help="Take all settings from one made with --config-only."
)
@click.option(
    "--scope",
    type=click.Choice(["swarm", "cluster", "global"]),
    expose_value=False,
    help="Networks span the cluster; this changes nothing.",
)
@click.option(
    "--ipam-driver",
    default="default",
    expose_value=False,
    callback=_ipam_driver,
    help="Who gives addresses: default, the managers.",
)
@click.pass_obj
def create(host: Host, /, name: str, **options: Any) -> None:
    """Create a network."""
    spec = as_usage(lambda: network_spec(name, **options))

    async def work() -> None:
        async with connect(host) as cluster:
            echo(await cluster.create_network(spec))
        if spec.attachable:
            echo(f"Note: {name}: {show.ATTACHABLE}", err=True)

    run(work)


@network.command(epilog=example("covey network ls", "covey network ls --filter dangling=true -q"))
@filters(
    "id name driver label scope type dangling",
    scope=("cluster", "swarm", "local"),
    type=("custom", "builtin"),
    dangling=("true", "false"),
)
@output_format
@quiet_ids
@no_trunc
@stale
@click.pass_obj
def ls(host: Host, filters: Filters, form: str, quiet: bool, no_trunc: bool) -> None:
    """List the networks."""

    async def work() -> None:
        async with connect(host) as cluster:
            listed = [*await cluster.networks(), *predefined.NETWORKS]
            used = (
                await _used(cluster, listed) if any(key == "dangling" for key, _ in filters) else set[str]()
            )
            shown = [item for item in listed if _wanted(item, filters, used)]
            leaving = {item.id: await _tasks_on(cluster, item) for item in shown if item.pending_delete}
        if quiet:
            echo("".join(f"{item.id}\n" for item in shown), nl=False)
        elif form == "json":
            echo(json_array(list(shown)))
        else:
            rows = [show.row(item, leaving.get(item.id, 0), no_trunc) for item in shown]
            echo(text.table(show.HEADERS, rows))

    run(work)


async def _tasks_on(cluster: ClusterClient, item: Network) -> int:
    """Count the tasks on a network; none on one that has gone meanwhile."""
    try:
        return len(_tasks(await cluster.get_network(item.id)))
    except NotFound:
        return 0


def _tasks(detail: NetworkDetail) -> set[str]:
    return {endpoint.task_id for endpoint in detail.endpoints if endpoint.task_id}


async def _used(cluster: ClusterClient, listed: list[Network]) -> set[str]:
    """Give the networks that a service or a task is on, and those that are always there."""
    targets = {
        attachment.target
        for detail in await cluster.services()
        for attachment in detail.revision.spec.task.networks
    }
    kept = {
        item.id
        for item in listed
        if item.spec.ingress or item.spec.config_only or show.scope(item) == "local"
    }
    others = [item for item in listed if item.id not in targets | kept]
    return targets | kept | {item.id for item in others if await _tasks_on(cluster, item)}


def _wanted(item: Network, filters: Filters, used: set[str]) -> bool:
    return passes(
        filters,
        {
            "id": item.id.startswith,
            "name": lambda name: name in item.spec.name,
            "driver": lambda driver: driver == item.spec.driver,
            "label": labelled(item.spec.labels),
            "scope": lambda scope: show.scope(item) == scope.replace("swarm", "cluster"),
            "type": lambda kind: (kind == "builtin") is (show.scope(item) == "local"),
            "dangling": lambda truth: (truth == "true") is (item.id not in used),
        },
    )


@network.command(
    epilog=example("covey network inspect net1", "covey network inspect --verbose --pretty net1")
)
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Show which nodes follow its newest table, and its services' backends.",
)
@inspected
@stale
@click.pass_obj
def inspect(host: Host, networks: tuple[str, ...], verbose: bool, readable: bool, form: str) -> None:
    """Show all that is known of networks, with what is on them: one JSON array."""

    async def work() -> None:
        async with connect(host) as cluster:
            found = [await cluster.get_network(name) for name in networks]
            true = [await cluster.inspect_network(item.network.id) for item in found] if verbose else []
        if not verbose:
            echo("\n\n".join(pretty(item) for item in found) if readable else json_array(list(found)))
            return
        both = [(item.network, truth) for item, truth in zip(found, true, strict=True)]
        if readable:
            echo("\n\n".join(show.pretty(item, truth) for item, truth in both))
        else:
            echo(json_array([{"network": item, **jsonable(truth)} for item, truth in both]))

    run(work)


@network.command(epilog=example("covey network rm net1", "covey network rm -f ingress"))
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")
@click.option("-f", "--force", is_flag=True, help="Ask nothing, and do not mind what is not there.")
@click.pass_obj
def rm(host: Host, networks: tuple[str, ...], force: bool) -> None:
    """Remove networks that no service uses. One that tasks are still on goes when they have ended."""

    async def work() -> None:
        async with connect(host) as cluster:

            async def remove(name: str) -> str | None:
                try:
                    detail = await cluster.get_network(name)
                except NotFound:
                    if force:
                        return None
                    raise
                if detail.network.spec.ingress and not force and not _sure_of_ingress(detail.network):
                    return None
                await cluster.remove_network(detail.network.id)
                if tasks := _tasks(detail):
                    have = "has" if len(tasks) == 1 else "have"
                    echo(f"Note: {name} goes once {show.counted(len(tasks))} on it {have} ended.", err=True)
                return name

            await each(networks, remove)

    run(work)


def _sure_of_ingress(item: Network) -> bool:
    echo(
        f"Without the ingress network {item.spec.name} no service can publish ports on every node, "
        "until another one is made (covey network create --ingress).",
        err=True,
    )
    return click.confirm("Remove it?", err=True)


@network.command(epilog=example("covey network prune", "covey network prune -f --filter label=ci"))
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@filters("label", short=False)
@click.pass_obj
def prune(host: Host, force: bool, filters: Filters) -> None:
    """Remove all networks that no service uses, and print their names."""
    if not force:
        echo("This removes all networks that no service uses, but for the ingress network.", err=True)
        if not click.confirm("Go on?", err=True):
            return

    async def work() -> None:
        async with connect(host) as cluster:
            listed = await cluster.networks()
            used = await _used(cluster, listed)
            unused = {
                item.spec.name: item.id
                for item in listed
                if item.id not in used and not item.pending_delete and _wanted(item, filters, used)
            }

            async def remove(name: str) -> str:
                await cluster.remove_network(unused[name])
                return name

            await each(sorted(unused), remove)

    run(work)
