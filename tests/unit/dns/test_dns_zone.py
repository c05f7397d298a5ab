from ipaddress import ip_address

import pytest
from msgspec import structs

from agent.dns.codec import wire_name
from agent.dns.feed import Resolver, ResolverNetwork
from agent.dns.view import View
from agent.dns.zone import Zone, zone_of
from covey import limits
from covey.errors import FailedPrecondition
from covey.model.objects import ClusterVersion
from covey.model.specs import PortConfig
from covey.model.states import EndpointMode, EndpointState, Protocol
from covey.model.tables import EndpointRow, NetworkTable, NetworkTableDelta, ServiceRow

ACTIVE, JOINING, DRAINING = EndpointState.ACTIVE, EndpointState.JOINING, EndpointState.DRAINING


def endpoint(
    number: int, state: EndpointState = ACTIVE, service: str = "s1", hostname: str = ""
) -> EndpointRow:
    task = f"{number:025d}"
    return EndpointRow(
        endpoint_id=f"e{number}",
        number=number,
        addresses=(f"10.0.0.{number}",),
        state=state,
        task_id=task,
        task_name=f"web.{number}.{task}",
        hostname=hostname,
        service_id=service,
    )


WEB = ServiceRow(service_id="s1", name="web", aliases=("www",), virtual_ips=("10.0.0.2",))
TABLE = NetworkTable(
    network_id="net",
    endpoints=(endpoint(5), endpoint(6), endpoint(7, JOINING, hostname="seven"), endpoint(8, DRAINING)),
    services=(WEB,),
)


def addresses(zone: Zone, name: str) -> list[str] | None:
    records = zone.names.get(wire_name(name))
    return None if records is None else [str(address) for address in records.addresses]


def test_a_service_and_its_aliases_are_its_virtual_address() -> None:
    zone = zone_of(TABLE)
    assert addresses(zone, "web") == addresses(zone, "www") == ["10.0.0.2"]
    assert zone.names[wire_name("WEB")].ttl_s == limits.dns_ttl_vip_s


def test_tasks_are_the_active_endpoints_and_keep_fresh() -> None:
    zone = zone_of(TABLE)
    assert addresses(zone, "tasks.web") == addresses(zone, "tasks.www") == ["10.0.0.5", "10.0.0.6"]
    assert zone.names[wire_name("tasks.web")].ttl_s == limits.dns_ttl_tasks_s


def test_dnsrr_gives_the_active_endpoints() -> None:
    row = ServiceRow(service_id="s1", name="web", mode=EndpointMode.DNSRR)
    zone = zone_of(NetworkTable(network_id="net", endpoints=TABLE.endpoints, services=(row,)))
    assert addresses(zone, "web") == ["10.0.0.5", "10.0.0.6"]
    assert zone.names[wire_name("web")].ttl_s == limits.dns_ttl_tasks_s


def test_a_service_without_tasks_is_known_and_empty() -> None:
    row = ServiceRow(service_id="s9", name="idle", mode=EndpointMode.DNSRR)
    zone = zone_of(NetworkTable(network_id="net", services=(row,)))
    assert addresses(zone, "idle") == addresses(zone, "tasks.idle") == []


def test_single_tasks_are_found_before_they_are_active() -> None:
    zone = zone_of(TABLE)
    seven = TABLE.endpoints[2]
    assert addresses(zone, seven.task_name) == ["10.0.0.7"]
    assert addresses(zone, seven.task_id[:12]) is not None
    assert addresses(zone, "SEVEN") == ["10.0.0.7"]


def test_nothing_leads_to_a_draining_task_but_its_address_still_says_whose_it_was() -> None:
    drains = structs.replace(TABLE.endpoints[3], hostname="eight")
    rr = ServiceRow(service_id="s1", name="web", aliases=("www",), mode=EndpointMode.DNSRR)
    zone = zone_of(NetworkTable(network_id="net", endpoints=(drains,), services=(rr,)))
    for name in ("web", "tasks.web", "www", "tasks.www"):
        assert addresses(zone, name) == []
    for name in (drains.task_name, drains.task_id[:12], "eight"):
        assert addresses(zone, name) is None
    assert zone.reverse[wire_name("8.0.0.10.in-addr.arpa")] == (drains.task_name,)


def test_a_follower_takes_its_predecessors_hostname_as_that_one_drains() -> None:
    rows = (endpoint(5, DRAINING, hostname="db-1"), endpoint(6, JOINING, hostname="db-1"))
    assert addresses(zone_of(NetworkTable(network_id="net", endpoints=rows)), "db-1") == ["10.0.0.6"]


def test_no_hostname_or_alias_takes_a_services_name() -> None:
    thief = ServiceRow(
        service_id="s2", name="thief", aliases=("web", "tasks.web"), virtual_ips=("10.0.0.66",)
    )
    rows = (*TABLE.endpoints, endpoint(67, service="s2", hostname="web"))
    zone = zone_of(NetworkTable(network_id="net", endpoints=rows, services=(thief, WEB)))
    assert addresses(zone, "web") == ["10.0.0.2"]
    assert addresses(zone, "tasks.web") == ["10.0.0.5", "10.0.0.6"]


def test_services_that_share_an_alias_share_its_answers() -> None:
    api = ServiceRow(service_id="s2", name="api", aliases=("www",), virtual_ips=("10.0.0.3",))
    zone = zone_of(NetworkTable(network_id="net", services=(WEB, api)))
    assert addresses(zone, "www") == ["10.0.0.2", "10.0.0.3"]


