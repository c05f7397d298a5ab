"""Networks under churn: everything that people and bad luck do, at random from a seed, on five nodes.

After each round of strikes everything is switched on again, and then audits find nothing, each name resolves in each
container to exactly the tasks that live, which are reached, and so is what is published. No address was ever held
twice: neither by the managers' word, read commit by commit, nor in the kernels of two containers at once. At the end
nothing is left.

With COVEY_E2E_LONG=1 for half an hour with a new seed (COVEY_E2E_SEED=n repeats one: the same strikes in the same order
as far as what they strike is the same, though no two runs of real processes are).
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from itertools import product

import pytest

from covey.errors import CoveyError
from covey.model.objects import Endpoint, Network, Node, Revision, Service, Task
from covey.model.specs import ServiceSpec
from covey.model.states import EndpointMode, EndpointState, MeshMode, PublishMode, TaskState
from devcluster import look
from devcluster.place import OUTSIDE, address_of, ipv6_of
from manager.allocator.endpoints import overlays_of
from tests.support import traces
from tests.support.churn import SERVICES, Churn
from tests.support.commits import Addresses, Commits
from tests.support.echoes import connects, resolved
from tests.support.holders import Holders
from tests.support.managers import Town, a_town

pytestmark = [pytest.mark.root, pytest.mark.timeout(5400)]

LONG = os.environ.get("COVEY_E2E_LONG") == "1"
SEEDS = (
    [int(os.environ["COVEY_E2E_SEED"])]
    if "COVEY_E2E_SEED" in os.environ
    else [time.time_ns() % 1_000_000 if LONG else 1]
)
LASTS_S = float(os.environ.get("COVEY_E2E_SECONDS", "1800")) if LONG else 0.0
ROUNDS = 2
STRIKES = 12
COMES_RIGHT_S = 120
ID_LENGTH = 25
OWN_FAULT = re.compile("Traceback|by our own fault|internal error")


@pytest.fixture(params=SEEDS, ids=str)
def seeded(request: pytest.FixtureRequest) -> Iterator[tuple[Town, int]]:
    """Five nodes, and a seed; an even one has three managers."""
    managers = 1 if request.param % 2 else 3
    with a_town("ch", managers=managers, workers=5 - managers) as town:
        yield town, request.param


class Verdict:
    """What must be so once everything is on again."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.commits = Commits(town.place.state("m1"))
        self.held = Addresses()

    def read(self) -> None:
        """Read what the managers have committed until now."""
        for commit in self.commits.until(look.status(self.town.place, "m1", local=True).applied_index):
            self.held.observe(commit)

    def wrong(self) -> str:
        """What is not right yet; nothing if all is."""
        try:
            return self._tasks() or self._audit() or self._names() or self._published()
        except (CoveyError, OSError) as error:
            return str(error)

    def _tasks(self) -> str:
        for row in self.town.rows("service", "ls"):
            if row["running"] != row["desired"]:
                return f"{row['name']}: {row['running']} of {row['desired']} tasks run"
        self.read()
        view = self.commits.tables
        if leaving := [each.name for each in view.all(Service) if each.pending_delete]:
            return f"{leaving} are being removed"
        runs, there = (
            self._alive().keys(),
            traces.all_containers(self.town.place, self.town.asked.nodes).keys(),
        )
        if runs == there:
            return ""
        lacking, strays = (", ".join(map(self._told, each)) for each in (runs - there, there - runs))
        return f"without a container: {lacking or 'none'}; with one, and not running: {strays or 'none'}"

    def _told(self, task_id: str) -> str:
        task = self.commits.tables.get(Task, task_id)
        return str(task and (task_id, task.status, task.desired_state, task.slot, self._host(task.node_id)))

    def _audit(self) -> str:
        words = self.town.covey("system", "audit")
        return "" if f"Nothing amiss on {len(self.town.asked.nodes)} nodes" in words else words

    def _names(self) -> str:
        """What a name means in some container if it should not, or leads to and cannot be reached."""
        with ThreadPoolExecutor(8) as pool:
            return next(filter(None, pool.map(self._asked_by, self._alive().values())), "")

    def _asked_by(self, asker: Task) -> str:
        path = self.town.place.run(self._host(asker.node_id)) / "netns" / asker.id
        known: dict[str, set[str]] = {name: set() for name in SERVICES}
        for service in self.commits.tables.all(Service):
            known |= self._meant(service, asker)
        here = f"{asker.id} on {self._host(asker.node_id)}"
        for name in SERVICES:
            tasks = known.get(f"tasks.{name}", set())
            for asked, expected in ((name, known[name]), (f"tasks.{name}", tasks)):
                if (told := resolved(path, asked, 4) | resolved(path, asked, 6)) != expected:
                    return f"{here} asks for {asked}: {told}, not {expected}"
                if lost := [each for each in told if tasks and not connects(path, each, 80)]:
                    return f"{here} does not reach {asked} at {lost}"
        return ""

    def _meant(self, service: Service, asker: Task) -> dict[str, set[str]]:
        """What the names of a service mean: the first of the asker's networks that knows it answers."""
        view = self.commits.tables
        revision = self._revision(service.revision_id)
        virtual = defaultdict[str, set[str]](set)
        for each in service.virtual_ips:
            virtual[each.network_id].add(each.address)
        tasks: dict[str, set[str]] = {each: set() for each in (*virtual, *overlays_of(revision.spec))}
        for endpoint in view.all(Endpoint):
            if (
                endpoint.service_id == service.id
                and endpoint.task_id
                and endpoint.state is EndpointState.ACTIVE
            ):
                tasks.setdefault(endpoint.network_id, set()).update(endpoint.addresses)
        for network in overlays_of(self._revision(asker.revision_id).spec):
            if network in tasks:
                vip = revision.spec.endpoint.mode is EndpointMode.VIP
                means = virtual[network] if vip and network in virtual else tasks[network]
                return {service.name: means, f"tasks.{service.name}": tasks[network]}
        return {}

    def _published(self) -> str:
        """Which node does not answer a published port that it should, or does and should not."""
        outside = self.town.place.netns(OUTSIDE)
        for service in self.commits.tables.all(Service):
            here = [each for each in self._alive().values() if each.service_id == service.id]
            on = {self._host(each.node_id) for each in here}
            spec = self._revision(service.revision_id).spec
            for port, node in product(spec.endpoint.ports, self.town.asked.nodes):
                near = port.mesh is MeshMode.LOCAL or port.publish_mode is PublishMode.HOST
                for address, possible in self._addresses(spec, port.publish_mode, node).items():
                    expected = possible and (node in on if near else bool(on))
                    if connects(outside, address, port.published_port) != expected:
                        words = "does not answer" if expected else "answers"
                        return f"{address} {words} at {service.name}'s port {port}"
        return ""

    def _addresses(self, spec: ServiceSpec, mode: PublishMode, node: str) -> dict[str, bool]:
        """The addresses of a node, and whether what is published so can be had there."""
        networks = [self.commits.tables.get(Network, each) for each in overlays_of(spec)]
        if (
            mode is PublishMode.INGRESS
        ):  # by this network; in host mode, by the way out that the service's own leave it
            networks = [each for each in self.commits.tables.all(Network) if each.spec.ingress]
        specs = [each.spec for each in networks if each is not None]
        out = not all(each.internal for each in specs)
        return {address_of(node): out, ipv6_of(node): out and any(each.ipv6 for each in specs)}

    def _alive(self) -> dict[str, Task]:
        tasks = self.commits.tables.all(Task)
        return {task.id: task for task in tasks if task.status.state is TaskState.RUNNING}

    def _revision(self, id: str) -> Revision:
        found = self.commits.tables.get(Revision, id)
        assert found is not None
        return found

    def _host(self, node_id: str) -> str:
        found = self.commits.tables.get(Node, node_id)
        assert found is not None
        return found.description.hostname


