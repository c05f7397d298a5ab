"""All faults at random, for minutes: only with COVEY_E2E_LONG=1 (and COVEY_E2E_SEED=n to repeat a run).

In each round a handful of faults strike, one on top of the other, while one client changes services and keeps
book. Then everything is switched on again, and everything must come right.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random

import pytest

from covey.client.host import Host
from covey.errors import CoveyError
from devcluster import look, members, nodes
from devcluster.fabric import Fabric
from tests.support import traces
from tests.support.ledger import Writer, numbers
from tests.support.prober import addresses_of, asked_by_name, web_and_clients
from tests.support.stand import ANSWER, Stand

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(
        os.environ.get("COVEY_E2E_LONG") != "1", reason="takes some minutes: COVEY_E2E_LONG=1"
    ),
]

ROUNDS = 30
FAULTS = 6
REPLICAS = 5
PORT = 8080
COMES_RIGHT_S = 90


def kill(stand: Stand, node: str, module: str, number: int = signal.SIGKILL) -> None:
    for pid in members.processes_of_module(stand.place, node, module):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def stop(stand: Stand, node: str) -> None:
    kill(stand, node, "node", signal.SIGTERM)
    stand.until("the end of coveyd", lambda: not nodes.coveyd_runs(stand.place, node))


def kill_a_container(stand: Stand, node: str, dice: Random) -> None:
    there = traces.containers(stand.place, node)
    if there:
        with suppress(ProcessLookupError):
            os.kill(there[dice.choice(sorted(there))].pid, signal.SIGKILL)


def flap(stand: Stand, node: str, dice: Random) -> None:
    Fabric(stand.place).cut(node)
    time.sleep(dice.uniform(0, 6))
    Fabric(stand.place).heal(node)


def faults(stand: Stand, node: str, dice: Random) -> dict[str, Callable[[], None]]:
    """What can strike a node, by name."""
    return {
        "agent": partial(kill, stand, node, "agent"),
        "dns": partial(kill, stand, node, "agent.dns"),
        "manager": partial(kill, stand, "m1", "manager"),
        "coveyd": partial(kill, stand, node, "node"),
        "stop": partial(stop, stand, node),
        "boot": partial(nodes.boot, stand.place, node),
        "power": partial(nodes.power_loss, stand.place, node),
        "flap": partial(flap, stand, node, dice),
        "cut": partial(Fabric(stand.place).cut, node),
        "container": partial(kill_a_container, stand, node, dice),
    }


def right(stand: Stand) -> str:
    """What is not right yet; nothing if all is."""
    try:
        return _right(stand)
    except CoveyError as error:
        return str(error)


def _right(stand: Stand) -> str:
    services = look.services(stand.place)
    wanted = {task.id for service in services for task in stand.running(service)}
    desired = sum(int(str(row["desired"])) for row in stand.rows("service", "ls"))
    there = traces.all_containers(stand.place, stand.asked.nodes)
    if len(wanted) != desired:
        return f"{len(wanted)} tasks run, and {desired} should"
    if wanted != there.keys():
        return f"{wanted - there.keys()} have no container, {there.keys() - wanted} no task"
    clients = {task.node: there[task.id] for task in stand.running("client")}
    for node, client in clients.items():
        found = addresses_of(client, "tasks.web")
        if len(found) != REPLICAS:
            return f"{node} knows {found}"
        for address in found:
            if not ANSWER.search(answer := asked_by_name(client, f"http://{address}/")):
                return f"{node} asked {address}: {answer}"
        if not ANSWER.search(answer := asked_by_name(client)):
            return f"{node} asked by name: {answer}"
    return "".join(f"no port on {node}" for node in stand.asked.nodes if not stand.answers(node, PORT))


def come_right(stand: Stand) -> None:
    began = time.monotonic()
    while wrong := right(stand):
        if time.monotonic() > began + COMES_RIGHT_S:
            pytest.fail(f"not right after {COMES_RIGHT_S} s: {wrong}\n{stand.words()}")
        time.sleep(0.3)
    print(f"right after {time.monotonic() - began:.1f} s")


def test_everything_at_random(stand: Stand) -> None:
    seed = int(os.environ.get("COVEY_E2E_SEED", time.time_ns() % 1_000_000))
    print(f"COVEY_E2E_SEED={seed}")
    dice, host = Random(seed), Host(stand.place.socket("m1"))
    web_and_clients(stand, REPLICAS, PORT)
    with Writer(host, f"{stand.web}:1", seed) as writer:
        for number in range(ROUNDS):
            for _ in range(dice.randint(1, FAULTS)):
                node = dice.choice(stand.asked.nodes)
                name, strike = dice.choice(sorted(faults(stand, node, dice).items()))
                print(f"{time.strftime('%H:%M:%S')} round {number}: {name} of {node}", flush=True)
                strike()
                time.sleep(dice.choice((0, 0.3, 1, 4)))
            with writer.pause():
                stand.power_on()
                come_right(stand)
                assert not writer.book.differences(numbers(host))
    print(f"{writer.book.acknowledged} requests acknowledged, {writer.book.unanswered} not answered")
