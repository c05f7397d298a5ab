"""When a majority of managers is lost: what is said, what goes on, and how everything comes back."""

from collections.abc import Iterator
from copy import deepcopy

import pytest

from covey.client.host import Host
from covey.model.states import NodeRole
from devcluster import look, nodes
from devcluster.place import address_of
from tests.support import traces
from tests.support.ledger import Writer, numbers
from tests.support.managers import MANAGERS, Town, a_town

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

REPLICAS = 4


@pytest.fixture
def town() -> Iterator[Town]:
    """A cluster of its own for each test: none of them leaves it as it was."""
    with a_town("q") as made:
        made.covey("service", "create", "--name", "web", "--replicas", str(REPLICAS), f"{made.web}:1")
        yield made


def test_two_of_three_lost_and_the_third_goes_on_alone(town: Town) -> None:
    survivor = town.followers()[0]
    lost = [node for node in MANAGERS if node != survivor]
    there = {id: process for id, process in town.processes("web").items() if _node_of(town, id) not in lost}
    for node in lost:
        nodes.power_loss(town.place, node)

    town.until("the loss to be noticed", lambda: not town.status(survivor)["has_quorum"])
    said = town.refused("service", "scale", "-d", "web=6", node=survivor)
    assert "covey cluster status" in said
    assert "covey cluster status" in town.refused("node", "ls", node=survivor)
    assert "web" in town.covey("service", "ls", "--stale", node=survivor)
    advice = " ".join(map(str, town.status(survivor)["advice"]))  # type: ignore[call-overload]
    assert all(node in advice for node in lost), advice
    assert "--force-new-cluster" in advice
    assert "majority" in town.refused("leave", node=survivor)
    assert all(process.lives for process in there.values()), "containers run on"

    said = town.covey("init", "--force-new-cluster", node=survivor, bound_s=120)
    assert "only manager" in said
    told = town.status(survivor)
    assert told["has_quorum"]
    assert told["epoch"] > 1, told  # type: ignore[operator]
    assert look.services(town.place, survivor) == {"web"}
    town.until("agents to follow", lambda: look.ready(town.place, survivor) >= {survivor, "w1"})
    town.until("tasks elsewhere", lambda: set(town.spread("web")) == {survivor, "w1"} and _all_run(town))
    assert all(process.lives for process in there.values()), "and still run on"
    town.covey("service", "scale", "web=6", node=survivor)

    assert "only manager" in town.refused("leave", node=survivor)
    assert "last" in town.refused("node", "demote", survivor, node=survivor)

    for node in lost:
        nodes.boot(town.place, node)
    town.until("the lost ones to be workers", lambda: set(look.managing(town.place)) == {survivor})
    town.until("all nodes", lambda: look.ready(town.place, survivor) == set(town.asked.nodes))
    assert town.roles()[lost[0]] is NodeRole.WORKER
    town.covey("node", "promote", *lost, node=survivor, bound_s=240)
    town.until_these_vote(set(MANAGERS))
    assert look.services(town.place, lost[0]) == {"web"}
    assert town.writes()


def test_a_quorum_that_comes_back_needs_no_help(town: Town) -> None:
    before = town.processes("web")
    lost = town.followers()
    for node in lost:
        nodes.power_loss(town.place, node)
    survivor = next(node for node in MANAGERS if node not in lost)
    town.until("the loss to be noticed", lambda: not town.status(survivor)["has_quorum"])
    for node in lost:
        nodes.boot(town.place, node)
    town.until("a write", town.writes)
    town.until("all nodes", lambda: look.ready(town.place) == set(town.asked.nodes))
    town.until("all tasks", lambda: _all_run(town))
    kept = {id for id, process in before.items() if process.lives}
    assert kept <= {task.id for task in town.running("web")}, "what had lived on was kept"


def test_backup_while_writes_go_on_and_restore_on_another_machine(town: Town) -> None:
    host = Host(town.place.socket("m1"))
    file = town.place.root / "backup"
    with Writer(host, f"{town.web}:1", seed=3, replicas_max=0) as writer:
        town.until("some writes", lambda: writer.book.acknowledged > 10)
        said = town.covey("cluster", "backup", str(file), node="m1")
        assert "keys" in said
        early = town.place.root / "early"
        early.write_bytes(file.read_bytes())
        with writer.pause():  # so that we know what must be in the next one
            said = town.covey("cluster", "backup", str(file), node="m1")
            book = deepcopy(writer.book)
        assert file.read_bytes() != early.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    ours = {id: process for id, process in town.processes("web").items() if _node_of(town, id) == "w1"}
    for node in MANAGERS:
        nodes.power_loss(town.place, node)
    for path in town.place.state("m1").iterdir():  # another machine, at the address of the first
        if path.name != "images":
            town.wipe("m1", path.name) if path.is_dir() else path.unlink()
    nodes.boot(town.place, "m1")
    nodes.wait_for_answer(town.place, "m1")

    damaged = town.place.root / "damaged"
    damaged.write_bytes(file.read_bytes()[:-100])
    assert "cut short or damaged" in town.refused("cluster", "restore", str(damaged), node="m1")
    assert "cannot be read" in town.refused("cluster", "restore", "/nowhere", node="m1")
    advertise = ("--advertise-addr", address_of("m1"))
    said = town.covey("cluster", "restore", *advertise, str(file), node="m1", bound_s=120)
    assert "is back" in said
    assert town.status("m1")["has_quorum"]
    assert town.status("m1")["epoch"] > 1  # type: ignore[operator]
    assert look.services(town.place, "m1") >= {"web"}
    assert not book.differences(numbers(host)), "what was so at the moment of the backup"
    town.until("the worker to follow", lambda: "w1" in look.ready(town.place, "m1"))
    town.until("all tasks", lambda: _all_run(town))
    there = traces.containers(town.place, "w1")
    assert {id: there.get(id) for id in ours} == ours, "the same processes"
    assert "already" in town.refused("cluster", "restore", str(file), node="m1")


def test_a_lonely_manager_at_a_new_address(town: Town) -> None:
    survivor, new = town.followers()[0], "10.77.1.98"
    for node in MANAGERS:
        if node != survivor:
            nodes.power_loss(town.place, node)
    town.has_address(survivor, new)
    town.covey("init", "--force-new-cluster", "--advertise-addr", new, node=survivor, bound_s=120)
    (manager,) = town.managers().values()
    assert manager.address == f"{new}:2377"
    town.until("the worker to follow", lambda: "w1" in look.ready(town.place, survivor))
    town.until("it to know where", lambda: f"{new}:2377" in town.covey("info", node="w1"))


def _all_run(town: Town) -> bool:
    return sum(town.spread("web").values()) == REPLICAS


def _node_of(town: Town, task_id: str) -> str:
    return next(task.node for task in town.tasks("web") if task.id == task_id)
