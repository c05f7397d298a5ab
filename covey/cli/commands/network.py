"""`covey network`: overlay networks."""

from typing import Any

import click
from click import echo

from covey.client.cluster import connect
from covey.client.host import Host
from covey.errors import InvalidArgument
from covey.model.objects import Network
from covey.model.specs import IpamConfig, NetworkSpec

from ..app import as_usage, each, run
from ..habits import Family
from ..options import Form, Parsed, example, filters, no_trunc, output_format, passes, quiet_ids, stale
from ..parse.attachments import address, subnet
from ..parse.pairs import key_value
from ..show import text
from ..show.jsonable import json_array
from ..show.pretty import pretty

SUBNET = Parsed("subnet", subnet)
PAIR = Parsed("key=value", key_value)


@click.group(cls=Family)
def network() -> None:
    """Manage overlay networks."""


@network.command(
    epilog=example(
        "covey network create net1", "covey network create --subnet 10.5.0.0/16 --opt mtu=1400 net2"
    )
)
@click.argument("name")
@click.option("-d", "--driver", default="overlay", show_default=True, help="The kind of network.")
@click.option(
    "--subnet",
    "subnets",
    type=SUBNET,
    multiple=True,
    help="The network's subnet. [default: one from the pool]",
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
    "--label", "labels", type=PAIR, multiple=True, metavar="KEY=VALUE", help="A label of the network."
)
@click.option(
    "-o",
    "--opt",
    "options",
    type=PAIR,
    multiple=True,
    metavar="KEY=VALUE",
    help="A driver option, such as mtu=1400.",
)
@click.option("--attachable", is_flag=True, help="Let single containers join as well.")
@click.option("--internal", is_flag=True, help="No way out of the cluster from this network.")
@click.option("--ingress", is_flag=True, help="Make it the network of published ports.")
@click.pass_obj
def create(host: Host, /, name: str, **options: Any) -> None:
    """Create a network."""
    spec = as_usage(lambda: network_spec(name, **options))

    async def work() -> None:
        async with connect(host) as cluster:
            echo(await cluster.create_network(spec))

    run(work)


def network_spec(
    name: str,
    *,
    driver: str,
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ip_ranges: tuple[str, ...],
    labels: tuple[tuple[str, str], ...],
    options: tuple[tuple[str, str], ...],
    attachable: bool,
    internal: bool,
    ingress: bool,
) -> NetworkSpec:
    """Return the spec; gateways and ranges belong to the subnets in their order."""
    for flag, values in (("gateway", gateways), ("ip-range", ip_ranges)):
        if len(values) > len(subnets):
            raise InvalidArgument(f"--{flag} {values[-1]}: it belongs to no subnet; give --subnet as well")
    ipam = tuple(
        IpamConfig(
            subnet=value,
            gateway=gateways[at] if at < len(gateways) else "",
            ip_range=ip_ranges[at] if at < len(ip_ranges) else "",
        )
        for at, value in enumerate(subnets)
    )
    return NetworkSpec(
        name=name,
        labels=dict(labels),
        driver=driver,
        attachable=attachable,
        internal=internal,
        ingress=ingress,
        ipam=ipam,
        options=dict(options),
    )


@network.command(epilog=example("covey network ls", "covey network ls --format json"))
@filters("id name driver label")
@output_format
@quiet_ids
@no_trunc
@stale
@click.pass_obj
def ls(host: Host, filters: tuple[tuple[str, str], ...], form: str, quiet: bool, no_trunc: bool) -> None:
    """List the networks."""

    async def work() -> None:
        async with connect(host) as cluster:
            networks = [item for item in await cluster.networks() if _wanted(item, filters)]
        if quiet:
            echo("".join(f"{item.id}\n" for item in networks), nl=False)
        elif form == "json":
            echo(json_array(list(networks)))
        else:
            headers = ("NETWORK ID", "NAME", "DRIVER", "SCOPE", "SUBNET")
            echo(text.table(headers, [_row(item, no_trunc) for item in networks]))

    run(work)


def _row(item: Network, whole: bool) -> tuple[str, ...]:
    subnets = ", ".join(each.cidr for each in item.subnets) or item.allocation_error
    return text.short(item.id, whole), item.spec.name, item.spec.driver, "cluster", subnets


def _wanted(item: Network, filters: tuple[tuple[str, str], ...]) -> bool:
    def labelled(label: str) -> bool:
        key, equals, value = label.partition("=")
        return key in item.spec.labels and (not equals or item.spec.labels[key] == value)

    return passes(
        filters,
        {
            "id": item.id.startswith,
            "name": lambda name: name in item.spec.name,
            "driver": lambda driver: driver == item.spec.driver,
            "label": labelled,
        },
    )


@network.command(epilog=example("covey network inspect net1"))
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")
@click.option("--pretty", "readable", is_flag=True, help="Print for reading instead of JSON.")
@click.option("--format", "form", type=Form(["json"]), default="json", help="JSON is the only format.")
@stale
@click.pass_obj
def inspect(host: Host, networks: tuple[str, ...], readable: bool, form: str) -> None:
    """Show all that is known of networks, with what is on them: one JSON array."""

    async def work() -> None:
        async with connect(host) as cluster:
            found = [await cluster.get_network(name) for name in networks]
        echo("\n\n".join(pretty(item) for item in found) if readable else json_array(list(found)))

    run(work)


@network.command(epilog=example("covey network rm net1"))
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")
@click.pass_obj
def rm(host: Host, networks: tuple[str, ...]) -> None:
    """Remove networks that no service uses."""

    async def work() -> None:
        async with connect(host) as cluster:

            async def remove(name: str) -> str:
                await cluster.remove_network((await cluster.get_network(name)).network.id)
                return name

            await each(networks, remove)

    run(work)
