"""Which of a service's ports go out with a network's table."""

from msgspec.structs import replace

from covey.model.objects import ClusterVersion, Network, Service
from covey.model.specs import NetworkSpec, PortConfig
from covey.model.states import PublishMode
from manager.dispatcher.tables import network_table
from tests.support.cluster_objects import change, two_nodes_one_service

NAMED = PortConfig(name="http", target_port=80, published_port=8080)
PLAIN = PortConfig(target_port=81, published_port=8081)
HOST = PortConfig(name="admin", target_port=82, published_port=8082, publish_mode=PublishMode.HOST)


def test_names_of_ports_go_to_networks_and_the_meshs_ports_to_the_ingress() -> None:
    tables = two_nodes_one_service()
    service, ingress = tables.get(Service, "web"), Network(id="in", spec=NetworkSpec(name="in", ingress=True))
    assert service is not None
    change(tables, replace(service, ports=(NAMED, PLAIN, HOST)), ingress)
    for network_id, ports in (("net", (NAMED, HOST)), ("in", (NAMED, PLAIN))):
        network = tables.get(Network, network_id)
        assert network is not None
        (row,) = network_table(tables, network, ClusterVersion()).services
        assert row.ports == ports
