"""`covey node promote` and `covey node demote`: changing who manages, and waiting until it is so."""

import asyncio
import time
from collections.abc import Sequence

from click import echo
from msgspec.structs import replace

from covey import limits
from covey.client.cluster import ClusterClient, connect
from covey.client.daemon import connect_daemon
from covey.client.host import Host
from covey.client.views import ClusterStatus, Reachability
from covey.errors import CoveyError, FailedPrecondition, Unavailable
from covey.model.objects import Node
from covey.model.states import NodeRole

from ..app import anew_on_conflict, each, run
from ..options import word
from .finding import find


def change_roles(host: Host, names: Sequence[str], role: NodeRole, detach: bool) -> None:
    """Ask for a role of each node in turn, and wait for it: one after another, so that a majority stays."""

    async def change(name: str) -> str:
        async with connect(host) as cluster:
            node = await anew_on_conflict(lambda: _ask(cluster, host, name, role))
        if node is None:
            return f"{name} is a {word(role)} already"
        if not detach:
            await _wait(host, node, role)
        return f"{name} is now a {word(role)}" if not detach else f"{name} is to be a {word(role)}"

    run(lambda: each(names, change))


async def _ask(cluster: ClusterClient, host: Host, name: str, role: NodeRole) -> Node | None:
    """Ask for the role; None if the node has it and is to have it."""
    node = await find(cluster, host, name)
    if node.spec.role is role is node.role:
        return None
    if node.spec.role is role:
        return node
    return await cluster.update_node(node.id, node.meta.version, replace(node.spec, role=role))


async def _wait(host: Host, node: Node, role: NodeRole) -> None:
    """Wait until the node is what it is to be, telling of every step. It goes on in any case."""
    deadline = time.monotonic() + limits.role_change_bound_s
    name, said = node.description.hostname or node.id, ""
    while True:
        stage = await _stage(host, node.id, role)
        if stage == "":
            return
        if stage != said:
            echo(f"{name}: {stage}", err=True)
            said = stage
        if time.monotonic() > deadline:
            raise FailedPrecondition(
                f"{name} is not a {word(role)} after {limits.role_change_bound_s:g} s ({stage}); "
                "it goes on in the background: `covey cluster status` shows how far it is"
            )
        await asyncio.sleep(limits.role_look_ms / 1000)


async def _stage(host: Host, node_id: str, role: NodeRole) -> str:
    """Say what a change of role waits for; empty once it is done."""
    try:
        async with connect(host) as cluster:
            node, told = await cluster.get_node(node_id), await cluster.status()
    except (FailedPrecondition, Unavailable) as error:
        return await _stage_without_manager(host, node_id, role, error)
    return _promotion(node, told) if role is NodeRole.MANAGER else _demotion(node, told)


async def _stage_without_manager(host: Host, node_id: str, role: NodeRole, error: CoveyError) -> str:
    """The manager that was asked may be the one that goes: then its coveyd knows."""
    async with connect_daemon(host) as daemon:
        info = await daemon.info()
    if role is NodeRole.WORKER and info.node_id == node_id and info.role is NodeRole.WORKER:
        return ""
    return f"waiting for an answer ({error})"


def _promotion(node: Node, told: ClusterStatus) -> str:
    if node.spec.role is not NodeRole.MANAGER:
        return "somebody else has asked for the opposite meanwhile"
    member = next((manager for manager in told.managers if manager.node_id == node.id), None)
    if node.role is not NodeRole.MANAGER or member is None:
        return "waiting to be let in"
    if not member.raft_id and told.store == "raft":
        return "waiting for its manager to be started and to join"
    if not member.voter:
        return "fetching the cluster's state"
    return "" if member.reachability is Reachability.REACHABLE else "waiting for it to answer"


def _demotion(node: Node, told: ClusterStatus) -> str:
    if node.spec.role is not NodeRole.WORKER:
        return "somebody else has asked for the opposite meanwhile"
    if node.role is NodeRole.WORKER:
        return ""
    leads = any(manager.leader for manager in told.managers if manager.node_id == node.id)
    return "handing the lead over to another manager" if leads else "being taken out of the group of managers"
