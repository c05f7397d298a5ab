"""Whatever people and bad luck do to a cluster's services and networks, at random from a seed."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random

from covey.errors import CoveyError
from devcluster import cgroups, look, members, nodes
from devcluster.fabric import Fabric
from tests.support import traces
from tests.support.stand import Stand

BASE = ("base1", "base2")  # networks that stay
PASSING = ("pass1", "pass2", "pass3")  # networks that come and go
CLIENT = "client"  # on each node, on the networks that stay
SERVICES = tuple(f"churn{number}" for number in range(7))
PORTS = {name: 8300 + number for number, name in enumerate(SERVICES)}
_QUICK = (
    "--stop-grace-period", "2s", "--drain-time", "1s", "--restart-delay", "300ms", "--update-monitor", "500ms",
    "--rollback-monitor", "500ms", "--update-parallelism", "2",
)  # fmt: skip
_AT_FIRST = 4
_MESH = ("preserve", "masquerade", "local")


class Churn:
    """Strikes at a cluster. What is refused, or asked of a manager that is dead just then, is printed and forgotten."""

    def __init__(self, stand: Stand, seed: int) -> None:
        self.stand = stand
        self.dice = Random(seed)
        self.strikes = 0
        self._began = time.monotonic()
        self._actions: dict[str, tuple[int, Callable[[], str]]] = {
            "create": (6, self.create),
            "remove": (3, self.remove),
            "scale": (6, self.scale),
            "update": (5, self.update),
            "networks": (2, self.change_networks),
            "roll back": (1, self.roll_back),
            "create network": (3, self.create_network),
            "remove network": (3, self.remove_network),
            "availability": (2, self.drain_or_activate),
            "kill tasks": (4, self.kill_tasks),
            "kill conmon": (2, self.kill_conmon),
            "kill names": (2, partial(self.kill, "agent.dns")),
            "kill agent": (3, partial(self.kill, "agent")),
            "kill coveyd": (2, self.kill_coveyd),
            "kill manager": (2, self.kill_manager),
            "power off": (2, self.power_off),
            "cut": (2, self.cut),
            "sever": (1, self.sever),
            "heal": (3, self.heal),
        }

    def begin(self) -> None:
        """What is there in every run: the networks that stay, and a client on each node."""
        self.stand.replace_ingress(*self._families())
        for network in BASE:
            self.stand.covey("network", "create", *self._families(), network)
        networks = [word for network in BASE for word in ("--network", network)]
        self.stand.covey(
            "service",
            "create",
            "-d",
            "--name",
            CLIENT,
            "--mode",
            "global",
            *networks,
            *_QUICK,
            self.stand.tools,
        )
        for _ in range(_AT_FIRST):
            print(f"        create: {self.create()}")
        self.stand.until("the clients", lambda: set(self.stand.spread(CLIENT)) == set(self.stand.asked.nodes))

    def strike(self) -> None:
        """Do one thing at random, and wait a moment or not at all."""
        names = list(self._actions)
        name = self.dice.choices(names, [self._actions[each][0] for each in names])[0]
        self.strikes += 1
        try:
            told = self._actions[name][1]()
        except CoveyError as error:
            told = f"not done: {str(error).splitlines()[0][-160:]}"
        print(f"{time.monotonic() - self._began:7.1f} {name}: {told}", flush=True)
        time.sleep(self.dice.choice((0, 0, 0.2, 0.5, 1.5)))

    def make_whole(self) -> None:
        """Everything on, healed and open to tasks, and updates going on that paused when tasks failed."""
        Fabric(self.stand.place).mend()
        self.stand.power_on()
        for node in self.stand.asked.nodes:
            self.stand.covey("node", "update", "--availability", "active", node)
        for service in look.paused(self.stand.place):
            self.stand.covey("service", "update", "-d", service)

    # --- what people do ---

    def create(self) -> str:
        absent = sorted(set(SERVICES) - look.services(self.stand.place))
        if not absent:
            return self.scale()
        name = self.dice.choice(absent)
        words = (
            ["--mode", "global"]
            if (everywhere := self.dice.random() < 0.2)
            else ["--replicas", str(self.dice.randint(0, 5))]
        )
        for network in self._some_networks():
            words += ["--network", f"name={network},alias={name}-alias"]
        words += self._ports(name, everywhere)
        orders = ("stop-first",) if words[-1].endswith("mode=host") else ("stop-first", "start-first")
        words += [
            "--update-order",
            self.dice.choice(orders),
        ]  # two tasks cannot have one port of a node at once
        if (
            not any("mode=host" in word or "published=" in word for word in words)
            and self.dice.random() < 0.3
        ):
            words += ["--endpoint-mode", "dnsrr"]
        self.stand.covey("service", "create", "-d", "--name", name, *words, *_QUICK, f"{self.stand.web}:1")
        return f"{name} {' '.join(words)}"

    def remove(self) -> str:
        name = self._service()
        self.stand.covey("service", "rm", name)
        return name

    def scale(self) -> str:
        name, replicas = self._service(), self.dice.randint(0, 6)
        self.stand.covey("service", "scale", "-d", f"{name}={replicas}")
        return f"{name}={replicas}"

    def update(self) -> str:
        name = self._service()
        words = self.dice.choice(
            (
                ("--image", f"{self.stand.web}:1"),
                ("--image", f"{self.stand.web}:2"),
                ("--force",),
                ("--env-add", f"AT={self.strikes}"),
                ("--publish-rm", "80"),
                ("--publish-add", f"published={PORTS[name]},target=80,mesh={self.dice.choice(_MESH)}"),
            )
        )
        self.stand.covey("service", "update", "-d", *words, name)
        return f"{name} {' '.join(words)}"

    def change_networks(self) -> str:
        name, network = self._service(), self.dice.choice(BASE + PASSING)
        flag = self.dice.choice(("--network-add", "--network-rm"))
        self.stand.covey("service", "update", "-d", flag, network, name)
        return f"{name} {flag} {network}"

    def roll_back(self) -> str:
        name = self._service()
        self.stand.covey("service", "rollback", "-d", name)
        return name

    def create_network(self) -> str:
        network = self.dice.choice(PASSING)
        words = self._families()
        words += ["--internal"] if self.dice.random() < 0.3 else []
        words += ["--opt", "encrypted"] if self.dice.random() < 0.3 else []
        self.stand.covey("network", "create", *words, network)
        return " ".join((network, *words))

    def remove_network(self) -> str:
        network = self.dice.choice(PASSING)
        self.stand.covey("network", "rm", network)
        return network

    def drain_or_activate(self) -> str:
        node = self._node()
        words = self.dice.choice(("drain", "pause", "active", "active"))
        self.stand.covey("node", "update", "--availability", words, node)
        return f"{node} {words}"

    # --- what befalls a cluster ---

    def kill_tasks(self) -> str:
        node = self._node()
        there = traces.containers(self.stand.place, node)
        killed = self.dice.sample(sorted(there), min(len(there), self.dice.randint(1, 3)))
        for task in killed:
            _kill(there[task].pid)
        return f"{node} {' '.join(killed)}"

    def kill_conmon(self) -> str:
        node = self._node()
        everybody = cgroups.processes(f"{self.stand.place.cgroup(node)}/{members.tasks_group}")
        monitors = sorted(pid for pid in everybody if _program(pid) == "conmon")
        if monitors:
            _kill(self.dice.choice(monitors))
        return f"one of {len(monitors)} on {node}"

    def kill(self, module: str) -> str:
        node = self._node()
        for pid in members.processes_of_module(self.stand.place, node, module):
            _kill(pid)
        return node

    def kill_coveyd(self) -> str:
        node = self._node()
        for pid in members.processes_of_module(self.stand.place, node, "node"):
            _kill(pid, self.dice.choice((signal.SIGKILL, signal.SIGTERM)))
        # One that is ending answers still: who would make the node whole must not take it for one that runs.
        self.stand.until("its end", lambda: not nodes.coveyd_runs(self.stand.place, node))
        if self.dice.random() < 0.7:
            nodes.boot(self.stand.place, node)
        return node

    def kill_manager(self) -> str:
        node = self.dice.choice(self.stand.asked.manager_nodes)
        for pid in members.processes_of_module(self.stand.place, node, "manager"):
            _kill(pid)
        return node

    def power_off(self) -> str:
        node = self._node()
        nodes.power_loss(self.stand.place, node)
        if again := self.dice.random() < 0.6:
            nodes.boot(self.stand.place, node)
        return f"{node}, {'and on' if again else 'and stays off'}"

    def cut(self) -> str:
        node = self._node()
        Fabric(self.stand.place).cut(node)
        return node

    def sever(self) -> str:
        one, other = self.dice.sample(self.stand.asked.nodes, 2)
        Fabric(self.stand.place).sever(one, other)
        return f"{one} from {other}"

    def heal(self) -> str:
        Fabric(self.stand.place).mend()
        for node in self.stand.asked.nodes:
            nodes.boot(self.stand.place, node)
            Fabric(self.stand.place).heal(node)
        return "all that was cut or off"

    # --- what they strike ---

    def _node(self) -> str:
        return self.dice.choice(self.stand.asked.nodes)

    def _service(self) -> str:
        """One that is there; an unlikely name if there is none, so that the dice fall alike."""
        there = sorted(look.services(self.stand.place) & set(SERVICES))
        return self.dice.choice(there or list(SERVICES))

    def _some_networks(self) -> list[str]:
        there = [*BASE, *sorted(look.networks(self.stand.place) & set(PASSING))]
        return self.dice.sample(there, self.dice.randint(1, min(3, len(there))))

    def _families(self) -> list[str]:
        return ["--ipv6"] if self.dice.random() < 0.6 else []

    def _ports(self, name: str, everywhere: bool) -> list[str]:
        sort = self.dice.choice(("none", "host", *_MESH) if everywhere else ("none", "none", *_MESH))
        if sort == "none":
            return []
        mode = "mode=host" if sort == "host" else f"mesh={sort}"
        return ["--publish", f"published={PORTS[name]},target=80,{mode}"]


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _program(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as named:
        return named.read().strip()
    return ""
