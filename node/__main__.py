"""The `coveyd` command."""

import asyncio
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

import covey.wire  # before grpc  # noqa: F401
from covey.errors import CoveyError, FailedPrecondition, InvalidArgument
from covey.io import logs
from covey.wire.server import serve_unix

from . import lock, orphans
from .daemon import Daemon
from .driver import Processes
from .server import DaemonServer
from .settings import Settings, load

log = logging.getLogger(__name__)

Commands = Mapping[str, Sequence[str]]


def python_commands(settings: Settings) -> Commands:
    """Say how a node's processes are started. `-P`: no module is taken from the working directory."""
    config = str(Path(settings.run_dir) / "node.json")
    modules = {"agent": "agent", "dns": "agent.dns", "manager": "manager"}
    return {
        name: (sys.executable, "-P", "-m", module, "--config", config) for name, module in modules.items()
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", "config", type=click.Path(path_type=Path), help="Settings [/etc/covey/coveyd.toml]."
)
@click.option("--state-dir", help="What outlives a reboot [/var/lib/covey].")
@click.option("--run-dir", help="What does not: sockets and namespaces [/run/covey].")
@click.option("--node-name", help="The node's name [the host's].")
@click.option("--cpus", type=float, help="CPUs offered to tasks [all].")
@click.option("--memory", help="Memory offered to tasks, such as 2g [all].")
@click.option(
    "--generic-resource",
    multiple=True,
    help="What else is offered: gpu=UUID-1 by its name, or ssd=3 by number; repeatable.",
)
@click.option(
    "--label",
    multiple=True,
    help="What is said of this host, KEY=VALUE, for constraints on engine.labels.KEY; repeatable.",
)
@click.option("--cgroup-parent", help="The cgroup below which tasks run [/covey].")
@click.option("--resolv-conf", help="The resolver that other names are forwarded to [/etc/resolv.conf].")
@click.option("--insecure-registry", multiple=True, help="A registry (HOST:PORT) without TLS; repeatable.")
@click.option("--log-level", help="debug, info, warning or error [info].")
@click.option(
    "--stop-tasks", is_flag=True, help="Stop all containers of this node and end; coveyd must not run."
)
@click.version_option(package_name="covey", prog_name="coveyd")
def main(config: Path | None, stop_tasks: bool, **flags: Any) -> None:
    """Make this host a node of a Covey cluster, and keep the node's processes running.

    SIGTERM ends them and leaves the containers running, with their names; SIGHUP reads the settings again.

    Example: coveyd --node-name web1 --insecure-registry 192.0.2.7:5000
    """
    try:
        if os.geteuid() != 0:
            raise FailedPrecondition(
                "coveyd must be started by root: it makes namespaces, mounts and cgroups"
            )
        settings = load(config, flags)
        logs.configure("coveyd", settings.log_level)
        reload = lambda: load(config, flags)  # noqa: E731
        asyncio.run(run(settings, python_commands(settings), reload, stop_tasks=stop_tasks))
    except CoveyError as error:
        click.echo(f"coveyd: {error}", err=True)
        sys.exit(2 if isinstance(error, InvalidArgument) else 1)


async def run(
    settings: Settings, commands: Commands, reload: Callable[[], Settings], *, stop_tasks: bool = False
) -> None:
    """Be coveyd, until SIGTERM or SIGINT; or only stop this node's tasks."""
    held = lock.acquire(Path(settings.run_dir), "run-dir")
    also_held = lock.acquire(Path(settings.state_dir), "state-dir")
    try:
        await _run(settings, commands, reload, orphans.mark(held), stop_tasks)
    finally:
        os.close(also_held)
        os.close(held)


async def _run(
    settings: Settings, commands: Commands, reload: Callable[[], Settings], own: str, stop_tasks: bool
) -> None:
    notify = os.environ.pop("NOTIFY_SOCKET", "")  # ours alone, not the processes'
    environment = {**os.environ, orphans.VARIABLE: own, "PYTHONUNBUFFERED": "1"}
    stop_command = [*commands["agent"], "--stop-tasks"]
    # Containers that run on need names: whoever answers them is relieved by its successor.
    left = {"dns"} if _serves_names(settings) and not stop_tasks else set[str]()
    old = [command for name, command in commands.items() if name not in left]
    ended = await asyncio.to_thread(orphans.end, own, [*old, stop_command])
    if ended:
        log.warning("ended processes of an earlier coveyd: %s", ", ".join(map(str, ended)))
    processes = Processes(commands, environment)
    daemon = Daemon(settings, processes, stop_command, environment, random.SystemRandom())
    if stop_tasks:
        await daemon.end_tasks()
        return
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, daemon, reload)
    server = await serve_unix(Path(settings.run_dir) / "covey.sock", DaemonServer(daemon).bindings())
    background = [
        asyncio.create_task(processes.run()),
        asyncio.create_task(daemon.keep_renewing()),
        asyncio.create_task(_recover(daemon, partial(orphans.end, own, [commands["dns"]]))),
    ]
    _tell_systemd(notify, "READY=1")
    try:
        await _until(stopping, background)
    finally:
        await server.stop(1)
        await processes.close(leave=["dns"] if _serves_names(daemon.settings) else [])
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
    log.info("coveyd ends; containers go on")


def _serves_names(settings: Settings) -> bool:
    """Tell whether the DNS process answers any container, by what it has written down."""
    return any((Path(settings.run_dir) / "dns" / "resolvers").glob("*"))


async def _recover(daemon: Daemon, end_names: Callable[[], object]) -> None:
    try:
        await daemon.recover()
        if daemon.member is None:
            await asyncio.to_thread(end_names)  # of no cluster, and yet the names of one
    except (CoveyError, OSError) as error:
        # Serving goes on: `covey info` and `covey leave --force` are how people get out of this.
        log.error("this host is no working node: %s", error)


def _reload(daemon: Daemon, read: Callable[[], Settings]) -> None:
    try:
        settings = read()
        daemon.reload(settings)
        logs.configure("coveyd", settings.log_level)
        log.info("settings read again")
    except (CoveyError, OSError) as error:
        log.error("the settings stay as they were: %s", error)


async def _until(stopping: asyncio.Event, background: Sequence[asyncio.Task[None]]) -> None:
    """Wait to be told to stop; raise what ends a background task instead."""
    told = asyncio.create_task(stopping.wait())
    waiting: set[asyncio.Task[Any]] = {told, *background}
    while not told.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


def _tell_systemd(path: str, state: str) -> None:
    """Say that coveyd is ready, if it was started by systemd as a notifying service (sd_notify(3))."""
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, suppress(OSError):
            notify.sendto(state.encode(), path.replace("@", "\0", 1) if path[0] == "@" else path)


if __name__ == "__main__":
    main()
