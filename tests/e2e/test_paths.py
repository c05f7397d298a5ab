"""Every way to a service, on five nodes: who reaches it, and whose address the task sees.

`TRUTH` is what Covey promises. Each of its rows is tried from every place of its kind (containers on all nodes, among
them tasks that ask their own service; five nodes; a host outside) to every address it can mean. Tasks of `web` (behind a
virtual address, and published by the mesh) and of `rr` (dnsrr, and published in host mode) run on three of the nodes.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from devcluster import namespaces
from devcluster.place import OUTSIDE, address_of, ipv6_of
from tests.support.echoes import KERNEL, Answer, Echoes, ask, resolved
from tests.support.managers import Town, a_town

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

# Whose address a task sees, or why nothing gets there:
#   overlay      that of the container which asks, on the network it shares with the task
#   node         that of the node which asks, or which the container that asks is on
#   outside      that of the host outside
#   ingress      the asked node's own on the ingress network: for whom no task could answer otherwise (the node's
#                loopback, and its containers), and because the port is published with mesh=masquerade
#   gateway      the asked node's own on its gateway bridge: in host mode, for the same reason
#   refused      at once, by a reset or by ICMP: no task is there, or it is not for who asks
#   unreachable  the only way into an overlay is from its containers
#   the node     an echo has no port: the asked node answers, and no task sees it
#   itself       a container's loopback is its own
TRUTH = """
who asks   for                at            task there  TCP          UDP          ICMP
---------  -----------------  ------------  ----------  -----------  -----------  -----------
container  VIP                its address   -           overlay      overlay      overlay
container  dnsrr              its address   -           overlay      overlay      overlay
container  VIP, encrypted     its address   -           overlay      overlay      overlay
container  dnsrr, encrypted   its address   -           overlay      overlay      overlay
container  mesh               own node      -           ingress      ingress      the node
container  mesh               other node    -           node         node         the node
container  mesh=masquerade    own node      -           ingress      ingress      the node
container  mesh=masquerade    other node    -           ingress      ingress      the node
container  mesh=local         own node      yes         ingress      ingress      the node
container  mesh=local         own node      no          refused      refused      the node
container  mesh=local         other node    yes         node         node         the node
container  mesh=local         other node    no          refused      refused      the node
container  mesh on loopback   own node      -           refused      refused      the node
container  mesh on loopback   other node    -           refused      refused      the node
container  host mode          own node      yes         gateway      gateway      the node
container  host mode          own node      no          refused      refused      the node
container  host mode          other node    yes         node         node         the node
container  host mode          other node    no          refused      refused      the node
container  mesh               own loopback  -           refused      refused      itself
container  host mode          own loopback  -           refused      refused      itself

node       VIP                its address   -           unreachable  unreachable  unreachable
node       dnsrr              its address   -           unreachable  unreachable  unreachable
node       VIP, encrypted     its address   -           unreachable  unreachable  unreachable
node       dnsrr, encrypted   its address   -           unreachable  unreachable  unreachable
node       mesh               own node      -           node         node         the node
node       mesh               other node    -           node         node         the node
node       mesh               own loopback  -           ingress      ingress      the node
node       mesh=masquerade    own node      -           ingress      ingress      the node
node       mesh=masquerade    other node    -           ingress      ingress      the node
node       mesh=masquerade    own loopback  -           ingress      ingress      the node
node       mesh=local         own node      yes         node         node         the node
node       mesh=local         own node      no          refused      refused      the node
node       mesh=local         own loopback  yes         ingress      ingress      the node
node       mesh=local         own loopback  no          refused      refused      the node
node       mesh=local         other node    yes         node         node         the node
node       mesh=local         other node    no          refused      refused      the node
node       mesh on loopback   own node      -           refused      refused      the node
node       mesh on loopback   own loopback  -           ingress      ingress      the node
node       mesh on loopback   other node    -           refused      refused      the node
node       host mode          own node      yes         node         node         the node
node       host mode          own node      no          refused      refused      the node
node       host mode          own loopback  yes         gateway      gateway      the node
node       host mode          own loopback  no          refused      refused      the node
node       host mode          other node    yes         node         node         the node
node       host mode          other node    no          refused      refused      the node

