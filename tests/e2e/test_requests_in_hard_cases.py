"""What becomes of requests where something else is wrong, too: servers without manners, nobody left, lost minders.

What is promised in which case stands in `docs/explanation/updates-and-drains.md`. With COVEY_E2E_LONG=1 each is seen in
all its forms.
"""

import os
import signal
import time

import pytest

from devcluster import look, members, nodes
from devcluster.place import address_of
from tests.support.load import Load
from tests.support.load_scene import PORT, Scene
from tests.support.managers import a_town
from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

PAUSE_MS = 60
ORDERS = ("stop-first", "start-first")
LONG = os.environ.get("COVEY_E2E_LONG") == "1"
REPLICAS = 10 if LONG else 6
_MINDER = "w1"


def nothing_lost(load: Load) -> None:
    print(f"\n{load.table()}")
    lost = load.failures()
    assert not lost, f"{len(lost)} requests were lost: {lost[:10]}\n{load.table()}"
    assert all(phase.requests for phase in load.phases())


@pytest.mark.parametrize("number", ["SIGKILL", "SIGWINCH"] if LONG else ["SIGKILL"])
def test_servers_without_manners(stand: Stand, number: str) -> None:
    """One is gone at once when it is asked to end, the other never heard of it and is killed after its grace."""
    scene = Scene(stand, REPLICAS)
    scene.begin("--stop-signal", number, "--stop-grace-period", "1s")
    with scene.load(PAUSE_MS) as load:
        for order in ORDERS:
            with load.phase(f"update, {order}, {number}"):
                scene.roll(order, lambda: None)
        with load.phase(f"scale to 4, {number}"):
            scene.covey("service", "scale", "web=4")
    nothing_lost(load)


def test_scaled_to_nothing_and_back(stand: Stand) -> None:
    """Who is connected gets all answers; who connects while there is nobody hears so at once."""
    scene = Scene(stand, REPLICAS)
    scene.begin()
    with scene.load(PAUSE_MS) as load:
        time.sleep(1)
        with load.phase("scale to 0 and back"):
            scene.covey("service", "scale", "web=0")
            time.sleep(2)
            scene.covey("service", "scale", f"web={REPLICAS}")
            scene.answer()
            time.sleep(1)
        with load.phase("again"):
            time.sleep(3)
    print(f"\n{load.table()}")
    assert not load.failures(["start", "again", "after again"])
    lost = [each for _, each in load.failures()]
    assert lost, "somebody asked while there was nobody"
    assert not [each for each in lost if each.doing not in ("resolve", "connect")], lost
    slow = [each for each in lost if each.age_ms > 1_000]
    assert not slow, f"{len(slow)} of {len(lost)} waited: {slow[:5]}"


@pytest.mark.parametrize("order", ORDERS if LONG else ORDERS[:1])
def test_a_node_whose_coveyd_dies_meanwhile(stand: Stand, order: str) -> None:
    """Its agent goes on without. The next coveyd starts another, and another DNS server: for a moment, none answers."""
    scene = Scene(stand, REPLICAS)
    scene.begin()

    def die() -> None:
        killed(stand, "node")
        time.sleep(3)
        nodes.boot(stand.place, _MINDER)

    with scene.load(PAUSE_MS) as load, load.phase(f"update, {order}, without coveyd"):
        scene.roll(order, die)
    print(f"\n{load.table()}")
    named = (f"a container on {_MINDER}", "resolve")
    lost = [(source, each) for source, each in load.failures() if (source, each.doing) != named]
    assert not lost, f"{len(lost)} requests were lost: {lost[:10]}"


@pytest.mark.parametrize("order", ORDERS if LONG else ORDERS[1:])
def test_a_node_whose_agent_dies_meanwhile(stand: Stand, order: str) -> None:
    """Its coveyd starts another at once, which tells in time what the node follows."""
    scene = Scene(stand, REPLICAS)
    scene.begin()
    with scene.load(PAUSE_MS) as load, load.phase(f"update, {order}, agent killed"):
        scene.roll(order, lambda: killed(stand, "agent"))
    nothing_lost(load)


def test_a_node_that_nobody_minds_for_long(stand: Stand) -> None:
    """It still sends to tasks that are gone elsewhere; what is connected goes on, and nobody else loses anything."""
    scene = Scene(stand, REPLICAS)
    scene.begin()

    def die() -> None:
        killed(stand, "node", "agent", "agent.dns")
        time.sleep(6)
        nodes.boot(stand.place, _MINDER)
        nodes.wait_for_answer(stand.place, _MINDER)

    with scene.load(PAUSE_MS) as load:
        with load.phase("update, a node without coveyd and agent"):
            scene.roll("start-first", die)
            scene.answer()
            time.sleep(1)
        with load.phase("again"):
            time.sleep(3)
    print(f"\n{load.table()}")
    assert not load.failures(["again", "after again"])
    here = {f"a container on {_MINDER}", f"{address_of(_MINDER)}:{PORT}"}
    elsewhere = [(source, each) for source, each in load.failures() if not {source, each.target} & here]
    assert not elsewhere, elsewhere
    broken = [each for _, each in load.failures() if each.number > 1]
    assert not broken, f"connections that had answered broke: {broken}"


def killed(stand: Stand, *modules: str) -> None:
    """Kill these processes of the node's as a crash would, coveyd first, lest it start others."""
    for module in modules:
        for pid in members.processes_of_module(stand.place, _MINDER, module):
            os.kill(pid, signal.SIGKILL)


def test_another_manager_leads_meanwhile() -> None:
    with a_town("nrl", managers=3, workers=0) as town:
        scene = Scene(town, REPLICAS)
        scene.begin()
        with scene.load(PAUSE_MS) as load:
            for order in ORDERS:
                before = look.status(town.place).term
                with load.phase(f"update, {order}, the leader dies"):
                    scene.roll(order, lambda: town.kill_manager(town.leader()))
                assert look.status(town.place).term > before, "there was an election"
        nothing_lost(load)
