"""Subnets of both families: whatever networks come and go, none overlaps another, a node, or leaves its pool."""

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from covey.model.addressing import addresses_of, ipv6_pools, number_of
from covey.model.objects import Cluster, Network, Node, NodeDescription
from covey.model.specs import ClusterSpec, IpamConfig, NetworkSpec
from manager.allocator.pool import pools_of
from manager.allocator.subnets import allocate, hosts_of

GIVEN = (
    "",
    "10.0.1.0/24",
    "10.0.0.0/23",
    "10.0.3.128/25",
    "192.168.0.0/24",
    "fd00:5::/64",
    "fd00:5::1:0:0/96",
)
CLUSTERS = (
    Cluster(id="c", spec=ClusterSpec(address_pools=("10.0.0.0/21",))),
    Cluster(
        spec=ClusterSpec(address_pools=("10.0.0.0/22", "192.168.0.0/23"), address_pools_ipv6=("fd00:5::/62",))
    ),
    Cluster(
        spec=ClusterSpec(address_pools=("10.0.0.0/22",), address_pools_ipv6=("fd00:5::/94", "fd00:6::/96"))
    ),
)
NODES = [
    Node(id=address, description=NodeDescription(data_address=address))
    for address in ("10.0.2.9", "fd00:5::9")
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(CLUSTERS),
    st.lists(
        st.tuples(st.sampled_from(["4", "6", "46"]), st.sampled_from(GIVEN), st.booleans()), max_size=14
    ),
)
def test_no_subnet_overlaps_another(cluster: Cluster, script: list[tuple[str, str, bool]]) -> None:
    networks: list[Network] = []
    pools = [ip_network(each) for each in (*cluster.spec.address_pools, *ipv6_pools(cluster))]
    for place, (families, subnet, stays) in enumerate(script):
        if subnet and ("6" if ":" in subnet else "4") not in families:
            continue
        ipam = (IpamConfig(subnet),) if subnet else ()
        spec = NetworkSpec(name=f"n{place}", ipv4="4" in families, ipv6="6" in families, ipam=ipam)
        made = allocate(Network(id=f"n{place}", spec=spec), networks, cluster, hosts_of(NODES))
        if made.allocation_error:
            assert not made.subnets
            continue
        assert [str(ip_network(each.cidr).version) for each in made.subnets] == list(families)
        for each in made.subnets:
            net = ip_network(each.cidr)
            others = [ip_network(s.cidr) for other in networks for s in other.subnets]
            assert not any(net.overlaps(other) for other in others)
            if each.cidr != subnet:
                assert any(net.overlaps(pool) and pool.prefixlen <= net.prefixlen for pool in pools)
                assert not any(net.overlaps(host) for host in hosts_of(NODES))
        for number in filter(None, (pool.take() for pool in pools_of(made.subnets))):
            addresses = addresses_of(made.subnets, number)
            assert [str(ip_address(each).version) for each in addresses] == list(families)
            assert {number_of(each) for each in addresses} == {number}
            for address, each in zip(addresses, made.subnets, strict=True):
                assert ip_address(address) in ip_network(each.cidr)
                assert address != each.gateway
        networks = [*networks, made] if stays else networks
