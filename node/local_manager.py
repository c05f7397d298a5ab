"""The manager on this host, as coveyd asks it: over its socket, as anybody on this host may."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace

from covey import limits
from covey.client.cluster import connect
from covey.client.host import Host
from covey.client.views import ClusterStatus, ManagerStatus
from covey.errors import Conflict, CoveyError, FailedPrecondition, Unavailable
from covey.model.states import NodeRole

from .driver import Processes

log = logging.getLogger(__name__)

_UNDOES = "coveyd's log says more, and `covey leave --force` undoes it"


async def until_answers(run: Path, processes: Processes) -> None:
    """Wait until the manager of a new cluster takes connections; raises `Unavailable` with what it died of."""
    what = "the cluster was made, but its manager does not answer"
    await _until(lambda: _listens(run), what, processes, limits.manager_ready_ms)


async def until_voting(run: Path, processes: Processes, node_id: str) -> None:
    """Wait until the manager that has just joined counts as one of the group."""
    seen = "it does not answer yet"

    async def votes() -> bool:
        nonlocal seen
        told = await status(run, local=True)
        own = _own(told, node_id)
        why = "".join(f" ({sentence})" for sentence in told.advice[:1])
        seen = (
            f"it is not in the group yet{why}" if own is None else "it is still fetching the cluster's state"
        )
        return own is not None and own.voter

    try:
        await _until(votes, "", processes, limits.manager_joined_ms)
    except Unavailable as error:
        raise Unavailable(
            f"this host has joined as a manager, but {seen}{error}; it goes on by itself: "
            "`covey cluster status` shows how far it is, and `covey leave --force` undoes it"
        ) from error


async def until_alone(run: Path, processes: Processes, node_id: str, order: Path) -> None:
    """Wait until a manager that was told to go on alone leads and has removed the `order`, all done."""

    def done() -> bool:
        return not order.exists()

    async def leads() -> bool:
        own = _own(await status(run, local=True), node_id)
        return done() and own is not None and own.leader

    what = "this manager was told to go on alone, but is not ready yet"
    await _until(leads, what, processes, limits.manager_joined_ms)


async def until_known_at(run: Path, processes: Processes, node_id: str, address: str) -> None:
    """Wait until the managers know this one by its new address."""

    async def known() -> bool:
        own = _own(await status(run, local=True), node_id)
        return own is not None and own.address == address

    what = f"the address was changed on this host, but the other managers do not know it by {address} yet"
    await _until(known, what, processes, limits.manager_joined_ms)


async def status(run: Path, *, local: bool = False) -> ClusterStatus:
    """Ask how the managers stand; with `local` as far as this one knows itself, without asking on."""
    async with connect(Host(run / "covey.sock")) as cluster:
        return await cluster.status(local)


async def demote(run: Path, node_id: str) -> None:
    """Have the managers make this node a worker; raises what they refuse."""
    async with connect(Host(run / "covey.sock")) as cluster:
        for _ in range(limits.conflicts_borne_max):
            node = await cluster.get_node(node_id)
            if node.spec.role is NodeRole.WORKER:
                return
            try:
                spec = replace(node.spec, role=NodeRole.WORKER)
                await cluster.update_node(node_id, node.meta.version, spec)
            except Conflict:
                await asyncio.sleep(limits.conflict_pause_ms / 1000)
            else:
                return  # from here on, this manager may be gone at any moment
        raise Unavailable("this node's object changes all the time; try again")


def _own(told: ClusterStatus, node_id: str) -> ManagerStatus | None:
    return next((manager for manager in told.managers if manager.node_id == node_id), None)


async def _listens(run: Path) -> bool:
    _, writer = await asyncio.open_unix_connection(run / "manager.sock")
    writer.close()
    await writer.wait_closed()
    return True


async def _until(
    holds: Callable[[], Awaitable[bool]], what: str, processes: Processes, bound_ms: int
) -> None:
    """Ask until it holds; raises `Unavailable` that says `what` was waited for, and why it may be in vain."""
    deadline = time.monotonic() + bound_ms / 1000
    said = ""
    while time.monotonic() < deadline:
        try:
            if await holds():
                return
            said = ""
        except (CoveyError, OSError) as error:
            said = str(error)
        await asyncio.sleep(0.05)
    reasons = [child.last_error for child in processes.children() if child.name == "manager"]
    why = "".join(reasons) or said or "no reason known"
    raise Unavailable(f"{what} ({why}); {_UNDOES}" if what else f" ({why})")


def only_manager() -> FailedPrecondition:
    """What is said to the last manager that wants to leave."""
    return FailedPrecondition(
        "this node is the cluster's only manager: if it leaves, the cluster and all its services are "
        "gone for good; `covey leave --force` does that"
    )