outside    VIP                its address   -           unreachable  unreachable  unreachable
outside    dnsrr              its address   -           unreachable  unreachable  unreachable
outside    VIP, encrypted     its address   -           unreachable  unreachable  unreachable
outside    dnsrr, encrypted   its address   -           unreachable  unreachable  unreachable
outside    mesh               other node    -           outside      outside      the node
outside    mesh=masquerade    other node    -           ingress      ingress      the node
outside    mesh=local         other node    yes         outside      outside      the node
outside    mesh=local         other node    no          refused      refused      the node
outside    mesh on loopback   other node    -           refused      refused      the node
outside    host mode          other node    yes         outside      outside      the node
outside    host mode          other node    no          refused      refused      the node
"""
REFUSED = {"tcp": "refused", "udp": "refused", "icmp": "the node"}
# Where the host's firewall looks at bridged frames (br_netfilter, as Docker and Kubernetes have it), the kernel bridges a
# frame whose translated destination lies on the bridge it came by. There tasks are kept apart; and so lies ::1, to which
# answers could not come by that bridge otherwise. So nodes refuse at once what would get no answer.
BRIDGED_FRAMES_FILTERED = {
    4: {("container", "host mode", "own node", "yes"): REFUSED},
    6: {
        ("container", "host mode", "own node", "yes"): REFUSED,
        ("node", "mesh", "own loopback", "-"): REFUSED,
        ("node", "mesh=masquerade", "own loopback", "-"): REFUSED,
        ("node", "mesh=local", "own loopback", "yes"): REFUSED,
        ("node", "mesh on loopback", "own loopback", "-"): REFUSED,
        ("node", "host mode", "own loopback", "yes"): REFUSED,
    },
}
PROTOCOLS = ("tcp", "udp", "icmp")
FAMILIES = (4, 6)
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
ADDRESS = {4: address_of, 6: ipv6_of}
PORTS = {
    "mesh": 8101,
    "mesh=masquerade": 8102,
    "mesh=local": 8103,
    "mesh on loopback": 8104,
    "host mode": 8105,
}
ENCRYPTED = ", encrypted"
NETWORKS = {"shop": "", "vault": ENCRYPTED}  # in the order of the containers' links
TARGETS = range(81, 86)
ONLY_THERE = ("mesh=local", "host mode")  # ways by which a node answers with its own tasks
WITH_TASKS = ("m1", "w1", "w2")
AT_ONCE = 48
Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that asks: a container of a service, a node, or the outside."""

    kind: str
    node: str
    path: Path
    service: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One address asked from one place."""

    origin: Origin
    protocol: str
    way: str
    at: str
    there: str
    address: str
    port: int
    asked: str = ""  # the node that is asked

    @property
    def row(self) -> Row:
        return self.origin.kind, self.way, self.at, self.there

    def __str__(self) -> str:
        asker = f"{self.origin.service or self.origin.kind} on {self.origin.node}"
        return (
            f"{asker}, {self.protocol} to {self.way} at {self.address} {self.port} ({self.at} {self.asked})"
        )


class Paths:
    """The deployment, and the addresses of all there is in it."""

    def __init__(self, town: Town, family: int) -> None:
        place, nodes = town.place, town.asked.nodes
        self.family, self.nodes = family, nodes
        self.node_of = {task.id: task.node for name in ("web", "rr") for task in town.running(name)}
        containers = [
            Origin("container", task.node, place.run(task.node) / "netns" / task.id, name)
            for name in ("web", "rr", "client")
            for task in town.running(name)
        ]
        self.origins = [
            *containers,
            *(Origin("node", node, place.netns(node)) for node in nodes),
            Origin("outside", OUTSIDE, place.netns(OUTSIDE)),
        ]
        self.servers = {each.path.name: each.path for each in containers if each.path.name in self.node_of}
        one = containers[-1].path
        self._asked = {
            way + suffix: sorted(resolved(one, f"{name}.{network}", family)) * often
            for way, name, often in (("VIP", "web", len(WITH_TASKS)), ("dnsrr", "rr", 1))
            for network, suffix in NETWORKS.items()
        }
        self._of_nodes = {node: addresses(place.netns(node), family) for node in nodes}
        self._of_containers = {each: addresses(each.path, family) for each in containers}

    def questions(self) -> Iterator[Question]:
        for origin, protocol in product(self.origins, PROTOCOLS):
            for way, found in self._asked.items():
                yield from (Question(origin, protocol, way, "its address", "-", each, 81) for each in found)
            for way, port in PORTS.items():
                for node in self.nodes:
                    at = "own node" if node == origin.node else "other node"
                    address = ADDRESS[self.family](node)
                    yield Question(origin, protocol, way, at, self._there(way, node), address, port, node)
                there = "-" if origin.kind == "container" else self._there(way, origin.node)
                at = "own loopback"
                yield Question(origin, protocol, way, at, there, LOOPBACK[self.family], port, origin.node)

    @staticmethod
    def _link(way: str) -> str:
        """The containers' link to the network that a way leads over."""
        return "eth1" if way.endswith(ENCRYPTED) else "eth0"

    @staticmethod
    def _there(way: str, node: str) -> str:
        return ("yes" if node in WITH_TASKS else "no") if way in ONLY_THERE else "-"

    def seen(self, question: Question, answer: Answer) -> str:
        """The answer in the table's words."""
        origin, asked = question.origin, question.asked
        if answer.failure:
            return answer.failure
        if question.at == "own loopback" and origin.kind == "container":
            return "itself"
        if answer.by == KERNEL:
            return "the node"
        if question.way in ONLY_THERE and self.node_of[answer.by] != asked:
            return f"answered by {self.node_of[answer.by]}"
        known = {
            self._of_containers.get(origin, {}).get(self._link(question.way)): "overlay",
            ADDRESS[self.family](origin.node): "outside" if origin.kind == "outside" else "node",
            self._of_nodes.get(asked, {}).get("covey_in0"): "ingress",
            self._of_nodes.get(asked, {}).get("covey_gw0"): "gateway",
        }
        return known.get(answer.seen, answer.seen)


