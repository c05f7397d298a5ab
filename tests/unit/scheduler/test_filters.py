from collections import Counter
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from covey.model.objects import Node, NodeDescription, NodeStatus, Revision, Service, Task
from covey.model.specs import (
    EndpointSpec,
    NodeSpec,
    Placement,
    Platform,
    PortConfig,
    Resources,
    ServiceMode,
    ServiceSpec,
)
from covey.model.states import Availability, NodeState, Protocol, PublishMode
from manager.explaining.driver import explain as explain_service
from manager.scheduler import preferences, seats
from manager.scheduler.demand import Claim, Demand, demand_of
from manager.scheduler.explanation import explain, explain_one
from manager.scheduler.filters import FILTERS, UNLIMITED, Filter, Reason
from manager.scheduler.fleet import Fleet, Host
from manager.scheduler.group import Group, group_of
from manager.store.draft import Draft
from manager.store.tables import Tables
from tests.support.planner_cluster import PlannerCluster

GIB, MIB = 1 << 30, 1 << 20
GOOD = Node(
    id="w1",
    status=NodeStatus(state=NodeState.READY),
    description=NodeDescription(
        hostname="w1",
        platform=Platform("linux", "amd64"),
        resources=Resources(nano_cpus=4_000_000_000, memory_bytes=8 * GIB),
    ),
)
SPEC = ServiceSpec(name="web")


def group(spec: ServiceSpec = SPEC) -> Group:
    draft = Draft(Tables())
    draft.put(Revision(id="r", service_id="s", number=1, restart_generation=1, spec=spec))
    draft.put(Service(id="s", name="web", revision_id="r", ports=spec.endpoint.ports))
    draft.put(Service(id="a", name="api"))
    draft.put(Task(id="t-api", service_id="a", slot=1))
    found = group_of(draft, ("s", "r"))
    assert found is not None
    return found


def placed(**placement: object) -> ServiceSpec:
    return replace(SPEC, task=replace(SPEC.task, placement=Placement(**placement)))


def reserving(cpus: float = 0, memory: int = 0) -> ServiceSpec:
    resources = replace(
        SPEC.task.resources, reservations=Resources(nano_cpus=int(cpus * 1e9), memory_bytes=memory)
    )
    return replace(SPEC, task=replace(SPEC.task, resources=resources))


def on_host_port(number: int) -> ServiceSpec:
    port = PortConfig(target_port=80, published_port=number, publish_mode=PublishMode.HOST)
    return replace(SPEC, endpoint=EndpointSpec(ports=(port,)))


def host(node: Node = GOOD, *claims: Claim) -> Host:
    made = Host(node)
    for number, claim in enumerate(claims):
        made.add("t-api" if not number else f"t{number}", claim, 1)
    return made


def ask(spec: ServiceSpec, *hosts: Host) -> tuple[list[int], dict[Filter, list[Host]]]:
    """How many tasks each host takes, and who rules out those that take none."""
    asked = [f for make in FILTERS if (f := make()).set(group(spec))]
    rooms, ruled_out = [], dict[Filter, list[Host]]()
    for one in hosts:
        room = min((f.room(one) for f in asked), default=UNLIMITED)
        rooms.append(room)
        if not room:
            first = next(f for f in asked if not f.room(one))
            ruled_out.setdefault(first, []).append(one)
    return rooms, ruled_out


def down(name: str) -> Host:
    return host(replace(GOOD, id=name, status=NodeStatus(state=NodeState.DOWN)))


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (replace(GOOD, status=NodeStatus(state=NodeState.DOWN)), "1 down; would help: bring w1 back"),
        (
            replace(GOOD, spec=NodeSpec(availability=Availability.DRAIN)),
            "1 drained; would help: covey node update --availability active w1",
        ),
        (
            replace(GOOD, spec=NodeSpec(availability=Availability.PAUSE)),
            "1 paused; would help: covey node update --availability active w1",
        ),
    ],
)
def test_a_node_must_be_there_and_open(node: Node, says: str) -> None:
    rooms, ruled_out = ask(SPEC, host(node))
    assert rooms == [0]
    assert explain(ruled_out, 1) == f"no suitable node of 1: availability 1 node: {says}"


def test_reservations_bound_how_many_fit() -> None:
    taken = Claim("w1", "a", 1, True, Demand(nano_cpus=3_000_000_000, memory_bytes=GIB))
    rooms, _ = ask(reserving(cpus=0.5, memory=GIB), host(), host(GOOD, taken))
    assert rooms == [8, 2]


def test_what_is_short_is_named_with_the_best_there_is() -> None:
    taken = Claim("w1", "a", 1, True, Demand(nano_cpus=2_500_000_000))
    _, ruled_out = ask(reserving(cpus=2), host(GOOD, taken))
    assert explain(ruled_out, 1) == (
        "no suitable node of 1: resources 1 node: needs 2.0 cpus, best free is 1.5 on w1; "
        "would help: free 0.5 cpus on w1"
    )
    _, ruled_out = ask(reserving(memory=16 * GIB), host())
    assert "needs 16.0 GiB memory, best free is 8.0 GiB on w1" in explain(ruled_out, 1)


