"""Three managers as one: who leads, what a manager's death costs, and how managers come and go."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from covey.client.host import Host
from covey.client.views import Reachability
from covey.model.states import NodeRole, NodeState
from devcluster import look, members, nodes
from devcluster.fabric import Fabric
from devcluster.place import address_of
from tests.support import traces
from tests.support.ledger import Writer, numbers
from tests.support.managers import MANAGERS, Town, a_town

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

PORT = 8080


@pytest.fixture(scope="module")
def module_town() -> Iterator[Town]:
    with a_town("g") as town:
        yield town


@pytest.fixture
def town(module_town: Town) -> Iterator[Town]:
    module_town.whole()
    yield module_town
    module_town.whole()


def create_web(town: Town, replicas: int = 4) -> None:
    town.covey(
        "service", "create", "--name", "web", "--replicas", str(replicas), "--publish", f"{PORT}:80", f"{town.web}:1"
    )  # fmt: skip
    town.until(f"{replicas} tasks", lambda: len(town.running("web")) == replicas)


def test_people_see_who_leads_and_who_answers(town: Town) -> None:
    leader = town.leader()
    town.until("all to vote and answer", lambda: _all_answer(town))
    for node in MANAGERS:
        shown = town.covey("node", "ls", node=node)
        assert [line for line in shown.splitlines() if " Leader " in line and f" {leader} " in line], shown
        assert shown.count(" Reachable ") == 2, shown
        told = town.status(node)
        assert told["has_quorum"]
        assert not told["advice"]
    nodes.power_loss(town.place, town.followers()[0])
    town.until("a manager to be missed", lambda: " Unreachable " in town.covey("node", "ls", node=leader))
    assert town.status(leader)["has_quorum"]
    assert town.status(leader)["advice"]


def test_a_worker_is_promoted_and_demoted_while_its_containers_run_on(town: Town) -> None:
    create_web(town)
    before = town.processes("web")
    assert "w1 is now a manager" in town.covey("node", "promote", "w1", bound_s=120)
    town.until_these_vote({*MANAGERS, "w1"})
    assert look.services(town.place, "w1") == {"web"}
    assert town.covey("node", "ls", "-q", node="w1") == town.covey("node", "ls", "-q", node="m1")
    assert "w1 is a manager already" in town.covey("node", "promote", "w1")
    assert "w1 is now a worker" in town.covey("node", "demote", "w1", node="m2", bound_s=120)
    town.until_these_vote(set(MANAGERS))
    town.until(
        "the end of w1's manager", lambda: not members.processes_of_module(town.place, "w1", "manager")
    )
    town.until("w1 to forget", lambda: not (town.place.state("w1") / "manager").exists())
    assert "not a manager" in town.refused("node", "ls", node="w1")
    assert town.processes("web") == before


def test_a_leader_that_demotes_itself_hands_over(town: Town) -> None:
    leader = town.leader()
    assert f"{leader} is now a worker" in town.covey("node", "demote", leader, node=leader, bound_s=120)
    assert town.leader() != leader
    town.until_these_vote(set(MANAGERS) - {leader})
    town.covey("node", "promote", leader, bound_s=120)
    town.until_these_vote(set(MANAGERS))


@pytest.mark.parametrize("how", ["kill -9", "power loss", "its link", "stalled"])
def test_a_leaders_death_disturbs_no_container_and_loses_no_write(town: Town, how: str) -> None:
    create_web(town)
    leader = town.leader()
    other = town.followers()[0]
    before = {id: process for id, process in town.processes("web").items() if _node_of(town, id) != leader}
    with Writer(Host(town.place.socket(other)), f"{town.web}:1", seed=1, replicas_max=0) as writer:
        _until_acknowledged(town, writer, 5)
        began = time.monotonic()
        _strike(town, leader, how)
        _until_acknowledged(town, writer, writer.book.acknowledged + 3)
        print(f"{how}: three writes more after {time.monotonic() - began:.2f} s")
        town.until(
            "a new leader", lambda: look.leader(town.place, other) not in ("", leader) or how == "kill -9"
        )
    assert not writer.book.differences(numbers(Host(town.place.socket(other))))
    there = traces.all_containers(town.place, town.asked.nodes)
    assert {id: there.get(id) for id in before} == before, "the same processes"
    for node in ("w1", other):
        town.until(f"the port of {node}", lambda node=node: town.answers(node, PORT))  # type: ignore[misc]
    nodes.resume(town.place, leader)
    Fabric(town.place).heal(leader) if how == "its link" else None
    town.power_on()
    town.until("all to vote and answer", lambda: _all_answer(town))
    town.until("four tasks", lambda: len(town.running("web")) == 4)
    there = traces.all_containers(town.place, town.asked.nodes)
    assert {id: there.get(id) for id in before} == before, "and no task was started anew"


def _node_of(town: Town, task_id: str) -> str:
    return next(task.node for task in town.tasks("web") if task.id == task_id)


def _strike(town: Town, node: str, how: str) -> None:
    match how:
        case "kill -9":
            town.kill_manager(node)
        case "power loss":
            nodes.power_loss(town.place, node)
        case "its link":
            Fabric(town.place).cut(node)
        case _:
            nodes.pause(town.place, node)


def _until_acknowledged(town: Town, writer: Writer, number: int) -> None:
    town.until(f"{number} writes", lambda: writer.book.acknowledged >= number)


def _all_answer(town: Town) -> bool:
    told = town.managers()
    return set(told) == set(MANAGERS) and all(
        each.voter and each.reachability is Reachability.REACHABLE for each in told.values()
    )


def test_no_status_is_lost_while_nobody_leads(town: Town) -> None:
    create_web(town)
    victim = next(task for task in town.running("web") if task.node == "w1")
    process = town.processes("web")[victim.id]
    for node in MANAGERS:
        nodes.pause(town.place, node, "manager")
    os.kill(process.pid, signal.SIGKILL)
    time.sleep(4)  # longer than a manager may be silent
    for node in MANAGERS:
        nodes.resume(town.place, node)

    def reported() -> bool:
        return any(task.id == victim.id and "exit code 137" in task.error for task in town.tasks("web"))

    town.until("the end's report", reported)
    town.until("another task", lambda: len(town.running("web")) == 4)


def test_nodes_stay_ready_when_managers_take_turns(town: Town) -> None:
    create_web(town)
    before = town.processes("web")
    for _ in range(4):
        leader = town.leader()
        town.kill_manager(leader)
        town.until("a leader that writes", town.writes)
        states = {row["description"]["hostname"]: row["status"]["state"] for row in town.rows("node", "ls")}  # type: ignore[index]
        assert NodeState.DOWN.name.lower() not in states.values(), states
    town.until("the nodes", lambda: look.ready(town.place) == set(town.asked.nodes))
    assert town.processes("web") == before


def test_a_manager_that_lost_its_disk_comes_back_as_another_member(town: Town) -> None:
    victim = town.followers()[0]
    before = town.managers()[victim].raft_id
    nodes.power_loss(town.place, victim)
    town.wipe(victim, "manager")
    assert town.writes()
    town.power_on()
    town.until("it to vote again", lambda: _all_answer(town) and town.managers()[victim].raft_id != before)
    assert "probe" in look.services(town.place, victim)


def test_a_manager_leaves_and_the_group_shrinks_first(town: Town) -> None:
    victim = town.followers()[0]
    token = town.covey("join-token", "-q", "manager").strip()
    assert "left the cluster" in town.covey("leave", node=victim, bound_s=120)
    rest = set(MANAGERS) - {victim}
    town.until_these_vote(rest)
    assert not (town.place.state(victim) / "manager").exists()
    assert town.writes()
    town.until(
        "the node to be down",
        lambda: {row["status"]["state"] for row in town.rows("node", "inspect", victim)} == {"down"},  # type: ignore[index]
    )
    town.covey("node", "rm", victim)
    said = town.covey(
        "join", "--token", token, "--advertise-addr", address_of(victim), address_of(min(rest)),
        node=victim, bound_s=120,
    )  # fmt: skip
    assert "joined a cluster as a manager" in said
    town.until_these_vote(set(MANAGERS))


def test_a_managers_address_is_changed(town: Town) -> None:
    victim = town.followers()[0]
    old, new = address_of(victim), "10.77.1.99"
    town.has_address(victim, new)
    try:
        said = town.covey("node", "set-address", "--advertise-addr", new, node=victim, bound_s=120)
        assert new in said
        town.has_address(victim, new, old)
        town.until(
            "the others to know", lambda: _all_answer(town) and _address(town, victim) == f"{new}:2377"
        )
        leader = town.leader()
        third = next(node for node in MANAGERS if node not in (victim, leader))
        nodes.power_loss(town.place, third)
        town.until("a write with the one that moved", town.writes)
        town.until("agents to know", lambda: f"{new}:2377" in town.covey("info", node="w1"))
    finally:
        town.has_address(victim, old)
        town.covey("node", "set-address", "--advertise-addr", old, node=victim, bound_s=120)
        town.has_address(victim, old, new)
        # Connections from an address that is gone break only after a while.
        town.until("writes through it", lambda: town.writes(victim))


def _address(town: Town, node: str) -> str:
    return town.managers()[node].address


def test_every_manager_takes_every_command(town: Town) -> None:
    for number, node in enumerate(MANAGERS):
        says = ("sh", "-c", f"echo hello from {number}; exec idle")
        town.covey("service", "create", "--name", f"web{number}", town.tools, *says, node=node)
    for node in MANAGERS:
        assert look.services(town.place, node) == {"web0", "web1", "web2"}
        assert "web0.1" in town.covey("service", "ps", "web0", node=node)
        town.until(
            "what it wrote",
            lambda node=node: "hello from 0" in town.covey("service", "logs", "web0", node=node),
        )  # type: ignore[misc]
    assert town.roles() == {"w1": NodeRole.WORKER, **dict.fromkeys(MANAGERS, NodeRole.MANAGER)}
