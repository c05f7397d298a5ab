"""`covey cluster`: how the managers stand, backups, and coming back from one."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click import echo
from msgspec.structs import replace

from covey import limits
from covey.client.cluster import connect
from covey.client.daemon import connect_daemon
from covey.client.host import Host
from covey.client.views import ClusterStatus, ManagerStatus, Reachability
from covey.errors import CoveyError, FailedPrecondition
from covey.io import files
from covey.model.objects import AuditSummary
from covey.model.quantity import duration_text, size_text
from covey.model.specs import ClusterSpec

from ..app import OK, REFUSED, anew_on_conflict, run
from ..habits import Family
from ..options import Number, Parsed, example, given, output_format, stale, word
from ..parse import amounts
from ..show import text
from ..show.jsonable import json_array
from .membership import advertise, data_path


@click.group(cls=Family)
def cluster() -> None:
    """See how the managers stand, change settings; back the cluster up and bring it back."""


@cluster.command(epilog=example("covey cluster status", "covey cluster status --format json"))
@output_format
@click.pass_obj
def status(host: Host, form: str) -> int:
    """Show who manages, who answers, and what to do about those that do not.

    It needs no majority of managers: each tells what it knows. The exit code is 1 where there is no majority.
    """

    async def work() -> ClusterStatus:
        async with connect(host) as manager:
            return await manager.status()

    told = run(work)
    echo(json_array([told]) if form == "json" else _status_text(told))
    return OK if told.has_quorum else REFUSED


@cluster.command(
    epilog=example(
        "covey cluster update --task-history-limit 2", "covey cluster update --dispatcher-heartbeat 5s"
    )
)
@click.option(
    "--task-history-limit",
    "task_history_per_slot",
    type=Number(-1, limits.task_history_max),
    help="How many tasks are kept of each place, ended ones included; -1: all of them.",
)
@click.option(
    "--dispatcher-heartbeat",
    "heartbeat_period_ns",
    type=Parsed("duration", amounts.duration_ns),
    help="How often a node says that it lives; it is down after three times as long.",
)
@click.option(
    "--cert-expiry",
    "node_certificate_ns",
    type=Parsed("duration", amounts.duration_ns),
    help="For how long certificates of nodes are made from now on.",
)
@click.option(
    "--tunnel-rotation",
    "tunnel_rotation_ns",
    type=Parsed("duration", amounts.duration_ns),
    help="How often the tunnels of encrypted networks get new keys.",
)
@click.pass_obj
def update(host: Host, /, **options: Any) -> None:
    """Change the cluster's settings. With no option, show them."""
    chosen = given(options)
    if (period_ns := chosen.pop("heartbeat_period_ns", None)) is not None:
        chosen["heartbeat_period_ms"] = period_ns // 1_000_000

    async def work() -> ClusterSpec:
        async with connect(host) as manager:

            async def act() -> ClusterSpec:
                found = await manager.cluster()
                spec = replace(found.spec, **chosen)
                if chosen:
                    await manager.update_cluster(found.meta.version, spec)
                return spec

            return await anew_on_conflict(act)

    spec = run(work)
    history = spec.task_history_per_slot
    echo(f"Task history limit: {'all' if history < 0 else history}")
    echo(f"Dispatcher heartbeat: {duration_text(spec.heartbeat_period_ms * 1_000_000)}")
    echo(f"Certificates of nodes: {duration_text(spec.node_certificate_ns)}")
    echo(f"New keys for tunnels: every {duration_text(spec.tunnel_rotation_ns)}")


def manager_word(manager: ManagerStatus) -> str:
    """Say in a word how a manager stands, as `covey node ls` shows it."""
    if manager.leader:
        return "Leader"
    if not manager.voter:
        return "Joining"
    return word(manager.reachability).capitalize()