def test_backwards_an_address_gives_its_name() -> None:
    zone = zone_of(TABLE)
    assert zone.reverse[wire_name("2.0.0.10.in-addr.arpa")] == ("web",)
    assert zone.reverse[wire_name("5.0.0.10.in-addr.arpa")] == (TABLE.endpoints[0].task_name,)


def test_both_families_are_carried() -> None:
    row = EndpointRow(endpoint_id="e", addresses=("10.0.0.5", "fd00::5"), task_id="t" * 25, hostname="both")
    zone = zone_of(NetworkTable(network_id="net", endpoints=(row,)))
    records = zone.names[wire_name("both")]
    assert len(records.a) == len(records.aaaa) == 1
    assert wire_name(ip_address("fd00::5").reverse_pointer) in zone.reverse


def test_a_name_dns_cannot_carry_is_left_out_and_told() -> None:
    row = EndpointRow(endpoint_id="e", addresses=("10.0.0.5",), task_id="t" * 25, hostname="a" * 64)
    assert Zone().set_table(NetworkTable(network_id="net", endpoints=(row,))) == ("a" * 64,)


def test_the_first_network_that_knows_a_name_answers() -> None:
    other = NetworkTable(network_id="two", services=(ServiceRow("s3", "web", virtual_ips=("10.0.1.2",)),))
    zones = {"net": zone_of(TABLE), "two": zone_of(other)}
    networks = (ResolverNetwork("gone", "gone"), ResolverNetwork("two", "two"), ResolverNetwork("net", "net"))
    view = View(Resolver("t1", "/ns", networks), zones)

    def found(name: str) -> list[str]:
        records = view.lookup(wire_name(name))
        return [] if records is None else [str(address) for address in records.addresses]

    assert found("web") == ["10.0.1.2"]
    assert found("web.net") == ["10.0.0.2"]
    assert found("www") == ["10.0.0.2"]
    assert found("www.two") == []
    assert view.reverse(wire_name("2.0.0.10.in-addr.arpa")) == ("web.net",)
    assert view.reverse(wire_name("9.9.9.9.in-addr.arpa")) == ()


def test_a_short_lived_answer_stays_short_lived_when_shared() -> None:
    rr = ServiceRow(service_id="s1", name="rr", aliases=("both",), mode=EndpointMode.DNSRR)
    vip = ServiceRow(service_id="s2", name="vip", aliases=("both",), virtual_ips=("10.0.0.9",))
    zone = zone_of(NetworkTable(network_id="net", endpoints=TABLE.endpoints, services=(rr, vip)))
    assert addresses(zone, "both") == ["10.0.0.5", "10.0.0.6", "10.0.0.9"]
    assert zone.names[wire_name("both")].ttl_s == limits.dns_ttl_tasks_s


def test_a_service_of_both_families_has_both_and_is_found_backwards_by_both() -> None:
    both = ServiceRow(service_id="s1", name="web", virtual_ips=("10.0.0.2", "fd00::2"))
    zone = zone_of(NetworkTable(network_id="net", services=(both,)))
    assert addresses(zone, "web") == ["10.0.0.2", "fd00::2"]
    for address in both.virtual_ips:
        assert zone.reverse[wire_name(ip_address(address).reverse_pointer)] == ("web",)


HTTP = PortConfig(name="http", protocol=Protocol.TCP, target_port=8080)
DNS = PortConfig(name="DNS", protocol=Protocol.UDP, target_port=53)


def test_a_named_port_is_at_the_virtual_address_or_at_each_task() -> None:
    vip = structs.replace(WEB, ports=(HTTP, DNS, PortConfig(target_port=9)))
    zone = zone_of(structs.replace(TABLE, services=(vip,)))
    for name in ("web", "www"):
        targets = zone.targets("http", "tcp", wire_name(name))
        assert targets is not None
        (target,) = targets
        assert (target.name, target.port) == ("web", 8080)
        assert [str(each) for each in target.records.addresses] == ["10.0.0.2"]
    assert [each.port for each in zone.targets("dns", "udp", wire_name("web")) or ()] == [53]
    each = zone.targets("http", "tcp", wire_name("tasks.web")) or ()
    assert [target.name for target in each] == [row.task_name for row in TABLE.endpoints[:2]]
    rr = structs.replace(vip, mode=EndpointMode.DNSRR, virtual_ips=())
    zone = zone_of(structs.replace(TABLE, services=(rr,)))
    assert zone.targets("http", "tcp", wire_name("web")) == each
    assert zone.targets("http", "udp", wire_name("web")) == ()
    assert zone.targets("http", "tcp", wire_name("nosuch")) is None
    assert zone.targets("http", "tcp", wire_name(TABLE.endpoints[0].task_name)) is None


def test_a_table_with_no_address_in_it_changes_nothing() -> None:
    zone = zone_of(TABLE)
    before = dict(zone.names), dict(zone.reverse), zone.table()
    bad = structs.replace(TABLE.endpoints[1], addresses=("10.0.0.300",))
    with pytest.raises(ValueError, match=r"10\.0\.0\.300"):
        zone.set_table(structs.replace(TABLE, endpoints=(endpoint(9), bad), services=()))
    assert (zone.names, zone.reverse, zone.table()) == before


def test_a_change_of_another_version_is_refused() -> None:
    zone = zone_of(structs.replace(TABLE, version=ClusterVersion(3)))
    with pytest.raises(FailedPrecondition, match="send the whole table"):
        zone.change(NetworkTableDelta(network_id="net", applies_to=ClusterVersion(2)))
