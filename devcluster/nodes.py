"""One node's life: boot and power loss, and the end of a single process of it."""

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from covey.errors import FailedPrecondition, Unavailable
from covey.io import netns

from . import members, record
from .fabric import Fabric
from .place import Place

_boot_bound_s = 60.0
_killed_bound_s = 5.0
modules = {"agent": "agent", "manager": "manager"}


def boot(place: Place, node: str) -> None:
    """Start the node as its power switch would: network, then coveyd.

    One that runs is left alone. Where coveyd alone has died, it alone is started, as an init system would.
    """
    if coveyd_runs(place, node):
        return
    if not (netns.exists(place.netns(node)) and members.is_running(place, node)):
        power_loss(place, node)  # what a crash of ours left
        Fabric(place).plug(node)
    for folder in (place.state(node), place.run(node), place.log(node).parent):
        folder.mkdir(parents=True, exist_ok=True)
    members.start(place, node, coveyd(place, node))


def coveyd_runs(place: Place, node: str) -> bool:
    """Whether the node's supervisor lives."""
    return bool(members.processes_of_module(place, node, "node"))


def coveyd(place: Place, node: str) -> list[str]:
    """The command that a node's init system would run; its settings are written to `coveyd.toml` beside it.

    A file of its own, and whole: the machine may have settings for a coveyd that is not ours.
    """
    home = place.home(node)
    resolv_conf, settings = home / "resolv.conf", home / "coveyd.toml"
    resolv_conf.write_text("# The fabric has no resolver: names of the world outside do not resolve here.\n")
    values = {
        "state-dir": str(place.state(node)),
        "run-dir": str(place.run(node)),
        "node-name": node,
        "cgroup-parent": f"/{place.cgroup(node)}/{members.tasks_group}",
        "resolv-conf": str(resolv_conf),
        "insecure-registry": [place.registry],
        "generic-resource": record.load(place).generic_of(node),
    }
    # What JSON writes for a string or a list of them, TOML reads.
    settings.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return [sys.executable, "-P", "-m", "node", "--config", str(settings)]


def wait_for_answer(place: Place, node: str) -> None:
    """Wait until the node's coveyd takes connections."""
    try:
        members.wait_until(
            lambda: _answers(place.socket(node)),
            f"{node}'s coveyd on {place.socket(node)}",
            _boot_bound_s,
            lambda: coveyd_runs(place, node),
        )
    except Unavailable as error:
        raise Unavailable(
            f"{error}\nthe end of {place.log(node)}:\n{members.last_words(place, node)}"
        ) from error


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def power_loss(place: Place, node: str) -> None:
    """Take the node's power: every process, its network and its memory are gone; its disk stays.

    The link goes first: of processes that are merely killed, the kernel would still tell their peers.
    """
    Fabric(place).cut(node)
    members.power_off(place, node)
    Fabric(place).unplug(node)
    shutil.rmtree(place.run(node), ignore_errors=True)


def kill_process(place: Place, node: str, role: str) -> None:
    """Kill the node's `agent` or `manager`, as a crash would; coveyd is there to start it again."""
    pids = members.processes_of_module(place, node, modules[role])
    if not pids:
        raise FailedPrecondition(f"no {role} runs on {node}")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    members.wait_until(
        lambda: not set(pids) & set(members.processes_of_module(place, node, modules[role])),
        f"the end of {node}'s {role}",
        _killed_bound_s,
    )


def pause(place: Place, node: str, role: str | None = None) -> None:
    """Stop the node's own processes, or its `manager` alone, where they stand (SIGSTOP)."""
    if role is None:
        pids = sorted(members.processes_of_member(place, node))
    else:
        pids = members.processes_of_module(place, node, modules[role])
    if not pids:
        raise FailedPrecondition(f"no {role or 'process'} runs on {node}")
    _signal(pids, signal.SIGSTOP)


def resume(place: Place, node: str) -> None:
    """Let the node's own processes go on."""
    _signal(members.processes_of_member(place, node), signal.SIGCONT)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def state_of(place: Place, node: str) -> str:
    """`running`, `cut` (its link is down), `paused`, `stopped` (all but coveyd is there) or `off`."""
    if not coveyd_runs(place, node):
        return "stopped" if members.is_running(place, node) else "off"
    if any(_is_paused(pid) for pid in members.processes_of_member(place, node)):
        return "paused"
    return "cut" if Fabric(place).is_cut(node) else "running"


def _is_paused(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")
    except (FileNotFoundError, ProcessLookupError):
        return False
