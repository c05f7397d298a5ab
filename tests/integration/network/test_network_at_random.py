"""The real driver on a real kernel: tasks and tables come and go at random, it is killed anywhere, and nothing is amiss.

What an audit compares is the wish of the planners with what it reads back; that they wish the right things is proven
elsewhere (`tests/unit/network`, and by traffic). Here it is that the kernel comes to hold exactly that, whatever way led
there: changes one by one from memory, or all at once from what a dead driver left half done.
"""

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from random import Random

import msgspec
import pytest

from agent.network.seam import Attachment, Sandbox
from covey.model.addressing import addresses_of
from covey.model.objects import ClusterVersion, Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec, PortConfig
from covey.model.states import Affinity, EndpointMode, EndpointState, MeshMode, PublishMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow
from tests.support.network_bed import Bed, Host

pytestmark = pytest.mark.root

STEPS = 40
SUBNETS = {
    "i": ("10.255.0.0/16", "fd00:255::/64"),
    "a": ("10.1.0.0/16",),
    "b": ("10.2.0.0/16", "fd00:2::/64"),
    "c": ("fd00:3::/96",),
    "d": ("10.4.0.0/16",),
}
NETWORKS = {
    letter: Network(
        id=letter * 25,
        spec=NetworkSpec(
            name=letter,
            ingress=letter == "i",
            internal=letter == "d",
            ipv4="." in subnets[0],
            ipv6=":" in subnets[-1],
        ),
        vni=6000 + place,
        subnets=tuple(Subnet(cidr=each) for each in subnets),
    )
    for place, (letter, subnets) in enumerate(SUBNETS.items())
}


@pytest.fixture
def bed(scratch: Path) -> Iterator[Bed]:
    built = Bed(scratch, hosts=1)
    try:
        built.build()
        yield built
    finally:
        built.close()


