"""What networks hold to while tasks leave, and while no manager is there."""

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from covey.io import netns
from devcluster import look, members, nodes
from devcluster.place import OUTSIDE, address_of
from tests.support import traces
from tests.support.echoes import connects, resolved
from tests.support.holders import addresses
from tests.support.stand import Stand
from tests.support.traces import Process

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PORT = 8090
NO_MANAGER_S = 12.0  # nodes give one up after less


def containers(stand: Stand, service: str) -> list[Path]:
    """The network namespaces of a service's tasks."""
    return [stand.place.run(task.node) / "netns" / task.id for task in stand.running(service)]


def create(stand: Stand, name: str, *options: str) -> None:
    stand.covey(
        "service", "create", "-d", "--name", name, "--network", "shop", "--stop-grace-period", "5s", *options
    )


def test_no_node_gives_the_name_of_a_task_that_was_told_to_stop(stand: Stand) -> None:
    stand.covey("network", "create", "shop")
    create(stand, "web", "--replicas", "6", "--drain-time", "3s", f"{stand.web}:1")
    create(stand, "rr", "--replicas", "6", "--drain-time", "3s", "--endpoint-mode", "dnsrr", f"{stand.web}:1")
    create(stand, "client", "--mode", "global", stand.tools)
    names = ("tasks.web", "rr", "tasks.rr")
    stand.until("the clients", lambda: set(stand.spread("client")) == set(stand.asked.nodes))
    askers = containers(stand, "client")
    stand.until("all names", lambda: all(len(resolved(each, name)) == 6 for each in askers for name in names))
    processes = traces.all_containers(stand.place, stand.asked.nodes)
    tasks = {task.id: processes[task.id] for service in ("web", "rr") for task in stand.running(service)}
    known = {each for name in names for each in resolved(askers[0], name)}
    address = {
        path.name: (addresses(path) & known).pop()
        for service in ("web", "rr")
        for path in containers(stand, service)
    }

    with ThreadPoolExecutor(len(askers)) as pool, ExitStack() as connections:
        for each in address.values():  # for a task that nobody is connected to is told at once
            opened = connections.enter_context(
                netns.socket_inside(askers[0], socket.AF_INET, socket.SOCK_STREAM)
            )
            opened.connect((each, 80))
        asking = [pool.submit(ask_until_they_ended, each, names, tasks, address) for each in askers]
        stand.covey("service", "scale", "-d", "web=1", "rr=1")
        for each in asking:
            stale, early = each.result(120)
            assert not stale, "a name of a task that had ended"
            assert early == 10, "all names were gone while their tasks lived"


def ask_until_they_ended(
    asker: Path, names: tuple[str, ...], tasks: dict[str, Process], address: dict[str, str]
) -> tuple[list[str], int]:
    """Ask all along until ten of `tasks` have ended: names of ended ones, and how many lost theirs in time."""
    stale, early, deadline = list[str](), set[str](), time.monotonic() + 60
    while time.monotonic() < deadline:
        ended = {id for id, process in tasks.items() if not process.lives}
        told = {each for name in names for each in resolved(asker, name)}
        stale += [id for id in ended if address[id] in told]
        early |= {id for id in tasks if address[id] not in told and tasks[id].lives}
        if len(ended) == 10:
            return stale, len(early)
        time.sleep(0.01)
    return [*stale, "not all ended within 60 s"], len(early)


def kill(stand: Stand, module: str) -> None:
    for pid in members.processes_of_module(stand.place, "w1", module):
        os.kill(pid, signal.SIGKILL)


def test_a_node_without_managers_keeps_its_traffic(stand: Stand) -> None:
    """Also while its agent and its names' process begin anew: all they need is on the node."""
    stand.covey("network", "create", "shop")
    workers = ["--constraint", "node.role==worker", "--mode", "global"]
    create(stand, "web", *workers, "--publish", f"{PORT}:80", f"{stand.web}:1")
    create(stand, "rr", *workers, "--endpoint-mode", "dnsrr", f"{stand.web}:1")
    create(stand, "client", *workers, stand.tools)
    for service in ("web", "rr", "client"):
        stand.until(f"{service}", lambda service=service: set(stand.spread(service)) == {"w1", "w2"})  # type: ignore[misc]
    askers = containers(stand, "client")
    names = {"web": 1, "tasks.web": 2, "rr": 2}

    def traffic() -> list[str]:
        """What does not get through, by name from each container, and by port on each node."""
        lost = [
            f"{address} ({name}) from {asker.name}"
            for asker in askers
            for name, number in names.items()
            for found in [resolved(asker, name)]
            for address in (found if len(found) == number else {f"{len(found)} addresses"})
            if not connects(asker, address, 80)
        ]
        origins = [stand.place.netns(OUTSIDE), *askers]
        lost += [
            f"port of {node} from {origin.name}"
            for node in ("w1", "w2")
            for origin in origins
            if not connects(origin, address_of(node), PORT)
        ]
        return lost

    stand.until("all traffic", lambda: not traffic())
    nodes.power_loss(stand.place, "m1")
    over, rounds = time.monotonic() + NO_MANAGER_S, 0
    while time.monotonic() < over:
        assert not traffic()
        rounds += 1
        if rounds % 20 == 10:
            kill(stand, "agent")
        time.sleep(0.05)
    kill(stand, "agent.dns")

    def names_are_back() -> bool:
        try:
            return not traffic()
        except OSError:  # nobody is there to ask
            return False

    stand.until("names anew", names_are_back)
    nodes.boot(stand.place, "m1")
    stand.until("all nodes ready", lambda: look.ready(stand.place) == set(stand.asked.nodes))
    assert not traffic()
