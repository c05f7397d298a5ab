"""Findings: each names the trouble and the remedy."""

from agent.network.probe import Severity, Survey, findings


def test_a_sound_host_has_no_findings() -> None:
    survey = Survey(routes=(("0.0.0.0/0", "eth0"), ("192.168.1.0/24", "eth0")))
    assert findings(survey, ["10.0.1.0/24"], 4789) == []


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