def comes_right(churn: Churn, verdict: Verdict) -> None:
    churn.make_whole()
    began = time.monotonic()
    while wrong := verdict.wrong():
        if time.monotonic() > began + COMES_RIGHT_S:
            pytest.fail(f"not right after {COMES_RIGHT_S} s: {wrong}\n{verdict.town.words()}")
        time.sleep(0.3)
    print(f"right after {time.monotonic() - began:.1f} s", flush=True)


def nothing_broke_inside(town: Town) -> None:
    """No node's log tells of a fault of ours, however well that was survived."""
    logs = {node: town.place.log(node).read_text(errors="replace").splitlines() for node in town.asked.nodes}
    told = [
        "\n".join((f"--- {node}", *log[max(0, place - 5) : place + 60]))
        for node, log in logs.items()
        for place, each in enumerate(log)
        if OWN_FAULT.search(each)
    ]
    assert not told, "\n".join(told)


def never_held_twice(verdict: Verdict, holders: Holders) -> None:
    """By the managers' history, and by what kernels were seen to have, which is nothing that history does not know."""
    assert not verdict.held.twice
    network_of = verdict.held.network_of
    both = [
        f"{address} by {one} and {other}"
        for address, one, other in holders.together
        if (network := network_of.get((one, address))) and network == network_of.get((other, address))
    ]
    assert not both, "two had one address at the same moment"
    pools = [
        ip_network(subnet.cidr) for each in verdict.commits.tables.all(Network) for subnet in each.subnets
    ]
    unknown = [
        f"{address} of {holder}"
        for holder, address in holders.seen
        if len(holder) == ID_LENGTH and (holder, address) not in network_of
        if any(ip_address(address) in pool for pool in pools)
    ]
    assert not unknown, "nobody gave these"


def test_networks_come_right_whatever_happens(seeded: tuple[Town, int]) -> None:
    town, seed = seeded
    print(f"COVEY_E2E_SEED={seed}")
    churn, verdict = Churn(town, seed), Verdict(town)
    churn.begin()
    with Holders(town.place, town.asked.nodes) as holders:
        began, rounds = time.monotonic(), 0
        while rounds < ROUNDS or time.monotonic() < began + LASTS_S:
            rounds += 1
            for _ in range(STRIKES):
                churn.strike()
            comes_right(churn, verdict)
        town.sweep()
        town.until("nothing of any task to be left", lambda: not town.remains())
        town.until("a clean audit", lambda: not verdict.wrong())
    verdict.read()
    never_held_twice(verdict, holders)
    nothing_broke_inside(town)
    commits = verdict.commits.tables.index
    print(f"{rounds} rounds of strikes ({churn.strikes}), {commits} commits")
    print(f"{holders.rounds} looks at {len(holders.seen)} addresses")
    assert holders.rounds > rounds