class Story:
    """What the managers would say to one host, changed at random."""

    def __init__(self, host: Host, seed: int) -> None:
        self.host, self.dice = host, Random(seed)
        self.sandboxes: dict[str, Sandbox] = {}
        self.tables: dict[str, NetworkTable] = {}
        self.known: dict[str, Network] = {}
        self.version = 0

    def step(self) -> dict[str, object]:
        """Change something; the call by which the driver hears of it."""
        kind = self.dice.choice(
            ("attach", "attach", "detach", "apply", "apply", "apply", "close_ports", "forget")
        )
        there = sorted(self.sandboxes)
        if kind == "attach" or (kind in ("detach", "close_ports") and not there):
            sandbox = self._sandbox()
            self.sandboxes[sandbox.task_id] = sandbox
            return {"method": "attach", "sandbox": sandbox}
        if kind == "detach":
            task = self.dice.choice(there)
            del self.sandboxes[task]
            return {"method": "detach", "name": task}
        if kind == "close_ports":
            task = self.dice.choice(there)
            self.sandboxes[task] = replace(self.sandboxes[task], host_ports=())
            return {"method": "close_ports", "name": task}
        if kind == "forget":
            used = {each.network.id for box in self.sandboxes.values() for each in box.attachments}
            if unused := sorted(self.tables.keys() - used):
                network = self.dice.choice(unused)
                self.tables.pop(network)
                self.known.pop(network, None)
                return {"method": "forget", "name": network}
        table = self._table(self.dice.choice(list(NETWORKS)))
        self.tables[table.network_id] = table
        return {"method": "apply", "table": table}

    def all(self) -> dict[str, object]:
        """Everything at once, as a new driver hears it."""
        return {
            "method": "reconcile",
            "networks": [each for each in NETWORKS.values() if each.id in self.tables],
            "tables": list(self.tables.values()),
            "sandboxes": list(self.sandboxes.values()),
        }

    def _endpoint(self, letter: str, number: int, task: str) -> Endpoint:
        network = NETWORKS[letter]
        first = ip_network(network.subnets[0].cidr)
        number += int(first.network_address) if first.version == 4 else 0
        return Endpoint(
            id=f"{letter}{number}",
            network_id=network.id,
            node_id=self.host.node_id,
            task_id=task,
            number=number,
            addresses=addresses_of(network.subnets, number),
        )

    def _sandbox(self) -> Sandbox:
        task = f"t{self.dice.randint(1, 5)}"
        if task in self.sandboxes:  # what a task has never changes
            return self.sandboxes[task]
        letters = self.dice.sample(list(NETWORKS), self.dice.randint(0, 3))
        attachments = tuple(
            Attachment(NETWORKS[each], self._endpoint(each, 10 + int(task[1]), task)) for each in letters
        )
        port = PortConfig(target_port=80, published_port=9000 + int(task[1]), publish_mode=PublishMode.HOST)
        return Sandbox(task, attachments, (port,) if self.dice.random() < 0.5 else ())

    def _table(self, letter: str) -> NetworkTable:
        rows = [
            self._row(letter, number) for number in self.dice.sample(range(100, 110), self.dice.randint(0, 8))
        ]
        for box in self.sandboxes.values():
            rows += [
                self._row(letter, int(each.endpoint.id[1:]), each.endpoint)
                for each in box.attachments
                if each.network.id == NETWORKS[letter].id
            ]
        if letter == "i" and self.dice.random() < 0.8:
            own = self._endpoint("i", 2, "")
            rows.append(EndpointRow("own", own.number, own.addresses, self.host.node_id, self.host.address))
        self.version += 1
        return NetworkTable(
            NETWORKS[letter].id,
            version=ClusterVersion(1, self.version),
            endpoints=tuple(rows),
            services=tuple(self._service(letter, each) for each in ("s1", "s2") if self.dice.random() < 0.8),
        )

    def _row(self, letter: str, number: int, here: Endpoint | None = None) -> EndpointRow:
        far = here or self._endpoint(letter, number, f"r{number}")
        node = self.dice.choice(("n2", "n3"))
        return EndpointRow(
            endpoint_id=far.id,
            number=far.number,
            addresses=far.addresses,
            node_id=self.host.node_id if here else node,
            vtep=self.host.address if here else {"n2": "192.0.2.2", "n3": "192.0.2.3"}[node],
            state=self.dice.choice(list(EndpointState)),
            task_id=far.task_id,
            service_id=self.dice.choice(("s1", "s2")),
            keeps_client_address=self.dice.random() < 0.7,
        )

    def _service(self, letter: str, service: str) -> ServiceRow:
        virtual = self._endpoint(letter, 200 + int(service[1]), "").addresses
        port = PortConfig(
            target_port=80,
            published_port=8000 + self.dice.randint(0, 3) * 2 + int(service[1]) % 2,
            mesh=self.dice.choice(list(MeshMode)),
            published_address=self.dice.choice(("", "", "127.0.0.1", self.host.address)),
        )
        return ServiceRow(
            service_id=service,
            name=service,
            mode=self.dice.choice(list(EndpointMode)),
            virtual_ips=virtual if letter != "i" else (),
            ports=(port,) if letter == "i" else (),
            affinity=self.dice.choice(list(Affinity)),
        )


def tell(host: Host, call: dict[str, object]) -> None:
    """Have the driver do something, and do not wait for it."""
    assert host.process
    assert host.process.stdin
    host.process.stdin.write(msgspec.json.encode(call) + b"\n")
    host.process.stdin.flush()


def amiss(host: Host) -> str:
    """What is amiss, and stays so: the kernel takes ended namespaces apart a moment later."""
    deadline = time.monotonic() + 10
    while (found := host.ask("audit")) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_the_kernel_holds_what_was_wished_whatever_way_led_there(bed: Bed, seed: int) -> None:
    (host,) = bed.hosts
    story = Story(host, seed)
    host.ask(**story.all())  # type: ignore[arg-type]
    for number in range(STEPS):
        call = story.step()
        if story.dice.random() < 0.1:
            tell(host, call)
            time.sleep(story.dice.uniform(0, 0.02))
            host.stop(signal.SIGKILL)
            host.start()
            host.ask(**story.all())  # type: ignore[arg-type]
        else:
            host.ask(**call)  # type: ignore[arg-type]
        if number % 5 == 4:
            assert amiss(host) == "", f"after step {number}, {call['method']}"
    host.ask("reconcile")
    assert not list(host.netns_dir.glob("*"))
    assert amiss(host) == ""
