"""Nobody is sent to an IPv6 address on a host that has no IPv6."""

from msgspec.structs import replace

from covey.model.objects import ClusterVersion, Endpoint, Network, Node, NodeNetworking
from manager.dispatcher.dirt import Dirt
from manager.dispatcher.tables import network_table
from manager.store.transaction import Change, Commit
from tests.support.cluster_objects import change, two_nodes_one_service


def test_rows_of_a_host_without_ipv6_have_ipv4_alone() -> None:
    tables = two_nodes_one_service()
    network = tables.get(Network, "net")
    assert network is not None
    both = {"n1": ("10.0.0.8", "fd00::a00:8"), "n2": ("10.0.0.9", "fd00::a00:9")}
    for node_id, addresses in both.items():
        change(tables, Endpoint(id=f"own-{node_id}", network_id="net", node_id=node_id, addresses=addresses))
    without = tables.get(Node, "n2")
    assert without is not None
    said = replace(without.description, networking=NodeNetworking(without_ipv6=True))
    told = replace(without, description=said)
    change(tables, told)
    table = network_table(tables, network, ClusterVersion(1, 1))
    rows = {row.node_id: row.addresses for row in table.endpoints if row.endpoint_id.startswith("own-")}
    assert rows == {"n1": both["n1"], "n2": ("10.0.0.9",)}

    dirt = Dirt()
    dirt.add(tables, Commit(2, 0, (Change(Node, without, told),)))
    assert "net" in dirt.networks
