"""`covey node`: the hosts of the cluster."""

import time
from typing import Any

import click
from click import echo

from covey.client.cluster import ClusterClient, connect
from covey.client.daemon import connect_daemon
from covey.client.host import Host
from covey.errors import FailedPrecondition
from covey.model.objects import Node, Task
from covey.model.states import Availability, NodeRole

from ..app import anew_on_conflict, each, run
from ..options import (
    Named,
    Parsed,
    example,
    filters,
    given,
    no_resolve,
    no_trunc,
    output_format,
    passes,
    quiet_ids,
    word,
)
from ..parse.pairs import key_value
from ..show import text
from ..show.jsonable import json_array
from ..show.pretty import pretty
from ..spec.change import changed_node
from .tasks import print_tasks_of

Filters = tuple[tuple[str, str], ...]


@click.group()
def node() -> None:
    """Manage the nodes of the cluster."""


async def find(cluster: ClusterClient, host: Host, name: str) -> Node:
    """Find a node by id, prefix or hostname; `self` is the host that is spoken to."""
    if name != "self":
        return await cluster.get_node(name)
    async with connect_daemon(host) as daemon:
        told = await daemon.info()
    if not told.node_id:
        raise FailedPrecondition("self: this host is in no cluster")
    return await cluster.get_node(told.node_id)


@node.command(epilog=example("covey node ls", "covey node ls --filter role=worker -q"))
@filters("id label name role membership")
@output_format
@quiet_ids
@click.pass_obj
def ls(host: Host, filters: Filters, form: str, quiet: bool) -> None:
    """List the nodes."""

    async def work() -> None:
        async with connect(host) as cluster:
            nodes = await cluster.nodes()
        async with connect_daemon(host) as daemon:
            told = await daemon.info()
        shown = [each_node for each_node in nodes if _wanted(each_node, filters)]
        if quiet:
            echo("".join(f"{item.id}\n" for item in shown), nl=False)
        elif form == "json":
            echo(json_array(list(shown)))
        else:
            echo(_table(shown, told.node_id))

    run(work)


def _wanted(item: Node, filters: Filters) -> bool:
    def labelled(text: str) -> bool:
        key, equals, value = text.partition("=")
        return key in item.spec.labels and (not equals or item.spec.labels[key] == value)

    return passes(
        filters,
        {
            "id": item.id.startswith,
            "name": item.description.hostname.startswith,
            "label": labelled,
            "role": lambda text: word(item.role) == text,
            "membership": lambda text: text == "accepted",
        },
    )


def _table(nodes: list[Node], own_id: str) -> str:
    headers = ("ID", "HOSTNAME", "STATUS", "AVAILABILITY", "MANAGER STATUS", "ADDRESS", "ENGINE VERSION")
    return text.table(
        headers,
        [
            (
                item.id + (" *" if item.id == own_id else ""),
                item.description.hostname,
                word(item.status.state).capitalize(),
                word(item.spec.availability).capitalize(),
                _manager_status(item),
                item.status.address,
                item.description.engine_version,
            )
            for item in nodes
        ],
    )


def _manager_status(item: Node) -> str:
    # There is one manager in a cluster so far, and it has just answered.
    return "Leader" if item.role is NodeRole.MANAGER else ""


@node.command(epilog=example("covey node inspect self --pretty", "covey node inspect w1 w2"))
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@click.option("--pretty", "readable", is_flag=True, help="Print for reading instead of JSON.")
@click.option(
    "--format", "form", type=click.Choice(["json"]), default="json", help="JSON is the only format."
)
@click.pass_obj
def inspect(host: Host, nodes: tuple[str, ...], readable: bool, form: str) -> None:
    """Show all that is known of nodes: one JSON array."""

    async def work() -> None:
        async with connect(host) as cluster:
            found = [await find(cluster, host, name) for name in nodes]
        echo("\n\n".join(pretty(item) for item in found) if readable else json_array(list(found)))

    run(work)


@node.command(epilog=example("covey node ps", "covey node ps w1 --filter desired-state=running"))
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@filters("id name desired-state")
@output_format
@quiet_ids
@no_trunc
@no_resolve
@click.pass_obj
def ps(host: Host, /, nodes: tuple[str, ...], **options: Any) -> None:
    """List the tasks on nodes; without a name, on this one."""

    async def work() -> None:
        async with connect(host) as cluster:

            async def tasks_of(name: str) -> list[Task]:
                return await cluster.tasks(node_id=(await find(cluster, host, name)).id)

            await print_tasks_of(cluster, nodes or ("self",), tasks_of, now_ns=time.time_ns(), **options)

    run(work)


@node.command(
    epilog=example("covey node update --availability drain w1", "covey node update --label-add disk=ssd w1")
)
@click.argument("name", metavar="NODE")
@click.option(
    "--availability", type=Named(Availability), help="Whether tasks may run there; drain moves them away."
)
@click.option(
    "--label-add",
    type=Parsed("label", key_value),
    multiple=True,
    metavar="KEY=VALUE",
    help="Add or change a label.",
)
@click.option("--label-rm", multiple=True, metavar="KEY", help="Remove a label.")
@click.option("--role", type=Named(NodeRole), help="Make it a worker or a manager.")
@click.pass_obj
def update(host: Host, /, name: str, **options: Any) -> None:
    """Change what is asked of a node."""

    async def work() -> None:
        async with connect(host) as cluster:

            async def act() -> None:
                found = await find(cluster, host, name)
                spec = changed_node(found.spec, given(options))
                await cluster.update_node(found.id, found.meta.version, spec)

            await anew_on_conflict(act)
        echo(name)

    run(work)


@node.command(epilog=example("covey node rm w3", "covey node rm --force w3"))
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@click.option("-f", "--force", is_flag=True, help="Remove a node that is not down.")
@click.pass_obj
def rm(host: Host, nodes: tuple[str, ...], force: bool) -> None:
    """Remove nodes from the cluster; their certificates are worth nothing then."""

    async def work() -> None:
        async with connect(host) as cluster:

            async def remove(name: str) -> str:
                await cluster.remove_node((await find(cluster, host, name)).id, force)
                return name

            await each(nodes, remove)

    run(work)
