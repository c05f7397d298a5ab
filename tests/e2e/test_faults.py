"""Nodes that lose their power or their link: who runs what meanwhile, and that all comes right again."""

import time
from functools import partial

import pytest

from devcluster import look, nodes
from devcluster.fabric import Fabric
from tests.support import traces
from tests.support.prober import addresses_of, asked_by_name, web_and_clients
from tests.support.stand import ANSWER, Stand
from tests.support.traces import Process

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

PORT = 8080
REPLICAS = 6


def create_web(stand: Stand) -> None:
    web_and_clients(stand, REPLICAS, PORT)


def client(stand: Stand, node: str) -> Process | None:
    """The client's container on a node, if it has come up."""
    there = traces.containers(stand.place, node)
    return next((there[t.id] for t in stand.running("client") if t.node == node and t.id in there), None)


def living(stand: Stand) -> int:
    """How many of the service's containers live on all nodes, whatever anybody thinks."""
    ours = {task.id for task in stand.tasks("web")}
    return len(ours & traces.all_containers(stand.place, stand.asked.nodes).keys())


def names_lead_to_the_living(stand: Stand, node: str) -> bool:
    """Whether a container on the node finds all of the service's tasks, and each answers."""
    asking = client(stand, node)
    if asking is None:
        return False
    found = addresses_of(asking, "tasks.web")
    return len(found) == REPLICAS and all(
        ANSWER.search(asked_by_name(asking, f"http://{address}/")) for address in found
    )


def all_is_well(stand: Stand) -> None:
    stand.until("the nodes", lambda: look.ready(stand.place) == set(stand.asked.nodes))
    stand.until(f"{REPLICAS} tasks", lambda: len(stand.running("web")) == REPLICAS == living(stand))
    for node in stand.asked.nodes:
        stand.until(f"the port of {node}", partial(stand.answers, node, PORT))
        stand.until(f"names on {node}", partial(names_lead_to_the_living, stand, node))


def moved_from(stand: Stand, *lost: str) -> bool:
    spread = stand.spread("web")
    return sum(spread.values()) == REPLICAS and not set(lost) & spread.keys()


def test_a_worker_whose_link_is_cut_and_healed(stand: Stand) -> None:
    create_web(stand)
    Fabric(stand.place).cut("w1")
    cut_off = traces.containers(stand.place, "w1")
    stand.until("tasks elsewhere", lambda: moved_from(stand, "w1"))
    stand.until("names of the living", lambda: names_lead_to_the_living(stand, "m1"))
    assert all(process.lives for process in cut_off.values()), "what is cut off goes on"
    Fabric(stand.place).heal("w1")
    stand.until("the end of what was replaced", lambda: not any(p.lives for p in cut_off.values()))
    all_is_well(stand)


def test_a_manager_whose_link_is_cut_and_healed(stand: Stand) -> None:
    create_web(stand)
    Fabric(stand.place).cut("m1")
    stand.until("tasks on m1", lambda: moved_from(stand, "w1", "w2"))
    Fabric(stand.place).heal("m1")
    all_is_well(stand)


def test_a_worker_without_power_and_its_boot(stand: Stand) -> None:
    create_web(stand)
    lost = {task.id for task in stand.running("web") if task.node == "w1"}
    nodes.power_loss(stand.place, "w1")
    stand.until("tasks elsewhere", lambda: moved_from(stand, "w1"))
    nodes.boot(stand.place, "w1")
    stand.until("the nodes", lambda: look.ready(stand.place) == set(stand.asked.nodes))
    all_is_well(stand)
    standing = "\n".join(each for each in traces.remains(stand.place, "w1") if not each.startswith("file"))
    assert not [id for id in lost if id in standing], "what was replaced is gone"
    stand.covey("service", "scale", f"web={REPLICAS + 3}")
    assert stand.spread("web")["w1"] == 3


def test_a_manager_without_power_and_its_boot(stand: Stand) -> None:
    create_web(stand)
    stand.covey("service", "create", "-d", "--name", "last", "--replicas", "0", f"{stand.web}:1")
    before = traces.all_containers(stand.place, ["w1", "w2"])
    assert before
    nodes.power_loss(stand.place, "m1")
    time.sleep(4)  # longer than a node may be silent
    nodes.boot(stand.place, "m1")
    nodes.wait_for_answer(stand.place, "m1")
    stand.until("the nodes", lambda: look.ready(stand.place) == set(stand.asked.nodes))
    assert look.services(stand.place) == {"web", "client", "last"}
    all_is_well(stand)
    assert all(process.lives for process in before.values()), "the workers worked on"


def test_the_whole_cluster_without_power(stand: Stand) -> None:
    create_web(stand)
    for node in stand.asked.nodes:
        nodes.power_loss(stand.place, node)
    stand.power_on()
    all_is_well(stand)
