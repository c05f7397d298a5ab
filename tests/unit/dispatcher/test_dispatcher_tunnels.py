"""What nodes are told of each other's tunnels, and whom a change concerns."""

from msgspec.structs import replace

from covey.model.changes import table_delta
from covey.model.objects import (
    Cluster,
    ClusterVersion,
    Endpoint,
    Network,
    Node,
    NodeDescription,
    NodeNetworking,
    TunnelKey,
    TunnelTurn,
)
from covey.model.specs import NetworkSpec
from covey.model.tables import PeerRow
from covey.model.tunnels import tunnel_address
from manager.dispatcher.dirt import Dirt
from manager.dispatcher.tables import network_table
from manager.store.tables import Tables
from manager.store.transaction import Change, Commit
from tests.support.cluster_objects import change, two_nodes_one_service

KEY = TunnelKey(3, "a2V5", 4794)


def secret() -> Tables:
    """Two nodes with a place each on an encrypted network, of which the first has reported a key."""
    tables = two_nodes_one_service()
    network = tables.get(Network, "net")
    assert network is not None
    (cluster,) = tables.all(Cluster)
    encrypted = replace(network, spec=replace(network.spec, options={"encrypted": ""}))
    change(tables, encrypted, replace(cluster, tunnels=TunnelTurn(3, 1)))
    change(tables, Endpoint(id="e2", network_id="net", node_id="n2", number=9, addresses=("10.0.0.9",)))
    first = min(tables.all(Node), key=lambda node: node.id)
    networking = NodeNetworking(encryption="kernel", tunnel_keys=(KEY,))
    change(tables, replace(first, description=replace(first.description, networking=networking)))
    return tables


def test_an_encrypted_network_leads_to_tunnels_only() -> None:
    tables = secret()
    (cluster,) = tables.all(Cluster)
    network = tables.get(Network, "net")
    assert network is not None
    table = network_table(tables, network, ClusterVersion(1, 1))
    assert table.endpoints
    for row in table.endpoints:
        assert row.vtep == tunnel_address(cluster.id, row.node_id)
    nodes = sorted({row.node_id for row in table.endpoints})
    assert [row.node_id for row in table.peers] == nodes
    assert [row.keys for row in table.peers] == [(KEY,), ()]
    assert {row.generation for row in table.peers} == {3}
    first = tables.get(Node, nodes[0])
    assert first is not None
    expected = PeerRow(nodes[0], first.description.data_address, table.endpoints[0].vtep, (KEY,), 3)
    assert expected in table.peers


def test_other_networks_have_no_peers() -> None:
    tables = two_nodes_one_service()
    network = tables.get(Network, "net")
    assert network is not None
    table = network_table(tables, network, ClusterVersion(1, 1))
    assert table.peers == ()
    assert all(":" not in row.vtep for row in table.endpoints)


def test_a_rotation_reaches_every_row_of_encrypted_networks_alone() -> None:
    tables = secret()
    change(tables, Network(id="plain", spec=NetworkSpec(name="plain")))
    (cluster,) = tables.all(Cluster)
    network = tables.get(Network, "net")
    assert network is not None
    old = network_table(tables, network, ClusterVersion(1, 1))
    turned = replace(cluster, tunnels=TunnelTurn(4, 2))
    change(tables, turned)
    dirt = Dirt()
    dirt.add(tables, Commit(2, 0, (Change(Cluster, cluster, turned),)))
    assert dirt.networks == {"net"}
    delta = table_delta(old, network_table(tables, network, ClusterVersion(1, 2)))
    assert not delta.empty
    assert {row.generation for row in delta.peers} == {4}
    dirt = Dirt()
    dirt.add(tables, Commit(2, 0, (Change(Cluster, turned, replace(turned, epoch=9)),)))
    assert not dirt.networks, "nothing else of the cluster is in tables"


def test_a_new_key_of_a_node_concerns_its_networks() -> None:
    tables = secret()
    node = max(tables.all(Node), key=lambda each: each.id)
    said = NodeDescription(data_address=node.description.data_address)
    networking = replace(said.networking, tunnel_keys=(TunnelKey(3, "b3RoZXI=", 4794),))
    after = replace(node, description=replace(node.description, networking=networking))
    dirt = Dirt()
    dirt.add(tables, Commit(2, 0, (Change(Node, node, after),)))
    assert "net" in dirt.networks
