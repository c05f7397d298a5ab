"""Tables that change row by row: what is worked out from what was known is what the whole table says."""

from dataclasses import replace as with_
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.network.desired import Facts, whole
from agent.network.desired.facts import Host
from agent.network.desired.gateway import choose
from agent.network.desired.memory import Memory
from agent.network.lineage import Derived, difference
from agent.network.plan import plan
from agent.network.seam import Attachment, Sandbox
from agent.session.tables import apply_delta
from covey.model.changes import changes, table_delta
from covey.model.objects import ClusterVersion, Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec, PortConfig
from covey.model.states import Affinity, EndpointMode, EndpointState, MeshMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow
from tests.properties.test_network_plan import EMPTY_NODE, Kernel, settled

NETWORKS = [
    Network(
        id=letter * 25,
        spec=NetworkSpec(name=letter, ingress=letter == "i"),
        vni=4096 + place,
        subnets=(Subnet(cidr=f"10.{place}.0.0/16"), Subnet(cidr=f"fd00:{place}::/64")),
    )
    for place, letter in enumerate("iab", 1)
]


def row(dice: Random, place: int, id: int) -> EndpointRow:
    """A row of few possible makes, so that some share a number: tables of that kind must do no harm, either."""
    number = id if dice.random() < 0.9 else dice.randrange(1, 12)
    node, v4, v6 = dice.choice([1, 2, 3]), f"10.{place}.0.{number}", f"fd00:{place}::{number:x}"
    return EndpointRow(
        endpoint_id=f"e{id:02}",
        number=(10 << 24) + (place << 16) + number,
        addresses=dice.choice([(), (v4,), (v4, v6), (v4, v6), (v6,)]),
        node_id=f"n{node}",
        vtep=dice.choice([f"192.0.2.{node}"] * 8 + [f"fd00::{node}", f"fe80::{node}%eth0"]),
        state=dice.choice([EndpointState.ACTIVE, EndpointState.ACTIVE, EndpointState.DRAINING]),
        task_id=f"t{id}" if dice.random() < 0.9 else "",
        service_id=dice.choice(["s1", "s2", "s3", ""]),
        keeps_client_address=dice.random() < 0.5,
    )


def service(dice: Random, place: int, id: int) -> ServiceRow:
    port = PortConfig(
        target_port=80,
        published_port=8000 + dice.randrange(3),
        mesh=dice.choice(list(MeshMode)),
        published_address=dice.choice(["", "192.0.2.1", "2001:db8::1"]),
    )
    virtual = tuple(dice.sample([f"10.{place}.1.{id}1", f"10.{place}.1.{id}2", f"fd00:{place}::1:{id}"], 2))
    return ServiceRow(
        service_id=f"s{id}",
        name=f"web{id}",
        mode=dice.choice([EndpointMode.VIP, EndpointMode.VIP, EndpointMode.DNSRR]),
        virtual_ips=virtual[: dice.randrange(3)] if place > 1 else (),
        ports=(port,) * dice.randrange(2),
        affinity=dice.choice(list(Affinity)),
    )


def changed(dice: Random, place: int, table: NetworkTable) -> NetworkTable:
    """The table after some rows have come, gone or changed."""
    endpoints = {each.endpoint_id: each for each in table.endpoints}
    services = {each.service_id: each for each in table.services}
    for _ in range(dice.randrange(1, 4)):
        id = dice.randrange(1, 12)
        if dice.random() < 0.3:
            endpoints.pop(f"e{id:02}", None)
        else:
            new = row(dice, place, id)
            endpoints[new.endpoint_id] = new
    if dice.random() < 0.4:
        id = dice.randrange(1, 4)
        services.pop(f"s{id}", None)
        if dice.random() < 0.7:
            services[f"s{id}"] = service(dice, place, id)
    return replace(
        table,
        version=ClusterVersion(1, table.version.index + 1),
        endpoints=tuple(endpoints[each] for each in sorted(endpoints)),
        services=tuple(services[each] for each in sorted(services)),
    )


def world() -> Facts:
    """A node with two tasks: one on both overlays and ingress, one on the first overlay."""

    def attached(place: int, number: int) -> Attachment:
        own = Endpoint(
            id=f"own{place}-{number}",
            network_id=NETWORKS[place - 1].id,
            number=(10 << 24) + (place << 16) + number,
            addresses=(f"10.{place}.0.{number}", f"fd00:{place}::{number:x}"),
        )
        return Attachment(NETWORKS[place - 1], own)

    boxes = {
        "t1": Sandbox("t1", tuple(attached(place, 100) for place in (1, 2, 3))),
        "t2": Sandbox("t2", (attached(2, 101),)),
    }
    host = Host("n1", "192.0.2.1", 1500, keeps_client_address=True)
    tables = {each.id: NetworkTable(each.id, ClusterVersion(1, 1)) for each in NETWORKS}
    networks = {each.id: each for each in NETWORKS}
    return Facts(host, choose([]).with_tasks(boxes.keys()), networks, tables, boxes)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_what_is_remembered_is_what_the_whole_table_says(seed: int, steps: int) -> None:
    dice = Random(seed)
    facts, kernel = world(), Kernel(EMPTY_NODE, set())
    have = whole(facts)
    kernel.run(plan(kernel.read(), have))
    for _ in range(steps):
        place = dice.choice([1, 2, 3])
        network = NETWORKS[place - 1].id
        facts = with_(facts, tables={**facts.tables, network: changed(dice, place, facts.tables[network])})
        if dice.random() < 0.2:
            continue  # a table that nothing was made from: the next one follows it
        want, anew = whole(facts), whole(with_(facts, memory=Memory()))
        assert want == anew
        assert facts.others() == with_(facts, memory=Memory()).others()
        kernel.run(plan(have, want))
        assert settled(kernel.read(), want) == settled(anew, anew), "planned from memory, by what was touched"
        assert plan(kernel.read(), anew) == []
        have = want


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_a_difference_turns_one_table_into_the_other(seed: int) -> None:
    dice = Random(seed)
    old = NetworkTable("n", ClusterVersion(1, 1))
    for _ in range(6):
        new = changed(dice, 2, old)
        assert apply_delta(old, table_delta(old, new)) == new
        copied = replace(new, endpoints=tuple(replace(each) for each in new.endpoints))
        assert table_delta(new, copied).empty
        old = new


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_changes_of_lists(old: list[int], new: list[int]) -> None:
    one, other = ([f"{each}" for each in sorted(set(some))] for some in (old, new))
    assert changes(one, other, str) == (
        tuple(each for each in other if each not in one),
        tuple(each for each in one if each not in other),
    )


Entries = dict[int, str]
MAPPINGS = st.dictionaries(st.integers(0, 9), st.sampled_from(["a", "b", "c"]))


@settings(max_examples=200, deadline=None)
@given(MAPPINGS, st.lists(st.tuples(MAPPINGS, st.lists(st.integers(0, 9))), max_size=3))
def test_lineage_changes_no_difference(first: Entries, steps: list[tuple[Entries, list[int]]]) -> None:
    every: list[Derived[int, str]] = [Derived(first)]
    for put, drop in steps:
        every.append(every[-1].changed(put, drop))
        expected = {key: value for key, value in every[-2].items() if key not in drop} | put
        assert every[-1] == expected
    for one in every:
        for other in every:
            set_, unset = difference(one, other)
            plain = difference(dict(one), dict(other))
            assert (sorted(set_), sorted(unset)) == (sorted(plain[0]), sorted(plain[1]))
