"""Processes killed at random moments, again and again, while services are made, used and removed.

The seed is in each test's name. With COVEY_E2E_LONG=1 there are ten times as many kills, and new seeds.
"""

import os
import signal
import time
from collections.abc import Callable
from random import Random

import pytest

from covey.client.host import Host
from covey.errors import CoveyError
from devcluster import look, members, nodes
from tests.support import traces
from tests.support.ledger import Writer, numbers
from tests.support.prober import Prober, addresses_of, asked_by_name, web_and_clients
from tests.support.stand import ANSWER, Stand
from tests.support.traces import Process

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]

LONG = os.environ.get("COVEY_E2E_LONG") == "1"
KILLS = 60 if LONG else 6
SEEDS = [time.time_ns() % 1_000_000] if LONG else [1]
PORT = 8080


def create_web(stand: Stand) -> None:
    web_and_clients(stand, replicas=3, port=PORT)


def of_service(stand: Stand, service: str) -> dict[str, Process]:
    """The containers of a service, by their tasks."""
    there = traces.all_containers(stand.place, stand.asked.nodes)
    found = {task.id: there[task.id] for task in stand.running(service)}
    assert found
    return found


def clients(stand: Stand) -> dict[str, Process]:
    there = traces.all_containers(stand.place, stand.asked.nodes)
    return {task.node: there[task.id] for task in stand.running("client")}


def exactly_what_should_run(stand: Stand) -> bool:
    """Whether on all nodes together just the containers live that are meant to."""
    wanted = {task.id for service in look.services(stand.place) for task in stand.running(service)}
    desired = sum(int(str(row["desired"])) for row in stand.rows("service", "ls"))
    return len(wanted) == desired and wanted == set(traces.all_containers(stand.place, stand.asked.nodes))


def killed(stand: Stand, node: str, module: str, number: signal.Signals = signal.SIGKILL) -> None:
    for pid in members.processes_of_module(stand.place, node, module):
        os.kill(pid, number)


@pytest.mark.parametrize("seed", SEEDS)
def test_managers_die_while_services_are_made_and_removed(stand: Stand, seed: int) -> None:
    dice, host = Random(seed), Host(stand.place.socket("m1"))
    create_web(stand)
    before = of_service(stand, "web") | of_service(stand, "client")
    with Writer(host, f"{stand.web}:1", seed) as writer:
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.2, 2.0))
            killed(stand, "m1", "manager")
            stand.until("the manager", lambda: look.ready(stand.place))
    assert not writer.book.differences(numbers(host)), "what was acknowledged is there, and nothing else"
    assert writer.book.acknowledged > KILLS
    stand.until("the nodes", lambda: look.ready(stand.place) == set(stand.asked.nodes))
    stand.until("just what should run", lambda: exactly_what_should_run(stand))
    assert of_service(stand, "web") | of_service(stand, "client") == before, "the same processes"


@pytest.mark.parametrize("seed", SEEDS)
def test_agents_die_while_a_service_comes_and_goes(stand: Stand, seed: int) -> None:
    dice = Random(seed)
    create_web(stand)
    before = of_service(stand, "web") | of_service(stand, "client")

    def change() -> None:
        if "churn" not in look.services(stand.place):
            replicas = str(dice.randint(1, 5))
            stand.covey(
                "service", "create", "-d", "--name", "churn", "--network", "net1", "--replicas", replicas, stand.tools
            )  # fmt: skip
        elif dice.random() < 0.5:
            stand.covey("service", "scale", "-d", f"churn={dice.randint(0, 6)}")
        else:
            stand.covey("service", "rm", "churn")

    with Prober(stand, clients(stand), PORT) as prober:
        for _ in range(2 * KILLS):
            attempt(change)
            time.sleep(dice.uniform(0, 0.8))
            killed(stand, dice.choice(stand.asked.nodes), "agent")
            attempt(change)
            time.sleep(dice.uniform(0, 1.5))
        stand.until("the nodes", lambda: look.ready(stand.place) == set(stand.asked.nodes))
    assert not prober.failures
    assert prober.answers > 10 * KILLS
    stand.until("just what should run", lambda: exactly_what_should_run(stand))
    assert of_service(stand, "web") | of_service(stand, "client") == before, "the same processes"


def attempt(change: Callable[[], None]) -> None:
    try:
        change()
    except CoveyError as error:  # what is still going cannot be changed
        print(error)


def test_an_end_that_no_agent_saw_is_reported_by_the_next(stand: Stand) -> None:
    create_web(stand)
    victim = next(task for task in stand.running("web") if task.node == "w1")
    process = traces.containers(stand.place, "w1")[victim.id]
    nodes.kill_process(stand.place, "w1", "agent")
    os.kill(process.pid, signal.SIGKILL)

    def reported() -> bool:
        return any(task.id == victim.id and "exit code 137" in task.error for task in stand.tasks("web"))

    stand.until("the end's report", reported)
    stand.until("another task", lambda: len(stand.running("web")) == 3)


def test_names_are_back_soon_after_the_dns_server_died(stand: Stand) -> None:
    create_web(stand)
    client = clients(stand)["w1"]
    known = addresses_of(client, "tasks.web")
    assert len(known) == 3
    for _ in range(3):
        killed(stand, "w1", "agent.dns")
        stand.until("names", lambda: ANSWER.search(asked_by_name(client)))
        stand.until("all addresses", lambda: addresses_of(client, "tasks.web") == known)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_containers_go_on_without_coveyd(stand: Stand, number: signal.Signals) -> None:
    create_web(stand)
    before, asking = of_service(stand, "web") | of_service(stand, "client"), clients(stand)
    for node in stand.asked.nodes:
        killed(stand, node, "node", number)
        stand.until(f"the end of {node}'s coveyd", lambda node=node: not nodes.coveyd_runs(stand.place, node))  # type: ignore[misc]
        assert all(process.lives for process in before.values())
        assert stand.answers(node, PORT)
        assert ANSWER.search(asked_by_name(asking[node]))  # the DNS server stays with its containers
        if number is signal.SIGTERM:  # of a dead coveyd, the others run on as well
            modules = ("node", "agent", "manager")
            assert not [each for each in modules if members.processes_of_module(stand.place, node, each)]
        nodes.boot(stand.place, node)
        nodes.wait_for_answer(stand.place, node)
        stand.until("the nodes", lambda: look.ready(stand.place) == set(stand.asked.nodes))
        stand.until("names", lambda node=node: ANSWER.search(asked_by_name(asking[node])))  # type: ignore[misc]
        assert stand.answers(node, PORT)
    assert of_service(stand, "web") | of_service(stand, "client") == before