def addresses(path: Path, family: int) -> dict[str, str]:
    """The address of each interface in a namespace."""
    listed = json.loads(namespaces.run(path, ["ip", "-json", f"-{family}", "address"]))
    return {
        str(link["ifname"]): str(each["local"])
        for link in listed
        for each in link["addr_info"]
        if each["scope"] != "link"
    }


def truth() -> dict[Row, dict[str, str]]:
    """The rows of the table: by protocol, what comes of a question."""
    _, rule, *rows = [line for line in TRUTH.splitlines() if line]
    begins = [match.start() for match in re.finditer("-+", rule)]
    told = {}
    for row in rows:
        cells = [row[begin:end].strip() for begin, end in zip(begins, [*begins[1:], None], strict=True)]
        who, way, at, there = cells[:4]
        told[who, way, at, there] = dict(zip(PROTOCOLS, cells[4:], strict=True))
    return told


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with a_town("pa", managers=1, workers=4) as town:
        deploy(town)
        yield town


def deploy(town: Town) -> None:
    """`web` and `rr` on three nodes, a container that has neither on all five, all on one network."""
    on_some = [f"--constraint=node.hostname!={node}" for node in town.asked.nodes if node not in WITH_TASKS]
    flags = {
        "web": [
            *on_some,
            *published("mesh", 81),
            *published("mesh=masquerade", 82, "mesh=masquerade"),
            *published("mesh=local", 83, "mesh=local"),
            *(
                each
                for address in LOOPBACK.values()
                for each in published("mesh on loopback", 84, f"published-address={address}")
            ),
        ],
        "rr": [*on_some, "--endpoint-mode=dnsrr", *published("host mode", 85, "mode=host")],
        "client": [],
    }
    town.replace_ingress("--ipv6")
    town.covey("network", "create", "--ipv6", "shop")
    town.covey("network", "create", "--ipv6", "--opt", "encrypted", "vault")
    for name, more in flags.items():
        create = (
            "service",
            "create",
            "-d",
            "--name",
            name,
            "--mode",
            "global",
            "--network",
            "shop",
            "--network",
            "vault",
        )
        town.covey(*create, *more, town.tools)
    for name in flags:
        wanted = set(town.asked.nodes if name == "client" else WITH_TASKS)
        town.until(f"{name} on {wanted}", lambda name=name, wanted=wanted: set(town.spread(name)) == wanted)  # type: ignore[misc]
    town.until("every node to know all", lambda: up_to_date(town))
    for node in town.asked.nodes:  # or the kernel tells of a few refusals only
        namespaces.run(town.place.netns(node), ["sysctl", "-qw", "net.ipv4.icmp_ratemask=0"])
        namespaces.run(town.place.netns(node), ["sysctl", "-qw", "net.ipv6.icmp.ratelimit=0"])


