"""Commands at the root: this host's place in a cluster."""

from importlib.metadata import version as installed_version
from typing import Any

import click
from click import echo

from covey.client.cluster import connect
from covey.client.daemon import DaemonInfo, connect_daemon
from covey.client.host import Host
from covey.errors import CoveyError, FailedPrecondition, Unavailable
from covey.identity.tokens import parse_token
from covey.model.addressing import ipv6_pools
from covey.model.objects import Cluster, Node
from covey.model.states import Availability, NodeRole, NodeState

from ..app import run
from ..options import Named, Parsed, example, given, output_format, stale, word
from ..parse.attachments import address, manager_address, subnet
from ..show.jsonable import json_array
from ..store_options import kept_in_etcd, store_options

ADDRESS = Parsed("address", address)

advertise = click.option(
    "--advertise-addr",
    "advertise_address",
    type=ADDRESS,
    help="The address other nodes reach this one at. Needed where the host has several.",
)
data_path = click.option(
    "--data-path-addr",
    "data_address",
    type=ADDRESS,
    help="The address for traffic of overlay networks, if it is another one.",
)
availability = click.option(
    "--availability",
    type=Named(Availability),
    default="active",
    show_default=True,
    help="Whether tasks may run on this node.",
)


@click.command(
    epilog=example("covey init", "covey init --advertise-addr 10.0.0.1 --default-addr-pool 10.64.0.0/12")
)
@advertise
@data_path
@availability
@click.option(
    "--data-path-port",
    "vxlan_port",
    type=click.IntRange(1024, 49151),
    help="The UDP port of overlay networks (VXLAN); fixed for the cluster's life. [default: 4789]",
)
@click.option(
    "--default-addr-pool",
    "address_pools",
    type=Parsed("subnet", subnet),
    multiple=True,
    help="Where networks get their subnets from, IPv4 and IPv6; fixed for the cluster's life. "
    "[default: 10.0.0.0/8, and a unique local /48]",
)
@click.option(
    "--default-addr-pool-mask-length",
    "subnet_prefix_length",
    type=click.IntRange(8, 29),
    help="The size of those subnets. [default: 24]",
)
@kept_in_etcd
@click.option(
    "--force-new-cluster",
    is_flag=True,
    help="On a manager whose fellows are lost for good: make it the cluster's only one, with all its state.",
)
@click.pass_obj
def init(host: Host, /, force_new_cluster: bool, **options: Any) -> None:
    """Make a cluster, with this host as its first manager.

    With --force-new-cluster, make a manager that was left alone the only one of its cluster: all services,
    networks and nodes stay, and the other managers become workers. Never start the lost ones again before.
    """
    options["store"] = store_options(options)
    if force_new_cluster:
        _force_new_cluster(host, given(options))
        return

    async def work() -> None:
        async with connect_daemon(host) as daemon:
            made = await daemon.init(**given(options))
            info = await daemon.info()
        echo(f"Cluster initialized: this node ({made.node_id}) is now a manager.\n")
        echo("To add a worker, run this on it:\n")
        echo(f"    covey join --token {made.worker_token} {join_address(info)}\n")
        echo("To add a manager, run `covey join-token manager` and follow what it says.")

    run(work)


def _force_new_cluster(host: Host, options: dict[str, Any]) -> None:
    addresses = {"advertise_address"} & options.keys()
    if set(options) - addresses - {"availability"}:
        raise click.UsageError("--force-new-cluster keeps all settings; only --advertise-addr goes with it")

    async def work() -> None:
        async with connect_daemon(host) as daemon:
            made = await daemon.force_new_cluster(**{name: options[name] for name in addresses})
        echo(f"This node ({made.node_id}) is now the only manager of cluster {made.cluster_id}.\n")
        echo("Its agents come back by themselves. Make two more nodes managers: `covey node promote NODE...`")

    run(work)


@click.command(epilog=example("covey join --token COVEY-1-... 10.0.0.1:2377"))
@click.argument("manager", metavar="HOST[:PORT]", type=Parsed("address", manager_address))
@click.option(
    "--token",
    required=True,
    type=Parsed("token", lambda text: str(parse_token(text))),
    help="The join token; it decides the role.",
)
@advertise
@data_path
@availability
@click.pass_obj
def join(host: Host, /, manager: str, token: str, **options: Any) -> None:
    """Make this host a node of the cluster that the manager at HOST belongs to."""

    async def work() -> None:
        async with connect_daemon(host) as daemon:
            joined = await daemon.join(token, manager, **given(options))
        echo(f"This node joined a cluster as a {word(joined.role)}.")

    run(work)


