"""The gateway's addresses: overlapping nothing, given once, found again."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.network import names
from agent.network.desired.gateway import Gateway, candidates, choose, recover
from agent.network.state import NODE, Address, Netns
from covey.errors import ResourceExhausted


def test_the_first_subnet_that_overlaps_nothing_is_chosen() -> None:
    assert choose([]).subnet == IPv4Network("172.31.0.0/16")
    assert choose(["172.31.5.0/24", "172.16.0.0/13"]).subnet == IPv4Network("172.30.0.0/16")
    assert choose(["0.0.0.0/0", "172.16.0.0/12"]).subnet == IPv4Network("192.168.240.0/20")
    with pytest.raises(ResourceExhausted, match="overlaps a route"):
        choose(["172.16.0.0/12", "192.168.0.0/16"])


@given(st.lists(st.sampled_from([str(each) for each in candidates()]), max_size=20))
def test_the_chosen_subnet_never_overlaps(taken: list[str]) -> None:
    chosen = choose(taken).subnet
    assert not any(chosen.overlaps(IPv4Network(each)) for each in taken)


@given(st.lists(st.frozensets(st.sampled_from("abcdefgh")), max_size=12))
def test_addresses_are_given_once_and_come_back(script: list[frozenset[str]]) -> None:
    gateway = Gateway(IPv4Network("192.0.2.0/28"))
    for tasks in script:
        before = gateway
        gateway = gateway.with_tasks(tasks)
        assert gateway.given.keys() == tasks
        assert len(set(gateway.given.values())) == len(tasks)
        assert gateway.address not in gateway.given.values()
        kept = {task: address for task, address in before.given.items() if task in tasks}
        assert kept.items() <= gateway.given.items()


def test_a_full_subnet_is_said_to_be_full() -> None:
    with pytest.raises(ResourceExhausted, match=r"no address left in 192\.0\.2\.0/29 .* for task 5"):
        Gateway(IPv4Network("192.0.2.0/29")).with_tasks([str(each) for each in range(6)])


def test_what_stands_is_recovered() -> None:
    node = {
        NODE: Netns(addresses=frozenset({Address(names.GATEWAY_BRIDGE, "172.20.0.1/16")})),
        "t1": Netns(addresses=frozenset({Address("eth0", "10.1.0.2/24"), Address("eth1", "172.20.0.7/16")})),
        "net-x": Netns(),
    }
    assert recover(node) == Gateway(IPv4Network("172.20.0.0/16"), {"t1": "172.20.0.7"})
    assert recover({NODE: Netns()}) is None
