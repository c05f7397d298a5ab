"""Old managers that come back while a forced new cluster runs, and cannot hear of it at first."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from covey.model.states import NodeRole
from devcluster import look, nodes
from devcluster.fabric import Fabric
from tests.support.managers import Town, a_town

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture
def town() -> Iterator[Town]:
    with a_town("lb") as made:
        made.covey("service", "create", "--name", "web", "--replicas", "2", f"{made.web}:1")
        yield made


def has_quorum(town: Town, node: str) -> bool:
    try:
        return bool(town.status(node)["has_quorum"])
    except AssertionError:  # nobody answers there yet
        return False


def test_the_old_group_ends_once_it_hears_of_the_new_cluster(town: Town) -> None:
    alone, old = "m1", ("m2", "m3")
    assert "a majority of the managers answers" in town.refused("init", "--force-new-cluster", node=alone)
    assert town.status(alone)["epoch"] == 1
    for node in old:
        nodes.power_loss(town.place, node)
    town.covey("init", "--force-new-cluster", node=alone, bound_s=120)
    epoch = town.status(alone)["epoch"]
    town.until("the worker to follow", lambda: "w1" in look.ready(town.place, alone))

    # The old managers are a majority of the old group, and nothing tells them that it is over.
    Fabric(town.place).cut(alone)
    for node in old:
        nodes.boot(town.place, node)
    town.until("the old group to form", lambda: has_quorum(town, old[0]))
    assert town.status(old[0])["epoch"] == 1
    town.covey("service", "create", "-d", "--name", "theirs", "--replicas", "1", f"{town.web}:1", node=old[0])

    Fabric(town.place).heal(alone)
    town.until("the old managers to be workers", lambda: set(look.managing(town.place)) == {alone})
    town.until("all nodes", lambda: look.ready(town.place, alone) == set(town.asked.nodes))
    assert {node: town.roles()[node] for node in old} == dict.fromkeys(old, NodeRole.WORKER)
    told = town.status(alone)
    assert (told["epoch"], told["has_quorum"]) == (epoch, True)
    assert look.services(town.place, alone) == {"web"}, (
        "what the old group was told meanwhile is not the cluster's"
    )
    town.until("its tasks", lambda: sum(town.spread("web").values()) == 2)
    assert not any((town.place.state(node) / "manager").exists() for node in old)

    town.covey("node", "promote", *old, node=alone, bound_s=240)
    town.until_these_vote({alone, *old})


def test_going_on_alone_comes_to_its_end_whatever_is_killed(town: Town) -> None:
    alone, order = "m1", town.place.state("m1") / "manager" / "recovery.msgpack"
    for node in ("m2", "m3"):
        nodes.power_loss(town.place, node)
    town.until("the loss to be noticed", lambda: not has_quorum(town, alone))
    environment = os.environ | {"COVEY_HOST": f"unix://{town.place.socket(alone)}"}
    argv = [sys.executable, "-m", "covey.cli", "init", "--force-new-cluster"]
    with subprocess.Popen(
        argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as asking:
        for pause_s in (0.2, 0.5, 0.9):
            time.sleep(pause_s)
            town.kill_manager(alone)
        nodes.power_loss(town.place, alone)
        asking.wait(60)
    nodes.boot(town.place, alone)
    if not order.exists() and not has_quorum(town, alone):  # it had not come so far as to be ordered
        town.until("it to answer", lambda: answers(town, alone))
        if not has_quorum(town, alone):
            town.covey("init", "--force-new-cluster", node=alone, bound_s=120)
    town.until("it to go on alone", lambda: has_quorum(town, alone) and not order.exists())
    epoch = town.status(alone)["epoch"]
    assert epoch != 1
    assert set(look.managing(town.place)) == {alone}
    town.kill_manager(alone)
    town.until("it to start again", lambda: has_quorum(town, alone))
    assert town.status(alone)["epoch"] == epoch, "it rose once"
    assert look.services(town.place, alone) == {"web"}


def answers(town: Town, node: str) -> bool:
    try:
        town.status(node)
    except AssertionError:
        return False
    return True
