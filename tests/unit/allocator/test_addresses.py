from ipaddress import IPv4Address, IPv4Network, IPv6Network
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from covey.model.addressing import addresses_of, ipv6_pools, number_of
from covey.model.objects import Cluster, Endpoint, Meta, Network, Service, Subnet, VirtualIp
from covey.model.specs import ClusterSpec, IpamConfig, NetworkSpec
from manager.allocator.addresses import Addresses
from manager.allocator.pool import Pool, pools_of
from manager.allocator.subnets import allocate, next_vni, subnets_for

SMALL = Subnet(cidr="10.0.0.0/29", gateway="10.0.0.1")


def number(address: str) -> int:
    return int(IPv4Address(address))


def take(pool: Pool) -> str | None:
    found = pool.take()
    if found is not None:
        pool.hold(found)
    return str(IPv4Address(found)) if found is not None else None


def test_a_pool_gives_all_but_network_broadcast_and_gateway() -> None:
    pool = Pool(SMALL)
    assert [take(pool) for _ in range(6)] == [*(f"10.0.0.{n}" for n in range(2, 7)), None]


def test_a_freed_address_waits_until_the_others_were_given() -> None:
    pool = Pool(SMALL)
    assert take(pool) == "10.0.0.2"
    pool.release(number("10.0.0.2"))
    assert [take(pool) for _ in range(5)] == [f"10.0.0.{n}" for n in (3, 4, 5, 6, 2)]


def test_an_ip_range_bounds_what_is_given() -> None:
    pool = Pool(Subnet(cidr="10.0.0.0/24", gateway="10.0.0.1", ip_range="10.0.0.128/30"))
    assert [take(pool) for _ in range(5)] == [*(f"10.0.0.{n}" for n in range(128, 132)), None]


def test_65k_addresses_are_given_once_each() -> None:
    pool = Pool(Subnet(cidr="10.1.0.0/16", gateway="10.1.0.1"))
    given_out = {take(pool) for _ in range(65_533)}
    assert len(given_out) == 65_533
    assert take(pool) is None


NETWORK = Network(id="n", subnets=(SMALL,), vni=4096)


def endpoint(id: str, address: str, version: int = 0) -> Endpoint:
    meta = Meta(version=version, created_at_ns=version)
    return Endpoint(id=id, meta=meta, network_id="n", number=number(address), addresses=(address,))


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from(["", *(f"10.0.0.{n}" for n in range(2, 7))]))
    )
)
def test_the_cache_is_what_a_fresh_look_at_the_objects_gives(script: list[tuple[str, str]]) -> None:
    cache, present = Addresses(), dict[str, Endpoint]()
    cache.observe_network("n", NETWORK)
    for id, address in script:
        if not address:
            present.pop(id, None)
        elif address not in {e.addresses[0] for e in present.values()}:
            present[id] = endpoint(id, address)
        cache.observe_endpoint(id, present.get(id))
        cache.observe_endpoint(id, present.get(id))  # twice is once
    fresh = Addresses()
    for held in present.values():
        fresh.observe_endpoint(held.id, held)
    fresh.observe_network("n", NETWORK)
    for n in range(8):
        address = number("10.0.0.0") + n
        assert cache.holds("n", address) == fresh.holds("n", address)


def test_a_new_leader_goes_on_after_the_newest_endpoint() -> None:
    addresses = Addresses()
    addresses.observe_network("n", NETWORK)
    addresses.observe_endpoint("b", endpoint("b", "10.0.0.4", version=8))
    addresses.observe_endpoint("a", endpoint("a", "10.0.0.2", version=9))
    assert addresses.take("n") == number("10.0.0.3")


def test_what_was_written_last_is_not_what_was_given_last() -> None:
    for order in permutations((2, 3, 4)):
        addresses = Addresses()
        addresses.observe_network("n", NETWORK)
        for last in order:
            made = endpoint(f"e{last}", f"10.0.0.{last}")
            meta = Meta(version=10 - last, created_at_ns=5)
            addresses.observe_endpoint(made.id, replace(made, meta=meta))
        addresses.observe_endpoint("e4", None)
        assert addresses.take("n") == number("10.0.0.5")


Act = tuple[str, int]
ACTS = st.lists(
    st.tuples(st.sampled_from(["give", "write", "free", "take back"]), st.integers(0, 7)), max_size=60
)


