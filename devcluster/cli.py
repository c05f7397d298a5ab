"""`covey dev`: the commands. Also `python -m devcluster`, which needs no other part of Covey's command."""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from covey.errors import CoveyError, PermissionDenied

from . import cluster, look, membership, nodes, place, record
from .fabric import Fabric, default_publish
from .place import Place
from .record import Record

Command = TypeVar("Command", bound=Callable[..., Any])


class DevCommand(click.Command):
    """A command that asks for root before it does anything. Its help is everybody's."""

    def invoke(self, ctx: click.Context) -> object:
        """Run it."""
        if os.geteuid() != 0:
            raise PermissionDenied("covey dev makes namespaces, mounts and cgroups: run it as root")
        return super().invoke(ctx)


class DevGroup(click.Group):
    """A group that turns an error of ours into a line and an exit code."""

    command_class = DevCommand

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except CoveyError as error:
            raise click.ClickException(str(error)) from error


def _place(_ctx: click.Context, _parameter: click.Parameter, name: str) -> Place:
    try:
        return Place(name)
    except CoveyError as error:
        raise click.BadParameter(str(error)) from error


def named(command: Command) -> Command:
    """Add `--name`, which gives the command a Place."""
    option = click.option(
        "--name",
        "where",
        default=place.default_name,
        show_default=True,
        callback=_place,
        metavar="NAME",
        help="The cluster that is meant.",
    )
    return option(command)


@click.group(name="dev", cls=DevGroup)
def dev() -> None:
    """Many real nodes on this machine, for trying, demos and tests.

    Nodes are m1, m2, ... (managers) and w1, w2, ... (workers). `registry` holds the sample images
    demo/web:1, demo/web:2 and demo/tools:1; `outside` is a client that is no node.

    Example: covey dev up --workers 2
    """


@dev.command()
@named
@click.option("--managers", default=1, show_default=True, help="How many managers.")
@click.option("--workers", default=2, show_default=True, help="How many workers.")
@click.option(
    "--publish-range",
    "publish",
    multiple=True,
    metavar="PORTS",
    help=f"Ports that services may publish, instead of {', '.join(default_publish)}; repeatable.",
)
@click.option(
    "--generic-resource",
    "generic",
    multiple=True,
    metavar="NODE:KIND=VALUE",
    help="What a node offers besides CPUs and memory: w1:gpu=UUID-1, or w1:ssd=3; repeatable.",
)
def up(where: Place, managers: int, workers: int, publish: tuple[str, ...], generic: tuple[str, ...]) -> None:
    """Start a cluster, or complete the one that is there.

    Example: covey dev up --name t --workers 3
    """
    asked = Record(managers, workers, publish or default_publish, generic)
    console = Console(stderr=True)
    with console.status("starting") as status:
        cluster.up(where, asked, lambda step: status.update(f"{where.name}: waiting for {step}"))
    console.print(f"cluster [bold]{where.name}[/] is up: {', '.join(asked.nodes)}")
    console.print(
        f'next: [bold]eval "$({_words(where, "env")})"[/], then [bold]covey node ls[/]', highlight=False
    )


def _words(where: Place, *words: str) -> str:
    name = [] if where.name == place.default_name else ["--name", where.name]
    return shlex.join(["covey", "dev", *words, *name])


@dev.command()
@named
def down(where: Place) -> None:
    """Remove a cluster and every trace of it.

    Example: covey dev down --name t
    """
    if not where.root.exists():
        record.load(where)  # which says that there is none
    with Console(stderr=True).status(f"{where.name}: removing"):
        cluster.down(where)


@dev.command()
@click.option("--name", "only", metavar="NAME", help="Only this cluster.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Only the clusters' names.")
def ls(only: str | None, form: str, quiet: bool) -> None:
    """List this checkout's clusters and their nodes.

    Example: covey dev ls --format json
    """
    whole = [where for where in place.places() if where.record.exists() and only in (None, where.name)]
    if quiet:
        for where in whole:
            click.echo(where.name)
        return
    rows = [row for where in whole for row in cluster.show(where)]
    if form == "json":
        click.echo(json.dumps(rows, indent=1))
        return
    columns = ("cluster", "name", "role", "address", "state")
    table = Table(*(column.upper() for column in columns), box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    Console().print(table)


@dev.command()
@named
@click.option("--node", default="m1", show_default=True, help="The node whose coveyd `covey` shall talk to.")
def env(where: Place, node: str) -> None:
    """Print the shell exports that point `covey` at a node.

    Example: eval "$(covey dev env)"
    """
    for variable, value in cluster.exports(where, node).items():
        click.echo(f"export {variable}={shlex.quote(value)}")


@contextmanager
def _changing(where: Place, node: str) -> Iterator[None]:
    """Hold the cluster, which must have the node, for a change."""
    record.load(where).require(node)
    with record.locked(where):
        yield


@dev.command(name="exec", context_settings={"ignore_unknown_options": True})
@named
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def exec_(where: Place, node: str, command: tuple[str, ...]) -> None:
    """Run a command in a node's network namespace, or that of `outside` or `registry`.

    Example: covey dev exec outside -- curl http://10.77.2.1:8080/
    """
    argv, variables = cluster.inside(where, node, command)
    try:  # in our place, so that signals and the exit code are its own
        os.execvpe(argv[0], argv, os.environ | variables)  # noqa: S606
    except OSError as error:
        raise click.ClickException(f"cannot run {argv[0]}: {error.strerror}") from error


@dev.command()
@named
@click.argument("node")
@click.option("--agent", "role", flag_value="agent", help="Only the agent's process; coveyd starts it again.")
@click.option("--manager", "role", flag_value="manager", help="Only the manager's process; likewise.")
def kill(where: Place, node: str, role: str | None) -> None:
    """Take a node's power, or kill a single process of it.

    Example: covey dev kill w1
    """
    with _changing(where, node):
        if role is None:
            nodes.power_loss(where, node)
        else:
            nodes.kill_process(where, node, role)


@dev.command()
@named
@click.argument("node")
def start(where: Place, node: str) -> None:
    """Boot a node that lost its power, and wait until the managers call it ready.

    Example: covey dev start w1
    """
    with _changing(where, node):
        nodes.boot(where, node)
        nodes.wait_for_answer(where, node)
    if nodes.state_of(where, node) == "running" and look.managing(where):
        membership.wait_until_back(where, node)


@dev.command()
@named
@click.argument("node")
def cut(where: Place, node: str) -> None:
    """Take a node's link down: it runs on and hears nobody.

    Example: covey dev cut w1
    """
    with _changing(where, node):
        Fabric(where).cut(node)


@dev.command()
@named
@click.argument("node")
def heal(where: Place, node: str) -> None:
    """Take a node's link up again.

    Example: covey dev heal w1
    """
    with _changing(where, node):
        Fabric(where).heal(node)


@dev.command()
@named
@click.argument("node")
@click.option("--manager", "role", flag_value="manager", help="Only the manager's process.")
def pause(where: Place, node: str, role: str | None) -> None:
    """Stop a node's processes as a stalled machine would; its containers run on.

    Example: covey dev pause m1
    """
    with _changing(where, node):
        nodes.pause(where, node, role)


@dev.command()
@named
@click.argument("node")
def resume(where: Place, node: str) -> None:
    """Let a paused node's processes go on.

    Example: covey dev resume m1
    """
    with _changing(where, node):
        nodes.resume(where, node)