def test_cpus_here_and_memory_there_is_said_to_be_no_room() -> None:
    no_cpus = host(GOOD, Claim("w1", "a", 1, True, Demand(nano_cpus=4_000_000_000)))
    no_memory = host(
        replace(GOOD, id="w2", description=replace(GOOD.description, hostname="w2")),
        Claim("w2", "a", 1, True, Demand(memory_bytes=8 * GIB)),
    )
    _, ruled_out = ask(reserving(cpus=1, memory=GIB), no_cpus, no_memory)
    assert "no node has both free; would help: free 1.0 cpus on w1" in explain(ruled_out, 2)


def test_nobody_is_told_to_free_more_than_a_node_has() -> None:
    small = host(replace(GOOD, description=replace(GOOD.description, resources=Resources(10**9, GIB))))
    _, ruled_out = ask(reserving(cpus=2), small)
    assert explain(ruled_out, 1).endswith(
        "would help: reserve less, or add a larger node: none of them has as much, even with nothing on it"
    )
    # b has the most free, and would never be enough; on a, which is full, there could be room.
    full = host(GOOD, Claim("w1", "a", 1, True, Demand(4 * 10**9, 8 * GIB)))
    named = replace(GOOD, id="b", description=replace(small.node.description, hostname="b"))
    _, ruled_out = ask(reserving(cpus=2, memory=2 * GIB), host(named), full)
    assert explain(ruled_out, 2).endswith("would help: free 2.0 cpus and 2.0 GiB memory on w1")


def test_amounts_that_are_nearly_the_same_are_told_apart() -> None:
    taken = Claim("w1", "a", 1, True, Demand(memory_bytes=4 * GIB + 3 * MIB))
    _, ruled_out = ask(reserving(memory=4 * GIB), host(GOOD, taken))
    assert "needs 4096 MiB memory, best free is 4093 MiB on w1; would help: free 3 MiB" in explain(
        ruled_out, 1
    )


def test_constraints_that_fail_are_named() -> None:
    rooms, ruled_out = ask(
        placed(constraints=("node.labels.disk==ssd", "node.platform.os==linux")),
        host(),
        host(replace(GOOD, spec=NodeSpec(labels={"disk": "SSD"}))),
    )
    assert rooms == [0, UNLIMITED]
    assert explain(ruled_out, 2) == (
        "no suitable node of 2: constraint 1 node: node.labels.disk == ssd; would help: label a node disk=ssd"
    )
    _, ruled_out = ask(placed(constraints=("engine.labels.rack==r7",)), host())
    assert explain(ruled_out, 1).endswith(
        "engine.labels.rack == r7; would help: give a host the setting label rack=r7"
    )
    _, ruled_out = ask(placed(constraints=("node.hostname==n9",)), host())
    assert explain(ruled_out, 1).endswith("constraint 1 node: node.hostname == n9")


def test_the_image_must_be_made_for_the_node() -> None:
    assert ask(placed(platforms=(Platform("linux", "x86_64"), Platform("linux", "arm64"))), host())[0] == [
        UNLIMITED
    ]
    _, ruled_out = ask(placed(platforms=(Platform("linux", "arm64"),)), host())
    assert "the image is for linux/arm64, not linux/amd64" in explain(ruled_out, 1)


def test_a_host_port_is_taken_once_and_by_whom() -> None:
    spec = on_host_port(8080)
    taken = Claim("w1", "a", 1, True, demand_of(group(spec).revision, None))
    rooms, ruled_out = ask(spec, host(), host(GOOD, taken))
    assert rooms == [1, 0]
    assert "8080/tcp is taken on w1 by api.1" in explain(ruled_out, 2)


def test_no_more_replicas_than_allowed_on_a_node() -> None:
    mine = Claim("w1", "s", 1, True, Demand())
    ending = Claim("w1", "s", 2, False, Demand())
    rooms, ruled_out = ask(
        placed(max_replicas_per_node=2),
        host(),
        host(GOOD, mine, ending),
        host(GOOD, mine, mine),
    )
    assert rooms == [2, 1, 0]
    assert "max replicas per node 1 node: at most 2 per node" in explain(ruled_out, 3)


def test_what_a_node_is_comes_before_how_it_stands() -> None:
    """To bring back or to free a node that a constraint rules out anyway would help nobody."""
    labelled = replace(GOOD, id="w3", spec=NodeSpec(labels={"disk": "ssd"}))
    away = host(replace(labelled, status=NodeStatus(state=NodeState.DOWN)))
    spec = placed(constraints=("node.labels.disk==ssd",), max_replicas_per_node=1)
    full = host(labelled, Claim("w3", "s", 1, True, Demand()))
    _, ruled_out = ask(spec, full, host(), down("w2"), away)
    text = explain(dict(sorted(ruled_out.items(), key=lambda item: FILTERS.index(type(item[0])))), 4)
    assert text == (
        "no suitable node of 4: constraint 2 nodes: node.labels.disk == ssd; availability 1 node: 1 down; "
        "max replicas per node 1 node: at most 1 per node; would help: label a node disk=ssd, or bring w1 back, "
        "or add a node, or raise --replicas-max-per-node"
    )


