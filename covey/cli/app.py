"""The `covey` command: its tree, its exit codes, and how a command reaches the API."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

import click

from covey import limits
from covey.client.host import DEFAULT_HOST, Host
from covey.errors import Conflict, CoveyError, InvalidArgument, Unavailable

from .habits import Family, elsewhere

T = TypeVar("T")

OK, REFUSED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130

_COMMANDS = {
    "init": "membership",
    "join": "membership",
    "leave": "membership",
    "info": "membership",
    "version": "membership",
    "join-token": "membership",
    "cluster": "cluster",
    "node": "node",
    "service": "service",
    "network": "network",
    "system": "system",
}
_PLUGINS = "covey.commands"


class Tree(Family):
    """The root of the command tree.

    Commands are imported when they are asked for, so that `covey --help` need not load gRPC. Other packages
    add commands by an entry point of the group `covey.commands`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List ours and those of other packages."""
        return [*_COMMANDS, *sorted(point.name for point in _plugins())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name in _COMMANDS:
            module = import_module(f"covey.cli.commands.{_COMMANDS[cmd_name]}")
            command = getattr(module, cmd_name.replace("-", "_"))
            assert isinstance(command, click.Command)
            return command
        for point in _plugins():
            if point.name == cmd_name:
                return _loaded(point)
        if (instead := elsewhere(cmd_name)) is not None:
            raise click.UsageError(f"There is no `covey {cmd_name}`: {instead}.", ctx)
        return None


def _plugins() -> Iterable[EntryPoint]:
    return entry_points(group=_PLUGINS)


def _loaded(point: EntryPoint) -> click.Command:
    try:
        command = point.load()
    except (ImportError, AttributeError) as error:
        raise click.ClickException(
            f"the command {point.name!r} of {point.value} cannot be loaded ({error}); reinstall that package"
        ) from error
    assert isinstance(command, click.Command)
    return command


def _user() -> str:
    """Return who is at the keyboard, for services' histories; nobody, if it is just root."""
    name = os.environ.get("SUDO_USER") or os.environ.get("LOGNAME") or os.environ.get("USER") or ""
    return "" if name == "root" else name


def _host(ctx: click.Context, param: click.Parameter, value: str) -> Host:
    try:
        return replace(Host.parse(value), user=_user())
    except InvalidArgument as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command(
    cls=Tree,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "\b\nExit codes: 0 done; 1 refused or failed; 2 wrong usage; "
        "3 coveyd or manager not reached; 130 interrupted."
    ),
)
@click.option(
    "-H",
    "--host",
    envvar="COVEY_HOST",
    default=DEFAULT_HOST,
    show_default=True,
    show_envvar=True,
    callback=_host,
    help="The socket of the coveyd to speak to.",
)
@click.pass_context
def covey(ctx: click.Context, host: Host) -> None:
    """Run services across hosts: containers, overlay networks, rolling updates."""
    ctx.obj = host


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run one command's conversation with the API."""

    async def conversation() -> T:
        return await work()

    return asyncio.run(conversation())


class SomeFailedError(CoveyError):
    """Some of several targets failed, and each was told about already."""


async def anew_on_conflict(act: Callable[[], Awaitable[T]]) -> T:
    """Read, change and write; and again, a bounded number of times, if somebody wrote in between.

    Managers write too: while an update rolls out, a service's version moves by itself.
    """
    for _ in range(limits.conflicts_borne_max):
        try:
            return await act()
        except Conflict:
            await asyncio.sleep(limits.conflict_pause_ms / 1000)
    return await act()


async def each(targets: Iterable[str], act: Callable[[str], Awaitable[str | None]]) -> None:
    """Act on every target and print what it returns, if anything; go on after a refusal, and fail in the end."""
    failed = 0
    for target in targets:
        try:
            if (said := await act(target)) is not None:
                click.echo(said)
        except Unavailable:
            raise
        except CoveyError as error:
            failed += 1
            complain(error)
    if failed:
        raise SomeFailedError


def complain(error: object) -> None:
    """Print an error as every command does."""
    click.echo(f"Error: {error}", err=True)


def warn(messages: Iterable[str]) -> None:
    """Print warnings, which leave the exit code as it is."""
    for message in messages:
        click.echo(f"Warning: {message}", err=True)


def as_usage(build: Callable[[], T]) -> T:
    """Turn a refusal of what was typed into a usage error; nothing has been sent yet."""
    try:
        return build()
    except InvalidArgument as error:
        raise click.UsageError(str(error)) from error


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code."""
    sys.exit(outcome(arguments))


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def outcome(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code; all errors are told here, in one place."""
    for argument in sys.argv[1:] if arguments is None else arguments:
        if not _is_text(argument):
            complain(f"the argument {argument!r} is not UTF-8, and nothing else can be stored; write it anew")
            return USAGE
    try:
        result = covey.main(arguments, prog_name="covey", standalone_mode=False)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SomeFailedError:
        return REFUSED
    except Unavailable as error:
        complain(error)
        return UNREACHABLE
    except CoveyError as error:
        complain(error)
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough. Python would complain once more when it flushes at the end.
        sys.stdout = None
        return REFUSED
    except OSError as error:
        # Ours never reach here: this is the terminal or file that we write to.
        complain(f"the output cannot be written: {error.strerror or error}")
        sys.stdout = None
        return REFUSED
    return result if isinstance(result, int) else OK
