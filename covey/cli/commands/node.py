"""`covey node`: the hosts of the cluster."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import click
from click import echo

from covey.client.cluster import ClusterClient, connect
from covey.client.daemon import connect_daemon
from covey.client.host import Host
from covey.errors import Unavailable
from covey.model.objects import Node, Task
from covey.model.states import Availability, NodeRole, NodeState, TaskState

from ..app import anew_on_conflict, each, run
from ..habits import Family
from ..options import (
    Named,
    Parsed,
    example,
    filters,
    given,
    inspected,
    labelled,
    no_resolve,
    no_trunc,
    output_format,
    passes,
    quiet_ids,
    stale,
    word,
    words,
)
from ..parse import amounts
from ..parse.pairs import key_value
from ..show import text
from ..show.jsonable import json_array
from ..show.pretty import pretty
from ..spec.change import changed_node
from .cluster import manager_word
from .finding import find
from .membership import advertise, data_path
from .roles import change_roles
from .tasks import print_tasks_of

DURATION = Parsed("duration", amounts.duration_ns)
Filters = tuple[tuple[str, str], ...]

role_detach = click.option(
    "-d", "--detach", is_flag=True, help="Return at once instead of waiting until it is so."
)


@click.group(cls=Family)
def node() -> None:
    """Manage the nodes of the cluster."""


@node.command(epilog=example("covey node ls", "covey node ls --filter role=worker -q"))
@filters("id label node.label name role membership", role=words(NodeRole), membership=("accepted", "pending"))
@output_format
@quiet_ids
@stale
@click.pass_obj
def ls(host: Host, filters: Filters, form: str, quiet: bool) -> None:
    """List the nodes."""

    async def work() -> None:
        async with connect(host) as cluster:
            nodes = await cluster.nodes()
            managers = await _managers(cluster)
            left = await _left(cluster, nodes)
        async with connect_daemon(host) as daemon:
            told = await daemon.info()
        shown = [each_node for each_node in nodes if _wanted(each_node, filters)]
        if quiet:
            echo("".join(f"{item.id}\n" for item in shown), nl=False)
        elif form == "json":
            echo(json_array(list(shown)))
        else:
            echo(_table(shown, told.node_id, managers, left))

    run(work)


def _wanted(item: Node, filters: Filters) -> bool:
    return passes(
        filters,
        {
            "id": item.id.startswith,
            "name": item.description.hostname.startswith,
            "label": labelled(item.description.engine_labels),  # as Docker's: the host's own
            "node.label": labelled(item.spec.labels),
            "role": lambda text: word(item.role) == text,
            "membership": lambda text: text == "accepted",
        },
    )


async def _left(cluster: ClusterClient, nodes: Iterable[Node]) -> dict[str, int]:
    """Count the tasks that have yet to leave each drained node."""
    left = {}
    for item in nodes:
        if item.spec.availability is Availability.DRAIN:
            tasks = await cluster.tasks(node_id=item.id)
            left[item.id] = sum(not task.status.state.terminal for task in tasks)
    return left


def drain_text(left: int) -> str:
    """Say how far a drain is."""
    return f"draining, {'1 task' if left == 1 else f'{left} tasks'} left"


def _availability(item: Node, left: Mapping[str, int]) -> str:
    """Return `Active`, or how far a drain is."""
    availability = word(item.spec.availability)
    if not left.get(item.id):
        return availability.capitalize()
    down = item.status.state is NodeState.DOWN  # what it ran is no longer there, and counts for nothing
    return "Drain" if down else drain_text(left[item.id]).capitalize()


def _table(nodes: list[Node], own_id: str, managers: Mapping[str, str], left: Mapping[str, int]) -> str:
    headers = ("ID", "HOSTNAME", "STATUS", "AVAILABILITY", "MANAGER STATUS", "ADDRESS", "ENGINE VERSION")
    return text.table(
        headers,
        [
            (
                item.id + (" *" if item.id == own_id else ""),
                item.description.hostname,
                word(item.status.state).capitalize(),
                _availability(item, left),
                managers.get(item.id, "Unknown" if item.role is NodeRole.MANAGER else ""),
                item.status.address,
                item.description.engine_version,
            )
            for item in nodes
        ],
    )


async def _managers(cluster: ClusterClient) -> dict[str, str]:
    """How each manager stands, by node id; what cannot be found out does not keep us from listing nodes."""
    try:
        told = await cluster.status()
    except Unavailable:
        return {}
    return {manager.node_id: manager_word(manager) for manager in told.managers}


def _readable(item: Node, left: Mapping[str, int]) -> str:
    """Return a node for reading; of one that drains, first how far it is."""
    count = left.get(item.id, 0)
    return "\n".join([*([f"{drain_text(count).capitalize()}."] if count else []), pretty(item)])


@node.command(epilog=example("covey node inspect self --pretty", "covey node inspect w1 w2"))
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@inspected
@stale
@click.pass_obj
def inspect(host: Host, nodes: tuple[str, ...], readable: bool, form: str) -> None:
    """Show all that is known of nodes: one JSON array."""

    async def work() -> None:
        async with connect(host) as cluster:
            found = [await find(cluster, host, name) for name in nodes]
            left = await _left(cluster, found) if readable else {}
        if readable:
            echo("\n\n".join(_readable(item, left) for item in found))
        else:
            echo(json_array(list(found)))

    run(work)


@node.command(epilog=example("covey node ps", "covey node ps w1 --filter desired-state=running"))
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@filters("id name desired-state", desired_state=words(TaskState))
@output_format
@quiet_ids
@no_trunc
@no_resolve
@stale
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
    epilog=example(
        "covey node update --availability drain w1",
        "covey node update --availability drain --drain-deadline 10m w1",
        "covey node update --label-add disk=ssd w1",
    )
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
@click.option(
    "--drain-deadline",
    type=DURATION,
    help="How long a drained node's tasks may wait for others to take over; 0: stop all at once. [default: 1m]",
)
@click.option("--role", type=Named(NodeRole), help="Make it a worker or a manager.")
@click.pass_obj
def update(host: Host, /, name: str, **options: Any) -> None:
    """Change what is asked of a node.

    A drained node's tasks move elsewhere, each once another one is ready in its place; `node ls` shows how many are
    left, and jobs' tasks run to their end. What is left at the deadline is stopped.
    """
    chosen = given(options)

    async def work() -> None:
        async with connect(host) as cluster:

            async def act() -> Node:
                found = await find(cluster, host, name)
                spec = changed_node(found.spec, chosen)
                return await cluster.update_node(found.id, found.meta.version, spec)

            changed = await anew_on_conflict(act)
            left = await _left(cluster, [changed])
        echo(name)
        if chosen.get("availability") is Availability.DRAIN and left.get(changed.id):
            echo(f"{drain_text(left[changed.id])}; `covey node ls` shows how far it is.", err=True)

    run(work)


@node.command(epilog=example("covey node promote w1", "covey node promote w1 w2"))
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@role_detach
@click.pass_obj
def promote(host: Host, nodes: tuple[str, ...], detach: bool) -> None:
    """Make workers managers; what runs on them goes on.

    Three managers bear the loss of one, five the loss of two; an even number bears no more than one fewer.
    """
    change_roles(host, nodes, NodeRole.MANAGER, detach)


@node.command(epilog=example("covey node demote m3"))
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@role_detach
@click.pass_obj
def demote(host: Host, nodes: tuple[str, ...], detach: bool) -> None:
    """Make managers workers; what runs on them goes on. The last manager stays one."""
    change_roles(host, nodes, NodeRole.WORKER, detach)


@node.command(
    name="set-address",
    epilog=example(
        "covey node set-address --advertise-addr 10.0.0.7", "covey node set-address --data-path-addr eth1"
    ),
)
@advertise
@data_path
@click.pass_obj
def set_address(host: Host, /, **options: Any) -> None:
    """Change the addresses at which other nodes reach this host; its containers run on.

    Run it on the host whose address has changed. A manager tells the others by itself, and they tell the agents.
    """
    chosen = given(options)
    if not chosen:
        raise click.UsageError("give --advertise-addr, --data-path-addr or both")

    async def work() -> None:
        async with connect_daemon(host) as daemon:
            await daemon.set_address(**chosen)
            told = await daemon.info()
        echo(f"This node is now reached at {told.advertise_address}.")

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
