"""What audits say of a difference: the words name what is wrong with which element, and in which map."""

from agent.network import names
from agent.network.findings import findings
from agent.network.firewall import Table, TableView
from agent.network.ops import EditTable
from agent.network.state import Netns

STANDING = TableView({}, {"services": {"10.0.0.1": "vip-1", "10.0.0.3": "vip-3"}, "nodes": {}})


def test_elements_of_maps_are_missing_lead_elsewhere_or_belong_to_nothing() -> None:
    step = EditTable(
        "t1",
        Table(names.VIP_TABLE, ()),
        unset={"services": ("10.0.0.1", "10.0.0.3")},
        set={"services": {"10.0.0.1": "vip-9", "10.0.0.2": "vip-2"}, "nodes": {"192.0.2.2": ""}},
    )
    found = list(findings([step], {"t1": Netns(tables={names.VIP_TABLE: STANDING})}))
    assert {(each.kind, each.place) for each in found} == {("VIP", "t1")}
    assert [each.words for each in found] == [
        "10.0.0.3 in map services of table covey_vip belongs to nothing here",
        "10.0.0.1 in map services of table covey_vip leads to vip-1, not to vip-9",
        "10.0.0.2 in map services of table covey_vip is missing",
        "192.0.2.2 in map nodes of table covey_vip is missing",
    ]