@click.command(epilog=example("covey leave", "covey leave --force"))
@click.option(
    "-f", "--force", is_flag=True, help="Leave even as a manager; the last one takes the cluster along."
)
@click.pass_obj
def leave(host: Host, force: bool) -> None:
    """Take this host out of its cluster; its tasks are stopped."""

    async def work() -> None:
        async with connect_daemon(host) as daemon:
            await daemon.leave(force)
        echo("This node left the cluster.")

    run(work)


@click.command(epilog=example("covey info", "covey info --format json"))
@output_format
@stale
@click.pass_obj
def info(host: Host, form: str) -> None:
    """Show what this host is, and, on a manager, the cluster in numbers."""

    async def work() -> None:
        async with connect_daemon(host) as daemon:
            told = await daemon.info()
        try:
            async with connect(host) as manager:
                cluster, nodes = await manager.cluster(), await manager.nodes()
                services = len(await manager.services())
        except (FailedPrecondition, Unavailable):
            cluster, nodes, services = None, [], 0
        if form == "json":
            echo(json_array([{"node": told, "cluster": cluster, "nodes": len(nodes), "services": services}]))
        else:
            echo("\n".join(_info_lines(told, cluster, nodes, services)))

    run(work)


def _info_lines(told: DaemonInfo, cluster: Cluster | None, nodes: list[Node], services: int) -> list[str]:
    lines = [f"Version: {told.version}"]
    if not told.cluster_id:
        return [*lines, "Cluster: none; `covey init` makes one, `covey join` joins one"]
    lines += [
        f"Cluster: {told.cluster_id}",
        f"Node: {told.node_id} ({told.node_name})",
        f"Role: {word(told.role)}",
        f"Address: {told.advertise_address}",
        f"Managers: {', '.join(told.managers)}",
    ]
    if cluster is not None:
        ready = sum(node.status.state is NodeState.READY for node in nodes)
        managers = sum(node.role is NodeRole.MANAGER for node in nodes)
        lines += [
            f"Nodes: {len(nodes)} ({ready} ready, {managers} managers)",
            f"Services: {services}",
            f"Address pools: {', '.join(cluster.spec.address_pools)} in /{cluster.spec.subnet_prefix_length}",
            f"IPv6 address pools: {', '.join(ipv6_pools(cluster))}",
        ]
    for process in told.processes:
        state = f"running, pid {process.pid}" if process.running else "not running"
        again = f", restarted {process.restarts} times" if process.restarts else ""
        error = f", last: {process.last_error}" if process.last_error else ""
        lines.append(f"Process {process.name}: {state}{again}{error}")
    return lines


@click.command(epilog=example("covey version"))
@output_format
@click.pass_obj
def version(host: Host, form: str) -> None:
    """Show the versions of this command and of the coveyd it speaks to."""

    async def work() -> None:
        client = installed_version("covey")
        try:
            async with connect_daemon(host) as daemon:
                server, problem = (await daemon.info()).version, ""
        except CoveyError as error:
            server, problem = "", str(error)
        if form == "json":
            echo(json_array([{"client": client, "server": server or None}]))
        else:
            echo(f"Client: {client}\nServer: {server or f'not reached ({problem})'}")

    run(work)


@click.command(
    name="join-token", epilog=example("covey join-token worker", "covey join-token --rotate -q manager")
)
@click.argument("role", type=Named(NodeRole), metavar="worker|manager")
@click.option("-q", "--quiet", is_flag=True, help="Print the token alone.")
@click.option("--rotate", is_flag=True, help="Replace the token first; nodes that have joined stay.")
@click.pass_obj
def join_token(host: Host, role: NodeRole, quiet: bool, rotate: bool) -> None:
    """Show the token that lets a host join with a role."""

    async def work() -> None:
        async with connect(host) as manager:
            token = await manager.join_token(role, rotate)
        if quiet:
            echo(token)
            return
        async with connect_daemon(host) as daemon:
            told = await daemon.info()
        if rotate:
            echo(f"The {word(role)} token was replaced.\n")
        echo(f"To add a {word(role)}, run this on it:\n")
        echo(f"    covey join --token {token} {join_address(told)}\n")

    run(work)


def join_address(told: DaemonInfo) -> str:
    """Return where others join: this manager's address, with the control port."""
    return manager_address(told.advertise_address)
