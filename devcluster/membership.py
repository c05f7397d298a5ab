"""Making one cluster of booted nodes, by what anybody may ask of coveyd and a manager: init, join, nodes."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from covey import limits
from covey.client.cluster import connect
from covey.client.daemon import connect_daemon
from covey.client.host import Host
from covey.errors import FailedPrecondition, Unavailable
from covey.model.states import NodeRole

from . import look
from .place import Place, address_of
from .record import Record

Say = Callable[[str], None]
Result = TypeVar("Result")

_ready_bound_s = 60.0
_manager_bound_s = 30.0
_poll_s = 0.1


def form(place: Place, asked: Record, say: Say) -> None:
    """Let the first manager begin a cluster and the others join it; nodes that are in one already stay."""
    asyncio.run(_form(place, asked, say))
    say("all nodes to be ready")
    wait_until_ready(place, asked.nodes)


def wait_until_ready(place: Place, wanted: Iterable[str]) -> None:
    """Wait until the managers call all `wanted` nodes ready. Raises Unavailable that names those that are not."""
    deadline = time.monotonic() + _ready_bound_s
    while late := set(wanted) - look.ready(place):
        if time.monotonic() > deadline:
            raise Unavailable(f"{', '.join(sorted(late))}: not ready within {_ready_bound_s:g} s")
        time.sleep(_poll_s)


def wait_until_back(place: Place, node: str) -> None:
    """Wait until a node that has just been started is called ready again; one that has left never is."""
    if asyncio.run(_belongs(place, node)):
        wait_until_ready(place, [node])


def _host(place: Place, node: str) -> Host:
    return Host(place.socket(node))


async def _form(place: Place, asked: Record, say: Say) -> None:
    first = asked.nodes[0]
    outside = [node for node in asked.nodes if not await _belongs(place, node)]
    if outside == asked.nodes:
        say(f"covey init on {first}")
        async with connect_daemon(_host(place, first)) as daemon:
            await daemon.init(advertise_address=address_of(first))
        outside.remove(first)
    missing = outside
    roles = {node: NodeRole.MANAGER if node in asked.manager_nodes else NodeRole.WORKER for node in missing}
    wanted = set(roles.values())
    there = next(node for node in asked.manager_nodes if node not in missing)
    tokens = await _retried(lambda: _tokens(place, there, wanted), f"the join tokens of {there}")
    for node, role in roles.items():
        say(f"covey join on {node}")
        peer = f"{address_of(there)}:{limits.control_port}"
        async with connect_daemon(_host(place, node)) as daemon:
            await daemon.join(tokens[role], peer, advertise_address=address_of(node))


async def _belongs(place: Place, node: str) -> bool:
    async with connect_daemon(_host(place, node)) as daemon:
        return bool((await daemon.info()).node_id)


async def _tokens(place: Place, manager: str, roles: Iterable[NodeRole]) -> dict[NodeRole, str]:
    async with connect(_host(place, manager)) as cluster:
        return {role: await cluster.join_token(role) for role in roles}


async def _retried(ask: Callable[[], Coroutine[Any, Any, Result]], what: str) -> Result:
    """Ask until there is an answer: a manager that has just been started takes a moment."""
    deadline = time.monotonic() + _manager_bound_s
    while True:
        try:
            return await ask()
        except (Unavailable, FailedPrecondition) as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"{what}: not within {_manager_bound_s:g} s: {error}") from error
            await asyncio.sleep(_poll_s)
