"""A cluster's beginning: `init` on a fresh host, and workers that join, each until its node is ready."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from covey import limits
from covey.client.cluster import connect
from covey.client.daemon import connect_daemon
from covey.client.host import Host
from covey.errors import FailedPrecondition, Unavailable
from covey.model.states import NodeRole, NodeState
from devcluster import cluster, nodes, record
from devcluster.fabric import Fabric, default_publish
from devcluster.place import Place, address_of
from devcluster.record import Record
from tests.bench import peers
from tests.bench.figures import REPEATS, Figure, show
from tests.bench.town import wait_for_answer

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_WORKERS = ("w1", "w2")


def test_forming() -> None:
    begun, joined = list[float](), list[float]()
    for turn in range(REPEATS):
        place = Place(f"f{turn}x{os.getpid()}")
        try:
            booted(place)
            begun.append(asyncio.run(timed(place, "m1", partial(begin, place))))
            joined += [asyncio.run(timed(place, node, partial(join, place, node))) for node in _WORKERS]
        finally:
            cluster.down(place)
    show(
        "A cluster's beginning",
        [
            Figure("init to the first node ready", begun, reference=peers.INIT_S),
            Figure("join of a worker to it ready", joined, reference=peers.JOIN_S),
        ],
    )


def booted(place: Place) -> None:
    """Hosts with a coveyd that belongs to no cluster yet."""
    record.save(place, Record(managers=1, workers=len(_WORKERS)))
    Fabric(place).build(default_publish)
    for node in ("m1", *_WORKERS):
        nodes.boot(place, node)
        nodes.wait_for_answer(place, node)


async def begin(place: Place) -> None:
    """Begin a cluster on the first node."""
    async with connect_daemon(Host(place.socket("m1"))) as daemon:
        await daemon.init(advertise_address=address_of("m1"))


async def join(place: Place, node: str) -> None:
    """Let a worker join; to ask for the token is part of it."""
    async with connect(Host(place.socket("m1"))) as client:
        token = await client.join_token(NodeRole.WORKER)
    async with connect_daemon(Host(place.socket(node))) as daemon:
        peer = f"{address_of('m1')}:{limits.control_port}"
        await daemon.join(token, peer, advertise_address=address_of(node))


async def timed(place: Place, node: str, do: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """The seconds until `node` is ready, once `do` has begun."""
    began = time.monotonic()
    await do()
    await wait_for_answer(lambda: is_ready(place, node), f"{node} to be ready")
    return time.monotonic() - began


async def is_ready(place: Place, name: str) -> bool:
    """Whether the manager calls the node ready; not while it does not even answer."""
    try:
        async with connect(Host(place.socket("m1"))) as client:
            return any(
                node.description.hostname == name and node.status.state == NodeState.READY
                for node in await client.nodes()
            )
    except (Unavailable, FailedPrecondition):
        return False
