"""Pouring gives what placing one task after the other would, and preferences only change the branches."""

from hypothesis import given
from hypothesis import strategies as st

from covey.model.objects import Node
from covey.model.specs import NodeSpec, SpreadPreference
from manager.scheduler.fleet import Host
from manager.scheduler.pour import Vessel, pour
from manager.scheduler.spread import distribute

vessels = st.builds(Vessel, st.integers(0, 6), st.integers(0, 20), st.integers(0, 5))


def one_by_one(vessels: list[Vessel], amount: int) -> list[int]:
    given = [0] * len(vessels)
    for _ in range(amount):
        open_ = [n for n, v in enumerate(vessels) if given[n] < v.room]
        if not open_:
            break
        best = min(open_, key=lambda n: (vessels[n].tasks + given[n], vessels[n].total + given[n], n))
        given[best] += 1
    return given


@given(st.lists(vessels, max_size=8), st.integers(0, 30))
def test_pouring_is_placing_one_by_one(vessels: list[Vessel], amount: int) -> None:
    assert pour(vessels, amount) == one_by_one(vessels, amount)


@given(
    st.lists(st.tuples(vessels, st.sampled_from(["", "x", "y"]), st.sampled_from("12")), max_size=8),
    st.integers(0, 30),
)
def test_preferences_place_as_many_and_overfill_nobody(
    nodes: list[tuple[Vessel, str, str]], amount: int
) -> None:
    seats = [
        (Host(Node(id=str(n), spec=NodeSpec(labels={"zone": zone, "rack": rack}))), vessel)
        for n, (vessel, zone, rack) in enumerate(nodes)
    ]
    preferences = [SpreadPreference("node.labels.zone"), SpreadPreference("node.labels.rack")]
    given = distribute(seats, preferences, amount)
    assert sum(given) == min(amount, sum(vessel.room for vessel, _, _ in nodes))
    assert all(number <= vessel.room for number, (vessel, _, _) in zip(given, nodes, strict=True))


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 40))
def test_two_zones_of_any_size_get_the_same(left: int, right: int, amount: int) -> None:
    zones = ["a"] * left + ["b"] * right
    hosts = [Host(Node(id=str(n), spec=NodeSpec(labels={"zone": z}))) for n, z in enumerate(zones)]
    seats = [(host, Vessel(0, 0, 1000)) for host in hosts]
    given = distribute(seats, [SpreadPreference("node.labels.zone")], amount)
    assert abs(sum(given[:left]) - sum(given[left:])) <= 1
    assert max(given[:left]) - min(given[:left]) <= 1
