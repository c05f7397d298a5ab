"""A dev cluster that tests stand on, used by what any user would type."""

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from covey.errors import CoveyError
from devcluster import cluster, look, members, nodes
from devcluster.fabric import Fabric
from devcluster.look import TaskLine
from devcluster.place import OUTSIDE, Place, address_of, ipv6_of
from devcluster.record import Record
from tests.support import traces

Row = dict[str, object]
ANSWER = re.compile(r"version=(\S+) task=(\S+) node=(\S+) client=(\S+)")
BOUND_S = 60.0


@dataclass
class Stand:
    """A dev cluster, and the questions that tests ask it."""

    place: Place
    asked: Record

    @property
    def web(self) -> str:
        return f"{self.place.registry}/demo/web"

    @property
    def tools(self) -> str:
        return f"{self.place.registry}/demo/tools:1"

    def covey(self, *arguments: str, node: str = "", bound_s: float = BOUND_S) -> str:
        """What a command prints; without a node, on the first one whose manager listens."""
        node = node or next(iter(look.managing(self.place)), "m1")
        return cluster.covey(self.place, node, *arguments, bound_s=bound_s)

    def refused(self, *arguments: str, node: str = "") -> str:
        """The words with which a command is refused."""
        with pytest.raises(CoveyError) as refused:
            self.covey(*arguments, node=node)
        return str(refused.value)

    def rows(self, *arguments: str) -> list[Row]:
        return list(json.loads(self.covey(*arguments, "--format", "json")))

    def tasks(self, service: str) -> list[TaskLine]:
        return look.tasks(self.place, service)

    def running(self, service: str) -> list[TaskLine]:
        return look.running(self.place, service)

    def spread(self, service: str) -> Counter[str]:
        return Counter(task.node for task in self.running(service))

    def exec(self, member: str, *program: str) -> str:
        """What a program prints in a member's network; empty if it fails."""
        argv, variables = cluster.inside(self.place, member, program)
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=30, check=False, env=os.environ | variables
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def curl(self, node: str, port: int, member: str = OUTSIDE, *, ipv6: bool = False) -> str:
        host = f"[{ipv6_of(node)}]" if ipv6 else address_of(node)
        return self.exec(member, "curl", "-s", "-g", "--max-time", "3", f"http://{host}:{port}/")

    def answers(self, node: str, port: int, *, ipv6: bool = False) -> bool:
        return bool(ANSWER.search(self.curl(node, port, ipv6=ipv6)))

    def until(self, what: str, seen: Callable[[], object], bound_s: float = BOUND_S) -> None:
        deadline = time.monotonic() + bound_s
        while not seen():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {bound_s:g} s in vain for {what}\n{self.words()}")
            time.sleep(0.1)

    def remains(self) -> list[str]:
        """All that stands on the nodes because of tasks."""
        return [f"{node}: {each}" for node in self.asked.nodes for each in traces.remains(self.place, node)]

    def words(self) -> str:
        """The end of each node's log."""
        return "\n".join(
            f"--- {node}\n{members.last_words(self.place, node, 30)}" for node in self.asked.nodes
        )

    def power_on(self) -> None:
        """Every node up, healed and ready, whatever the test before did."""
        for node in self.asked.nodes:
            nodes.boot(self.place, node)
            Fabric(self.place).heal(node)
        for node in self.asked.nodes:
            nodes.wait_for_answer(self.place, node)
        self.until("all nodes ready", lambda: look.ready(self.place) >= set(self.asked.nodes))

    def sweep(self) -> None:
        """No services and no networks of a test before."""
        for service in look.services(self.place):
            self.covey("service", "rm", service)
        self.until("all networks to go", self._no_network)

    def replace_ingress(self, *options: str) -> None:
        """Have another ingress network, while no service publishes ports."""

        def made() -> bool:
            with suppress(CoveyError):  # until the old one has gone
                self.covey("network", "create", "--ingress", *options, "ingress")
                return True
            return False

        self.covey("network", "rm", "-f", "ingress")
        self.until("the old ingress network to go", made)

    def _no_network(self) -> bool:
        """Have every network go that may; one that others have their settings from may after those."""
        for network in look.networks(self.place):
            with suppress(CoveyError):
                self.covey("network", "rm", network)
        return not look.networks(self.place)