@given(ACTS)
def test_a_freed_number_comes_again_only_after_all_that_were_free_all_the_time(acts: list[Act]) -> None:
    addresses, present = Addresses(), dict[str, Endpoint]()
    addresses.observe_network("n", replace(NETWORK, subnets=(Subnet("10.0.0.0/28", "10.0.0.1"),)))
    every = range(number("10.0.0.2"), number("10.0.0.15"))
    given_at, changed_at = dict.fromkeys(every, 0), dict.fromkeys(every, 0)
    for now, (act, which) in enumerate(acts, 1):
        if act == "give":
            made = dict[str, Endpoint]()
            for place in range(which % 4 + 1):
                if (found := addresses.take("n")) is None:
                    break
                free = [each for each in every if each != found and not addresses.holds("n", each)]
                passed = [each for each in free if changed_at[each] < given_at[found]]
                assert not passed, f"{found} is given again, and {passed} never were since"
                given_at[found] = changed_at[found] = now
                id = f"{(which * 5 + place * 3) % 8}-{now}-{place}"  # ids are in no order
                made[id] = endpoint(id, str(IPv4Address(found)))
                addresses.observe_endpoint(id, made[id])  # as a draft has it
            for id in sorted(made):
                present[id] = replace(made[id], meta=Meta(version=now, created_at_ns=now))
                addresses.observe_endpoint(id, present[id])  # as it is committed
        elif present:
            id = sorted(present)[which % len(present)]
            if act == "write":
                present[id] = replace(present[id], meta=replace(present[id].meta, version=now))
                addresses.observe_endpoint(id, present[id])
            elif act == "take back":  # a draft freed it, and was refused
                addresses.observe_endpoint(id, None)
                addresses.observe_endpoint(id, present[id])
            else:
                changed_at[present.pop(id).number] = now
                addresses.observe_endpoint(id, None)


def test_virtual_addresses_are_held_too() -> None:
    addresses = Addresses()
    addresses.observe_network("n", NETWORK)
    addresses.observe_service("s", Service(id="s", virtual_ips=(VirtualIp("n", "10.0.0.2"),)))
    assert addresses.holds("n", number("10.0.0.2"))
    addresses.observe_service("s", None)
    assert not addresses.holds("n", number("10.0.0.2"))


def network(name: str, subnet: str = "", **spec: object) -> Network:
    ipam = (IpamConfig(subnet=subnet),) if subnet else ()
    return Network(id=name, spec=NetworkSpec(name=name, ipam=ipam, **spec))


def allocated(*wanted: Network, spec: ClusterSpec | None = None) -> list[Network]:
    done: list[Network] = []
    for one in wanted:
        done.append(allocate(one, done, Cluster(id="c", spec=spec or ClusterSpec())))
    return done


def test_subnets_are_chosen_from_the_pool_around_those_in_use() -> None:
    networks = allocated(network("a"), network("b", "10.0.1.0/25"), network("c"))
    assert [n.subnets[0].cidr for n in networks] == ["10.0.0.0/24", "10.0.1.0/25", "10.0.2.0/24"]
    assert [n.vni for n in networks] == [4096, 4097, 4098]
    assert [n.subnets[0].gateway for n in networks] == ["10.0.0.1", "10.0.1.1", "10.0.2.1"]


def test_a_subnet_comes_round_again_when_the_pools_are_through() -> None:
    spec = ClusterSpec(address_pools=("10.0.0.0/23", "10.9.0.0/24"))
    a, b, c, d = allocated(*(network(name) for name in "abcd"), spec=spec)
    assert [n.subnets[0].cidr for n in (a, b, c)] == ["10.0.0.0/24", "10.0.1.0/24", "10.9.0.0/24"]
    assert "10.0.0.0/23, 10.9.0.0/24" in d.allocation_error
    assert d.vni == 0
    again = allocate(network("e"), [b, c], Cluster(spec=spec))
    assert again.subnets[0].cidr == "10.0.0.0/24"


def test_a_given_subnet_must_overlap_no_other() -> None:
    _, other = allocated(network("a", "10.7.0.0/16"), network("b", "10.7.3.0/24"))
    assert "10.7.3.0/24 overlaps 10.7.0.0/16 of network a" in other.allocation_error


def test_the_ingress_network_has_a_wide_subnet_of_its_own() -> None:
    (ingress,) = allocated(network("ingress", ingress=True))
    assert ingress.subnets[0].cidr == "10.255.0.0/16"


def test_vnis_come_round_when_the_range_is_through() -> None:
    assert next_vni([]) == 4096
    assert next_vni([4096, 4099]) == 4100
    assert next_vni([4096, (1 << 24) - 1]) == 4097


def test_running_out_is_a_refusal_that_says_what_to_do() -> None:
    spec = ClusterSpec(address_pools=("10.0.0.0/24",))
    _, none = allocated(network("a"), network("b"), spec=spec)
    assert "--subnet" in none.allocation_error


@pytest.mark.parametrize("subnet", ["nonsense", "10.0.0.1/24"])
def test_a_subnet_that_is_none_is_refused(subnet: str) -> None:
    assert subnet in allocate(network("a", subnet), [], Cluster()).allocation_error


