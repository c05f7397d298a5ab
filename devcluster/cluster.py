"""A dev cluster as a whole: making it by the public `init` and `join`, looking at it, taking it down."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from agent.network.io import neighbours
from covey.errors import FailedPrecondition, InvalidArgument, Unavailable
from covey.io import netns

from . import members, membership, namespaces, nodes, record, registry, sweep
from .fabric import Fabric
from .membership import Say
from .place import OUTSIDE, REGISTRY, Place, address_of
from .record import Record

_command_bound_s = 60.0


def covey(place: Place, node: str, *arguments: str, bound_s: float = _command_bound_s) -> str:
    """What the `covey` command prints when it talks to `node`.

    Raises Unavailable with the command's own words if it fails.
    """
    argv = [sys.executable, "-m", "covey.cli", *arguments]
    environment = os.environ | {"COVEY_HOST": f"unix://{place.socket(node)}", "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=bound_s, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"covey {' '.join(arguments)} on {node}: not done within {bound_s:g} s") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        raise Unavailable(f"covey {' '.join(arguments)} on {node}: exit code {done.returncode}: {words}")
    return done.stdout


def up(place: Place, asked: Record, say: Say) -> Record:
    """Make the cluster, or complete one that is there; what it is now.

    A cluster that stands may grow. Raises FailedPrecondition if it would have to become another.
    """
    with record.locked(place):
        _adopt(place, asked)
        if denied := neighbours.make_room():  # the nodes' agents are in namespaces that do not show these
            say(f"going on without {denied}")
        fabric = Fabric(place)
        if not fabric.exists():
            say("fabric")
            fabric.build(asked.publish)
        if not netns.exists(place.netns(OUTSIDE)):
            fabric.plug(OUTSIDE)
        record.save(place, asked)
        say("registry and nodes")
        with ThreadPoolExecutor(max_workers=4) as making:
            images = making.submit(_registry, place)
            booting = [making.submit(nodes.boot, place, node) for node in asked.nodes]
            for booted in booting:
                booted.result()
            for node in asked.nodes:
                nodes.wait_for_answer(place, node)
            membership.form(place, asked, say)
            say("sample images")
            images.result()
        return asked


def _adopt(place: Place, asked: Record) -> None:
    """Decide what becomes of what is there already: go on with it, or remove what a crash left half made."""
    if not place.record.exists():
        sweep.clear(place)
        return
    there = record.load(place)
    shrinks = there.managers > asked.managers or there.workers > asked.workers
    if set(there.nodes) & {offer.partition(":")[0] for offer in set(there.generic) ^ set(asked.generic)}:
        raise FailedPrecondition(
            f"dev cluster '{place.name}' is up with the generic resources {', '.join(there.generic) or 'none'}: nodes "
            "that are there keep what they have. `covey dev down` removes it."
        )
    if there.publish != asked.publish or shrinks:
        raise FailedPrecondition(
            f"dev cluster '{place.name}' is up with {there.managers} managers, {there.workers} workers and "
            f"ports {', '.join(there.publish)}: it can only get more nodes. `covey dev down` removes it."
        )


def _registry(place: Place) -> None:
    registry.start(place)
    registry.push_samples(place)


def down(place: Place) -> None:
    """Remove every trace of the cluster."""
    with record.locked(place):
        sweep.remove(place)


def show(place: Place) -> list[dict[str, str]]:
    """One row for each member of the cluster: its name, role, address, state and log."""
    asked = record.load(place)
    rows = []
    for node in asked.nodes:
        role = "manager" if node in asked.manager_nodes else "worker"
        rows.append(_row(place, node, role, nodes.state_of(place, node)))
    running = "running" if members.is_running(place, REGISTRY) else "off"
    rows.append(_row(place, REGISTRY, "registry", running))
    rows.append(_row(place, OUTSIDE, "client", "running" if netns.exists(place.netns(OUTSIDE)) else "off"))
    return rows


def _row(place: Place, member: str, role: str, state: str) -> dict[str, str]:
    address = address_of(member)
    log = str(place.log(member)) if member != OUTSIDE else ""
    return {
        "cluster": place.name,
        "name": member,
        "role": role,
        "address": address,
        "state": state,
        "log": log,
    }


def exports(place: Place, node: str) -> dict[str, str]:
    """The environment that points `covey` at `node`."""
    record.load(place).require(node)
    return {"COVEY_HOST": f"unix://{place.socket(node)}", "COVEY_DEV_REGISTRY": place.registry}


def inside(place: Place, member: str, program: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command line and environment to run `program` in the member's network."""
    asked = record.load(place)
    if member not in (OUTSIDE, REGISTRY):
        asked.require(member)
    if not netns.exists(place.netns(member)):
        raise FailedPrecondition(f"{member} is off: `covey dev start {member}` boots it")
    if not program:
        raise InvalidArgument(f"nothing to run: covey dev exec {member} -- COMMAND")
    variables = exports(place, member if member in asked.nodes else asked.nodes[0])
    return namespaces.command(place.netns(member), program), variables
