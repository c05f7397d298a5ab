"""Nodes, managers and agents that die: services go on, and nothing acknowledged is lost."""

from functools import partial

import pytest

from devcluster import cgroups, look, members, nodes
from devcluster.fabric import Fabric
from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


def create(stand: Stand, name: str = "web", replicas: int = 6, *more: str) -> None:
    stand.covey("service", "create", "--name", name, "--replicas", str(replicas), *more, f"{stand.web}:1")
    stand.until(f"{replicas} running tasks", lambda: len(stand.running(name)) == replicas)


def containers(stand: Stand, node: str) -> set[int]:
    return cgroups.processes(f"{stand.place.cgroup(node)}/{members.tasks_group}")


def test_a_node_without_power(stand: Stand) -> None:
    create(stand, "web", 6, "--publish", "8080:80")
    nodes.power_loss(stand.place, "w1")
    stand.until(
        "6 tasks elsewhere",
        lambda: set(stand.spread("web")) == {"m1", "w2"} and len(stand.running("web")) == 6,
    )
    stand.until("the port of the others", lambda: stand.answers("m1", 8080) and stand.answers("w2", 8080))

    nodes.boot(stand.place, "w1")
    stand.until("w1 to be ready", lambda: "w1" in look.ready(stand.place))
    stand.until("the port of w1", lambda: stand.answers("w1", 8080))
    stand.covey("service", "scale", "web=9")
    stand.until("w1 to take tasks", lambda: stand.spread("web")["w1"] == 3)


def test_a_node_that_is_cut_off(stand: Stand) -> None:
    create(stand)
    Fabric(stand.place).cut("w1")
    stand.until(
        "6 tasks elsewhere",
        lambda: set(stand.spread("web")) == {"m1", "w2"} and len(stand.running("web")) == 6,
    )
    Fabric(stand.place).heal("w1")
    stand.until("w1's own tasks to end", lambda: not containers(stand, "w1"))


def test_a_killed_agent_finds_its_containers_again(stand: Stand) -> None:
    create(stand, "web", 6, "--publish", "8080:80")
    before, tasks = containers(stand, "w1"), {task.id for task in stand.running("web")}
    for _ in range(3):
        nodes.kill_process(stand.place, "w1", "agent")
        assert containers(stand, "w1") == before
        stand.until("the agent", lambda: members.processes_of_module(stand.place, "w1", "agent"))
    stand.until("w1 to be ready", lambda: look.ready(stand.place) == set(stand.asked.nodes))
    assert containers(stand, "w1") == before
    assert {task.id for task in stand.running("web")} == tasks
    stand.until("the port of w1", lambda: stand.answers("w1", 8080))


def test_a_killed_manager_has_all_it_acknowledged(stand: Stand) -> None:
    create(stand)
    tasks = {task.id for task in stand.running("web")}
    for number in range(5):
        stand.covey("service", "create", "-d", "--name", f"s{number}", "--replicas", "0", f"{stand.web}:1")
        nodes.kill_process(stand.place, "m1", "manager")
        stand.until("the manager", lambda: look.ready(stand.place))
    assert look.services(stand.place) == {
        "web",
        *(f"s{n}" for n in range(5)),
    }
    stand.until("the same tasks to run", lambda: {task.id for task in stand.running("web")} == tasks)
    assert len(stand.tasks("web")) == len(tasks), "no task was replaced"


def test_the_whole_cluster_without_power(stand: Stand) -> None:
    create(stand, "web", 6, "--publish", "8080:80")
    for node in stand.asked.nodes:
        nodes.power_loss(stand.place, node)
    stand.power_on()
    stand.until("6 running tasks", lambda: len(stand.running("web")) == 6)
    for node in stand.asked.nodes:
        stand.until(f"the port of {node}", partial(stand.answers, node, 8080))