def _status_text(told: ClusterStatus) -> str:
    voters = [manager for manager in told.managers if manager.voter]
    answering = [manager for manager in voters if manager.reachability is Reachability.REACHABLE]
    leader = next((manager for manager in told.managers if manager.leader), None)
    own = next((manager for manager in told.managers if manager.node_id == told.answered_by), None)
    lines = [
        f"Quorum: {'yes' if told.has_quorum else 'no'} ({len(answering)} of {len(voters)} managers answer)",
        f"Leader: {f'{leader.hostname} ({leader.address})' if leader else 'none'}",
        f"Store: {told.store}, term {told.term}, epoch {told.epoch}",
        f"Answered by: {own.hostname if own else told.answered_by}, at entry {told.applied_index}"
        + _silence(told, leader),
        *_audit(told.audit),
        "",
        text.table(
            ("ID", "HOSTNAME", "ADDRESS", "MANAGER STATUS", "BEHIND"),
            [
                (each.node_id, each.hostname, each.address, manager_word(each), _behind(each))
                for each in told.managers
            ],
        ),
    ]
    if told.advice:
        lines += ["", *(f"- {sentence}" for sentence in told.advice)]
    return "\n".join(lines)


def _audit(last: AuditSummary) -> Iterator[str]:
    if last.at_ns:
        amiss = ", ".join(f"{each.number} {each.kind}" for each in last.counts)
        found = f"amiss: {amiss} (`covey system audit` says what)" if amiss else "nothing amiss"
        when = text.ago(last.at_ns, time.time_ns())
        yield f"Audit of what managers keep: {found}, {last.compared} things compared, {when}"


def _silence(told: ClusterStatus, leader: ManagerStatus | None) -> str:
    if leader is not None:
        return ""
    if told.leader_silent_ms < 0:
        return ", which has heard of no leader since it was started"
    return f", which last heard from a leader {text.age(told.leader_silent_ms / 1000)} ago"


def _behind(manager: ManagerStatus) -> str:
    return "" if manager.behind_entries < 0 else str(manager.behind_entries)


FILE = click.Path(dir_okay=False, path_type=Path)


@cluster.command(epilog=example("covey cluster backup /root/covey-backup"))
@click.argument("file", type=FILE)
@stale
@click.pass_obj
def backup(host: Host, file: Path) -> None:
    """Write all that the cluster is to FILE, while everything goes on.

    FILE is whole or not there at all; an older one of that name is replaced. It holds the cluster's keys and
    passwords of registries: keep it where only root can read it.
    """

    path = file.absolute()

    async def work() -> int:
        size = 0
        async with connect(host) as manager:
            try:
                with files.replacing(path) as written:
                    async for piece in manager.backup():
                        await asyncio.to_thread(written.write, piece)
                        size += len(piece)
            except OSError as error:
                raise FailedPrecondition(f"{file}: cannot be written ({error.strerror or error})") from error
        return size

    echo(f"{file}: {size_text(run(work))}, readable by root alone. It holds the cluster's keys.")


@cluster.command(epilog=example("covey cluster restore /root/covey-backup"))
@click.argument("file", type=FILE)
@advertise
@data_path
@click.pass_obj
def restore(host: Host, /, file: Path, **options: Any) -> None:
    """Bring a cluster back from the backup FILE, on this host, which must be in no cluster.

    This host becomes its only manager; the other nodes come back when they find it at an address they know,
    or join again. Never restore while managers of the cluster still run.
    """
    path = file.absolute()

    async def work() -> None:
        async with connect_daemon(host) as daemon:
            made = await daemon.restore(path, **given(options))
        echo(f"Cluster {made.cluster_id} is back, with this node ({made.node_id}) as its only manager.\n")
        await _say_what_next(host)

    run(work)


async def _say_what_next(host: Host) -> None:
    try:
        async with connect(host) as manager:
            for sentence in (await manager.status()).advice:
                echo(f"- {sentence}")
    except CoveyError:  # the cluster is back all the same
        return
