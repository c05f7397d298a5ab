"""A dev cluster of several managers, and what tests ask of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from covey.client.views import ManagerStatus
from covey.errors import FailedPrecondition, Unavailable
from covey.model.states import NodeRole
from devcluster import cluster, look, members, nodes
from devcluster.fabric import Fabric
from devcluster.place import Place
from devcluster.record import Record
from tests.support import traces
from tests.support.stand import Row, Stand
from tests.support.traces import Process

MANAGERS = ("m1", "m2", "m3")


@contextmanager
def a_town(name: str, managers: int = 3, workers: int = 1) -> Iterator["Town"]:
    """A whole cluster of its own, removed afterwards."""
    place = Place(f"{name}{os.getpid()}"[:20])
    asked = Record(managers=managers, workers=workers)
    try:
        cluster.up(place, asked, lambda _step: None)
        yield Town(place, asked)
    finally:
        cluster.down(place)


class Town(Stand):
    """The stand of a cluster with several managers."""

    def leader(self) -> str:
        """The node that leads; waits until there is one."""
        self.until("a leader", lambda: look.leader(self.place))
        return look.leader(self.place)

    def followers(self) -> list[str]:
        leader = self.leader()
        return [node for node in look.managing(self.place) if node != leader]

    def status(self, node: str = "") -> Row:
        """What `covey cluster status` says of itself, and whether its exit code says that there is a quorum."""
        node = node or look.managing(self.place)[0]
        argv = [sys.executable, "-m", "covey.cli", "cluster", "status", "--format", "json"]
        environment = os.environ | {"COVEY_HOST": f"unix://{self.place.socket(node)}"}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment, check=False)
        assert done.stdout, done.stderr
        (told,) = json.loads(done.stdout)
        assert done.returncode == (0 if told["has_quorum"] else 1)
        return dict(told)

    def managers(self) -> dict[str, ManagerStatus]:
        """The managers by name, as one that answers knows them; none while none does."""
        try:
            return {each.hostname: each for each in look.status(self.place).managers}
        except (Unavailable, FailedPrecondition):
            return {}

    def voters(self) -> set[str]:
        return {name for name, each in self.managers().items() if each.voter}

    def until_these_vote(self, wanted: set[str]) -> None:
        """Wait for exactly these voters: the manager that is asked may just be hearing of them, or of another leader."""
        self.until(f"{sorted(wanted)} to be all that vote", lambda: self.voters() == wanted)

    def roles(self) -> dict[str, NodeRole]:
        try:
            return look.roles(self.place)
        except (Unavailable, FailedPrecondition):
            return {}

    def kill_manager(self, node: str) -> None:
        """`kill -9` of a manager's process, which its coveyd starts again."""
        for pid in members.processes_of_module(self.place, node, "manager"):
            os.kill(pid, signal.SIGKILL)

    def processes(self, service: str) -> dict[str, Process]:
        """The containers of a service, by their tasks."""
        there = traces.all_containers(self.place, self.asked.nodes)
        return {task.id: there[task.id] for task in self.running(service)}

    def writes(self, node: str = "") -> bool:
        """Whether a change is accepted: a service without tasks is made, or changed."""
        try:
            if "probe" in look.services(self.place):
                label = f"at={os.urandom(4).hex()}"
                self.covey("service", "update", "-d", "--label-add", label, "probe", node=node)
            else:
                create = ("service", "create", "-d", "--name", "probe", "--replicas", "0", f"{self.web}:1")
                self.covey(*create, node=node)
        except Unavailable:
            return False
        return True

    def whole(self) -> None:
        """Everything on, healed, ready, and exactly the managers there were at first; no services."""
        for node in self.asked.nodes:
            nodes.resume(self.place, node)
        Fabric(self.place).mend()
        self.power_on()
        wanted = set(self.asked.manager_nodes)
        for node, role in self.roles().items():
            if (role is NodeRole.MANAGER) != (node in wanted):
                self.covey("node", "promote" if node in wanted else "demote", node, bound_s=120)
        self.until("all managers to vote", lambda: self.voters() == wanted)
        self.sweep()

    def has_address(self, node: str, address: str, no_more: str = "") -> None:
        """Give a node an address, and take one away. With the first of them, the kernel takes all others."""
        if no_more:
            self.exec(node, "ip", "address", "del", f"{no_more}/16", "dev", "eth0")
        self.exec(node, "ip", "address", "replace", f"{address}/16", "dev", "eth0")
        assert address in self.exec(node, "ip", "-brief", "address", "show", "eth0")

    def wipe(self, node: str, *parts: str) -> None:
        """Take a part of a disk away from a node that is off."""
        shutil.rmtree(self.place.state(node).joinpath(*parts))