def published(way: str, target: int, *more: str) -> list[str]:
    port = (f"published={PORTS[way]}", f"target={target}")
    return ["--publish=" + ",".join((*port, f"protocol={each}", *more)) for each in ("tcp", "udp")]


def refusing(town: Town, node: str, family: int) -> bool:
    """Whether a node refuses what would get no answer where bridged frames are filtered."""
    chain, told = ["ip", "covey_gateway", f"host-tcp-{PORTS['host mode']}"], "reject"
    if family == 6:
        chain, told = ["ip6", "covey_mesh6", f"tcp-{PORTS['mesh']}"], "jump unanswered"
    return told in namespaces.run(town.place.netns(node), ["nft", "list", "chain", *chain])


def up_to_date(town: Town) -> bool:
    """Whether every node follows the newest table of both networks."""
    for network in (*NETWORKS, "ingress"):
        (told,) = json.loads(town.covey("network", "inspect", "--verbose", network))
        if [node for node in told["nodes"] if not node["connected"] or node["behind_entries"]]:
            return False
    return True


@pytest.mark.parametrize("filtered", [False, True], ids=["frames_unseen", "frames_filtered"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_path_leads_where_the_table_says(town: Town, family: int, filtered: bool) -> None:
    paths, table = Paths(town, family), truth()
    table |= BRIDGED_FRAMES_FILTERED[family] if filtered else {}
    for node in town.asked.nodes:
        tables = "iptables" if family == 4 else "ip6tables"
        namespaces.run(
            town.place.netns(node), ["sysctl", "-qw", f"net.bridge.bridge-nf-call-{tables}={filtered:d}"]
        )
    concerned = WITH_TASKS if family == 4 else town.asked.nodes
    town.until("nodes to see it", lambda: all(refusing(town, each, family) is filtered for each in concerned))
    asked = [each for each in paths.questions() if each.row in table]
    with Echoes(paths.servers, TARGETS, family) as echoes, ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(
            pool.map(
                lambda each: ask(each.origin.path, each.protocol, each.address, each.port, echoes), asked
            )
        )
    assert {each.row for each in asked} == table.keys(), "every row was tried"
    wrong = [
        f"{question}: {seen}, not {expected} ({answer})"
        for question, answer in zip(asked, answers, strict=True)
        if (seen := paths.seen(question, answer)) != (expected := table[question.row][question.protocol])
    ]
    assert not wrong, "\n".join(wrong)

    for protocol, way in product(("tcp", "udp"), ("VIP", "mesh")):
        by = {
            paths.node_of[answer.by]
            for question, answer in zip(asked, answers, strict=True)
            if answer.by and (question.protocol, question.way) == (protocol, way)
        }
        assert by == set(WITH_TASKS), f"{protocol} to {way} is shared among all tasks"
