"""A node that no packet of an overlay could come to is told so, and does no harm to the others."""

import pytest
from msgspec.structs import replace

from covey.model.objects import ClusterVersion, Node, NodeDescription
from covey.model.states import NodeState
from manager.dispatcher.events import EndSession, Registered, StartSession, WriteNode
from manager.dispatcher.sessions import Sessions
from manager.store.tables import Tables
from tests.support.cluster_objects import change, two_nodes_one_service


def registered(tables: Tables, address: str) -> list[object]:
    machine = Sessions(tables)
    said = NodeDescription(hostname="host1", data_address=address)
    return list(machine.step(Registered("s", "n1", "192.0.2.9", said, ClusterVersion())))


def test_a_node_of_another_family_than_all_others_is_down_and_says_why() -> None:
    tables = two_nodes_one_service()
    written, ended = registered(tables, "fd00::1")
    assert isinstance(written, WriteNode)
    assert written.state is NodeState.DOWN
    assert written.description is None, "no table is to have it"
    assert isinstance(ended, EndSession)
    assert ended.reason == written.message
    assert "fd00::1 is of IPv6, and those of all others are of IPv4" in ended.reason
    assert "--data-path-addr" in ended.reason


@pytest.mark.parametrize("address", ["192.0.2.1", ""])
def test_nodes_of_one_family_are_together(address: str) -> None:
    assert any(isinstance(each, StartSession) for each in registered(two_nodes_one_service(), address))


@pytest.mark.parametrize("other", ["fd00::2", ""])
def test_who_has_nobody_else_to_meet_may_have_any_address(other: str) -> None:
    tables = two_nodes_one_service()
    node = tables.get(Node, "n2")
    assert node is not None
    change(tables, replace(node, description=replace(node.description, data_address=other)))
    assert any(isinstance(each, StartSession) for each in registered(tables, "fd00::1"))


def test_who_is_not_there_is_not_asked() -> None:
    tables = two_nodes_one_service()
    node = tables.get(Node, "n2")
    assert node is not None
    change(tables, replace(node, status=replace(node.status, state=NodeState.DOWN)))
    assert any(isinstance(each, StartSession) for each in registered(tables, "fd00::1"))