class Quiet:
    """A filter as somebody might add one: no node with an odd name."""

    name = "quiet"

    def set(self, group: Group) -> bool:
        return group.service.name == "web"

    def room(self, host: Host) -> int:
        return 0 if host.name.startswith("odd") else UNLIMITED

    def explain(self, hosts: Sequence[Host]) -> Reason:
        return Reason(f"{hosts[0].name} is odd", "name it otherwise")


class OldestFirst:
    """A preference as somebody might add one: the nodes whose ids come first are filled first."""

    def set(self, group: Group) -> bool:
        return True

    def tier(self, host: Host) -> int:
        return ord(host.name[-1])


def test_a_new_filter_and_a_new_preference_are_a_class_and_a_line_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seats, "FILTERS", (*FILTERS, Quiet))
    monkeypatch.setattr(preferences, "PREFERENCES", (*preferences.PREFERENCES, OldestFirst))
    cluster = PlannerCluster()
    for name in ("odd0", "a1", "a2"):
        cluster.node(name, cpus=1)
    half = reserving(cpus=0.5)
    service = cluster.create(replace(half, mode=ServiceMode(replicas=5)))
    cluster.run(1)
    tasks = cluster.tasks(service)
    assert Counter(task.node_id for task in tasks) == {"a1": 2, "a2": 2, "": 1}
    assert [task.node_id for task in sorted(tasks, key=lambda task: task.slot)][:2] == ["a1", "a1"]
    (waiting,) = (task for task in tasks if not task.node_id)
    assert "quiet 1 node: odd0 is odd" in waiting.status.err
    assert waiting.status.err.endswith("or name it otherwise")
    told = explain_service(cluster.tables, "web")
    assert [ruled.filter for ruled in told.ruled_out] == ["resources", "quiet"]
    assert "quiet: name it otherwise" in told.advice


def test_a_task_bound_to_a_node_hears_of_that_node_alone() -> None:
    _, ruled_out = ask(placed(constraints=("node.labels.a==b",)), host())
    assert explain_one(ruled_out) == (
        "node w1 has no room: constraint: node.labels.a == b; would help: label a node a=b"
    )


def test_an_empty_cluster_is_said_to_be_empty() -> None:
    assert explain({}, 0) == "no suitable node: the cluster has no nodes; would help: join one"


def test_the_fleet_counts_each_claim_once_whatever_the_order() -> None:
    fleet = Fleet()
    claim = Claim("w1", "s", 1, True, Demand(nano_cpus=1_000_000_000))
    fleet.observe_claim("t", claim)  # before its node is known
    fleet.observe_node("w1", GOOD)
    fleet.observe_claim("t", claim)
    assert (fleet.hosts["w1"].active, fleet.hosts["w1"].nano_cpus) == (1, 1_000_000_000)
    fleet.observe_node("w1", None)
    fleet.observe_node("w1", GOOD)
    assert fleet.hosts["w1"].count("s") == 1
    version = fleet.version
    fleet.observe_claim("t", None)
    assert (fleet.hosts["w1"].active, fleet.hosts["w1"].nano_cpus) == (0, 0)
    assert fleet.version > version, "what waits may find room now"


def test_one_number_on_two_addresses_is_two_claims() -> None:
    ports = tuple(
        PortConfig(
            target_port=80,
            published_port=8080,
            publish_mode=PublishMode.HOST,
            published_address=address,
        )
        for address in ("192.0.2.1", "127.0.0.1")
    )
    demand = demand_of(
        Revision(id="r", service_id="a", spec=ServiceSpec(endpoint=EndpointSpec(ports=ports))), None
    )
    assert demand.ports == ((Protocol.TCP, 8080, "192.0.2.1"), (Protocol.TCP, 8080, "127.0.0.1"))


@pytest.mark.parametrize(("asked", "room"), [("192.0.2.1", 0), ("", 0), ("127.0.0.1", 1), ("192.0.2.2", 1)])
def test_host_ports_meet_on_the_same_address_or_on_all(asked: str, room: int) -> None:
    fleet = Fleet()
    fleet.observe_node("w1", GOOD)
    demand = Demand(ports=((Protocol.TCP, 8080, "192.0.2.1"),))
    fleet.observe_claim("t", Claim("w1", "s", 1, True, demand))
    host = fleet.hosts["w1"]
    assert bool(host.holders((Protocol.TCP, 8080, asked))) is not bool(room)
    assert not host.holders((Protocol.UDP, 8080, asked))
    fleet.observe_claim("t", None)
    assert not host.ports
