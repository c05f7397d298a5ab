"""Many clients at once through all managers, while managers are killed, cut off and stalled: still like one copy.

The seed is in the test's name. With COVEY_E2E_LONG=1 there are many more faults, and a new seed (COVEY_E2E_SEED=n
to repeat one: the same faults in the same order, though no two runs of real processes are the same).
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from functools import partial
from itertools import pairwise
from random import Random

import pytest

from covey.client.host import Host, Staleness
from covey.errors import FailedPrecondition
from devcluster import nodes
from devcluster.fabric import Fabric
from tests.support.histories import NOTHING_YET, Client, Crowd, History
from tests.support.linearizability import NotLinearizable
from tests.support.managers import MANAGERS, Town, a_town

pytestmark = [pytest.mark.root, pytest.mark.timeout(5400)]

LONG = os.environ.get("COVEY_E2E_LONG") == "1"
ROUNDS = 240 if LONG else 9
SEEDS = [int(os.environ.get("COVEY_E2E_SEED", time.time_ns() % 1_000_000))] if LONG else [1]
REGISTERS = ("a", "b", "c")
Fault = tuple[Callable[[], None], Callable[[], None]]


@pytest.fixture(scope="module")
def module_town() -> Iterator[Town]:
    with a_town("hi", workers=0) as town:
        yield town


@pytest.fixture
def town(module_town: Town) -> Iterator[Town]:
    module_town.whole()
    yield module_town
    module_town.whole()


def host_of(town: Town, node: str, stale: Staleness | None = None) -> Host:
    return Host(town.place.socket(node), stale)


def create_registers(town: Town, client: Client) -> None:
    for register in REGISTERS:
        asyncio.run(client.create(register, f"{town.web}:1"))


def nothing() -> None:
    """Leave it: what runs on a node is started again by the node."""


def faults(town: Town, node: str, other: str) -> dict[str, Fault]:
    """What can strike a manager, by name, and how it ends."""
    place, fabric = town.place, Fabric(town.place)
    return {
        "kill -9": (partial(town.kill_manager, node), nothing),
        "cut": (partial(fabric.cut, node), partial(fabric.heal, node)),
        "deaf to one": (partial(fabric.sever, other, node), fabric.mend),
        "stall": (partial(nodes.pause, place, node, "manager"), partial(nodes.resume, place, node)),
        "power": (partial(nodes.power_loss, place, node), partial(nodes.boot, place, node)),
    }


def strike(town: Town, dice: Random, number: int) -> None:
    """Let one fault happen, or two on different managers, for a while; the leader is a likely victim."""
    leader = town.leader()
    rest = [node for node in MANAGERS if node != leader]
    dice.shuffle(rest)
    order = [leader, *rest] if dice.random() < 0.6 else [*rest, leader]
    ends = []
    for node, other in list(pairwise(order))[: dice.choice((1, 1, 2))]:
        name, (begin, end) = dice.choice(sorted(faults(town, node, other).items()))
        is_leader = " (the leader)" * (node == leader)
        print(f"{time.strftime('%H:%M:%S')} round {number}: {name} of {node}{is_leader}", flush=True)
        with suppress(FailedPrecondition):  # a fault before this one has left nothing to stall
            begin()
        ends.append(end)
        time.sleep(dice.choice((0, 0.2, 1)))
    time.sleep(dice.uniform(0.2, 4))
    for end in ends:
        end()
    time.sleep(dice.uniform(0, 2))


@pytest.mark.parametrize("seed", SEEDS)
def test_three_managers_under_faults_answer_like_a_single_copy(town: Town, seed: int) -> None:
    print(f"COVEY_E2E_SEED={seed}")
    dice = Random(seed)
    hosts = {node: host_of(town, node) for node in MANAGERS}
    create_registers(town, Client("maker", hosts[MANAGERS[0]], History()))
    with Crowd(hosts, REGISTERS, seed) as crowd:
        for number in range(ROUNDS):
            strike(town, dice, number)
    town.power_on()
    town.until("all managers to answer", lambda: town.voters() == set(MANAGERS))
    for node in MANAGERS:  # whatever was lost, or came back, is seen now
        for register in REGISTERS:
            last = Client(f"{node}.last", host_of(town, node), crowd.history)
            assert asyncio.run(last.read(register)) is not None
    print(crowd.history)
    assert crowd.history.count("swap") > ROUNDS, "or the faults hid whatever there was to see"
    assert crowd.history.count("read") > ROUNDS
    crowd.history.check()


def test_reads_of_a_manager_that_is_cut_off_would_be_noticed(town: Town) -> None:
    """Old answers taken for new ones: the checker refuses them. A manager asked as usual gives none."""
    history = History()
    victim = town.followers()[0]
    other = next(node for node in MANAGERS if node != victim)
    writer = Client("writer", host_of(town, other), history)
    create_registers(town, writer)
    town.until(
        "the victim to know", lambda: asyncio.run(Client("v", host_of(town, victim), history).read("a"))
    )
    Fabric(town.place).cut(victim)
    town.until("a change without it", lambda: asyncio.run(writer.change("a", f"new {time.monotonic()}")))
    honest = Client("honest", host_of(town, victim), history)
    assert asyncio.run(honest.read("a")) is None, "cut off, it cannot know, and says so"
    history.check()

    lied_to = deepcopy(history)
    fooled = Client("fooled", host_of(town, victim, Staleness()), lied_to)
    assert asyncio.run(fooled.read("a")) == NOTHING_YET
    with pytest.raises(NotLinearizable, match="fooled read"):
        lied_to.check()
