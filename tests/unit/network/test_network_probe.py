"""Findings: each names the trouble and the remedy."""

from agent.network.probe import Severity, Survey, findings, strangers
from covey.model.quantity import rounded


def test_a_sound_host_has_no_findings() -> None:
    survey = Survey(routes=(("0.0.0.0/0", "eth0"), ("192.168.1.0/24", "eth0")))
    assert findings(survey, ["10.0.1.0/24"], 4789) == []


def test_a_host_without_ipv6_is_named_where_networks_have_it() -> None:
    survey = Survey(ipv6=False, forward_drops=("nftables chain filter/FORWARD (ip6)",))
    assert findings(survey, ["10.0.1.0/24"], 4789) == []
    found = findings(survey, ["10.0.1.0/24", "fd00::/64"], 4789)
    assert [each.subject for each in found] == ["firewall", "ipv6"]
    assert "booted with ipv6.disable=1" in str(found[1])


def test_where_loopback_is_not_answered_is_said_where_ports_are_published_by_ipv6() -> None:
    survey = Survey(filters_bridged_ipv6=True)
    assert findings(survey, ["10.0.1.0/24", "fd00::/64"], 4789, ["10.0.1.0/24"]) == []
    (found,) = findings(survey, ["fd00::/64"], 4789, ["fd00::/64"])
    assert "bridge-nf-call-ip6tables to 0" in str(found)


def test_routes_of_the_same_family_overlap() -> None:
    survey = Survey(routes=(("::/0", "eth0"), ("fd00::/48", "vpn0"), ("fe80::/64", "eth0")))
    (found,) = findings(survey, ["fd00:0:0:7::/64", "10.0.0.0/8"], 4789)
    assert "fd00::/48 over vpn0, which overlaps the network subnet fd00:0:0:7::/64" in str(found)


def test_each_trouble_is_named() -> None:
    survey = Survey(
        forward_drops=("nftables chain filter/FORWARD (ip)",),
        routes=(("10.0.0.0/16", "vpn0"),),
        udp_port_taken_by="flanneld (pid 7)",
        missing={"VXLAN": "CONFIG_VXLAN"},
    )
    found = findings(survey, ["10.0.1.0/24", "10.1.0.0/24", "fd00::/64"], 4789)
    assert [(each.severity, each.subject) for each in found] == [
        (Severity.ERROR, "kernel"),
        (Severity.ERROR, "vxlan"),
        (Severity.WARNING, "firewall"),
        (Severity.WARNING, "route"),
    ]
    said = "\n".join(map(str, found))
    for word in ("CONFIG_VXLAN", "4789", "flanneld (pid 7)", "filter/FORWARD", "10.0.0.0/16 over vpn0"):
        assert word in said


def test_packets_of_strangers_are_said_in_round_numbers() -> None:
    """Else each of a million packets would make it another remark, and each of those goes to all managers."""
    assert [rounded(each) for each in (0, 1, 4, 9, 10, 49, 60, 999, 1_234_567)] == [
        *(0, 1, 2, 5, 10, 20, 50, 500, 1_000_000)
    ]
    said = strangers(500, ["192.0.2.7", "192.0.2.8"])
    assert "500 VXLAN packets or more" in said.text
    assert "192.0.2.7, 192.0.2.8" in said.text


def test_routes_in_the_ingress_subnet_are_worse_than_others() -> None:
    seen = Survey(routes=(("10.0.0.0/8", "eth0"),))
    overlay, mesh = findings(seen, ["10.7.0.0/24", "10.9.0.0/24"], 4789, ["10.9.0.0/24"])
    assert (overlay.severity, mesh.severity) == (Severity.WARNING, Severity.ERROR)
    assert "give the network another subnet" in overlay.text
    assert "make the ingress network anew" in mesh.text