@pytest.mark.parametrize(
    ("pool", "length", "cidr"),
    [
        ("10.64.0.0/12", 24, "10.64.0.0/16"),
        ("192.168.0.0/16", 24, "192.168.0.0/18"),
        ("192.168.0.0/24", 25, "192.168.0.0/25"),
    ],
)
def test_with_pools_of_the_users_own_the_ingress_network_lives_in_them(
    pool: str, length: int, cidr: str
) -> None:
    spec = ClusterSpec(address_pools=(pool,), subnet_prefix_length=length)
    (subnet,) = subnets_for(network("ingress", ingress=True), [], Cluster(spec=spec))
    assert subnet.cidr == cidr


def test_a_chosen_subnet_holds_no_node() -> None:
    hosts = [IPv4Network("10.0.0.7/32"), IPv4Network("10.0.1.7/32")]
    (subnet,) = subnets_for(network("a"), [], Cluster(), hosts)
    assert subnet.cidr == "10.0.2.0/24"


def test_a_number_that_people_chose_is_given_once() -> None:
    wanted = NetworkSpec(name="a", options={"vni": "70000"})
    first, second, third = allocated(Network(id="a", spec=wanted), Network(id="b", spec=wanted), network("c"))
    assert first.vni == 70_000
    assert "opt vni: 70000 is that of network a" in second.allocation_error
    assert third.vni == 70_001


BOTH = (Subnet("10.0.0.0/29", "10.0.0.1"), Subnet("fd00::/64", "fd00::1"))
ALONE = (Subnet("fd00::/64", "fd00::1", "", {"router": "fd00::4", "far": "fd00:0:0:0:1::"}),)


def test_a_number_makes_the_addresses_of_both_families() -> None:
    given = addresses_of(BOTH, number("10.0.0.3"))
    assert given == ("10.0.0.3", "fd00::a00:3")
    assert {number_of(address) for address in given} == {number("10.0.0.3")}
    assert addresses_of(BOTH[:1], number("10.0.0.3")) == ("10.0.0.3",)
    assert addresses_of(ALONE, 7) == ("fd00::7",)


def test_without_ipv4_numbers_count_from_2_around_what_is_kept() -> None:
    (pool,) = pools_of(ALONE)
    taken = [pool.take() for _ in range(4)]
    assert taken == [2, 3, 5, 6]
    (narrow,) = pools_of((Subnet("fd00::/64", "fd00::9", "fd00::8/125"),))
    assert [narrow.take() for _ in range(8)] == [8, *range(10, 16), 8]


def test_beside_ipv4_no_number_makes_a_kept_ipv6_address() -> None:
    kept = Subnet("fd00::/64", "fd00::1", "", {"router": "fd00::a00:3"})
    (pool,) = pools_of((BOTH[0], kept))
    assert [take(pool) for _ in range(4)] == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]


def test_a_virtual_address_of_each_family_is_one_number() -> None:
    addresses = Addresses()
    addresses.observe_network("n", Network(id="n", subnets=BOTH, vni=4096))
    ips = (VirtualIp("n", "10.0.0.2"), VirtualIp("n", "fd00::a00:2"))
    addresses.observe_service("s", Service(id="s", virtual_ips=ips))
    assert addresses.take("n") == number("10.0.0.3")
    addresses.observe_service("s", None)
    assert not addresses.holds("n", number("10.0.0.2"))


def test_own_ipv6_subnets_come_from_the_clusters_unique_local_addresses() -> None:
    (pool,) = (IPv6Network(each) for each in ipv6_pools(Cluster(id="c")))
    assert pool.prefixlen == 48
    assert pool.subnet_of(IPv6Network("fd00::/8"))
    assert ipv6_pools(Cluster(id="d")) != ipv6_pools(Cluster(id="c"))
    a, b, c = allocated(network("a", ipv6=True), network("b"), network("c", "10.77.0.0/16", ipv6=True))
    first, second = (IPv6Network(each.subnets[1].cidr) for each in (a, c))
    assert first.network_address == second.network_address - (1 << 64) == pool.network_address
    assert first.prefixlen == second.prefixlen == 64
    assert len(b.subnets) == 1
    (alone,) = allocated(network("x", ipv4=False, ipv6=True))
    assert [each.cidr for each in alone.subnets] == [str(first)]


def test_ipv6_pools_of_the_users_own_run_out_like_others() -> None:
    spec = ClusterSpec(address_pools_ipv6=("fd00:5::/95",))
    made = allocated(*(network(name, ipv4=False, ipv6=True) for name in "abc"), spec=spec)
    assert [each.cidr for n in made for each in n.subnets] == ["fd00:5::/96", "fd00:5::1:0:0/96"]
    assert "no free /96 is left in the address pools fd00:5::/95" in made[2].allocation_error


def test_a_chosen_ipv6_subnet_holds_no_node() -> None:
    (pool,) = (IPv6Network(each) for each in ipv6_pools(Cluster()))
    hosts = [IPv6Network(f"{pool.network_address}7/128")]
    (_, subnet) = subnets_for(network("a", ipv6=True), [], Cluster(), hosts)
    assert IPv6Network(subnet.cidr).network_address == pool.network_address + (1 << 64)
