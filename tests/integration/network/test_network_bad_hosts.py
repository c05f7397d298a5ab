"""Hosts that stand in the networks' way: each is refused, or said, with what is wrong and what to do."""

import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.network.seam import Attachment, Sandbox
from covey.io import netns
from covey.model.states import EndpointState
from tests.support.network_bed import INGRESS, NET, PUBLISHED, Bed, Host, run_in
from tests.support.network_traffic import ask_tcp, eventually

pytestmark = pytest.mark.root


def empty(host: Host) -> None:
    host.call("reconcile", networks=[], tables=[], sandboxes=[])


def claim(path: Path) -> socket.socket:
    taken = netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("0.0.0.0", 4789))
    return taken


def refused(host: Host, task: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        host.ask("attach", sandbox=host.bed.sandbox(host, task))


def test_a_program_that_has_the_vxlan_port_is_named(bed: Bed) -> None:
    host, second, _ = bed.hosts
    empty(host)
    with claim(host.path):
        refused(host, "t1", r"UDP port 4789 of this host is taken by .*pid .*--data-path-port")
        said = host.ask("remarks")
        assert "UDP port 4789" in said
        assert "t1" not in {each.name for each in host.netns_dir.iterdir()}
        alone = Sandbox("t9")
        host.ask("attach", sandbox=alone)  # what needs no overlay goes on
        host.call("detach", name="t9")
    bed.attach(second, "t2", None, published=False)
    eventually(lambda: _attaches(bed, host), "the port is free again", 15)


def _attaches(bed: Bed, host: Host) -> bool:
    try:
        bed.attach(host, "t1", None, published=False)
    except AssertionError:
        return False
    return True


def test_tables_that_a_firewall_loaded_anew_took_away_are_put_back(bed: Bed) -> None:
    first, second, _ = bed.hosts
    bed.attach(first, "t1", None, published=False)
    bed.attach(second, "t2", EndpointState.ACTIVE)
    bed.push()
    first.stop()
    first.restores = True
    first.start()
    first.reconcile()
    before = set(run_in(first.path, "nft", "list", "tables").splitlines())
    assert {"table ip covey_mesh", "table ip covey_gateway", "table ip covey_underlay"} <= before
    run_in(first.path, "nft", "flush", "ruleset")
    eventually(lambda: "put back" in first.said(), "it is seen", 20)
    eventually(
        lambda: set(run_in(first.path, "nft", "list", "tables").splitlines()) == before, "they are back", 20
    )
    assert ask_tcp(bed.outside, first.address, PUBLISHED)
    assert first.ask("audit") == ""


def test_devices_of_another_kind_on_the_port_are_named(bed: Bed) -> None:
    host = bed.hosts[0]
    empty(host)
    run_in(host.path, "ip", "link", "add", "other", "up", "type", "vxlan", "external", "dstport", "4789")
    refused(host, "t1", r"taken by .*VXLAN device of another kind")
    run_in(host.path, "ip", "link", "del", "other")
    eventually(lambda: _attaches(bed, host), "the port is free again", 15)


def test_a_host_that_forbids_the_port_keeps_the_agent_alive(bed: Bed) -> None:
    """At a start: what needs the port is set aside, with the reason, and is there as soon as it can be."""
    host = bed.hosts[0]
    bed.attach(host, "t1", None)
    host.stop()
    host.unbind_everything()
    with claim(host.path):
        host.start()
        tables = [bed.table(NET), bed.table(INGRESS)]
        boxes = list(host.sandboxes.values())
        denied = host.ask("reconcile", networks=[NET, INGRESS], tables=tables, sandboxes=boxes)
        assert denied == INGRESS.id, "and the other overlay with its only task, which is on both"
        assert host.ask("remarks").count("UDP port 4789") == 2, "as found when looking, and as the reason"
    host.reconcile()
    assert host.ask("audit") == ""


def test_foreign_use_of_a_subnet_is_said(bed: Bed) -> None:
    host = bed.hosts[0]
    run_in(host.path, "ip", "route", "add", "10.7.0.128/25", "via", "192.0.2.200")
    run_in(host.path, "ip", "route", "add", "10.255.7.0/24", "via", "192.0.2.200")
    host.reconcile()
    said = host.ask("remarks").splitlines()
    overlay, mesh = (
        next(each for each in said if route in each) for route in ("10.7.0.128/25", "10.255.7.0/24")
    )
    assert overlay.startswith("warning")
    assert "overlaps the network subnet 10.7.0.0/24: tasks cannot reach what is there" in overlay
    assert "give the network another subnet" in overlay
    assert mesh.startswith("error")
    assert "make the ingress network anew with another subnet" in mesh
    run_in(host.path, "ip", "route", "del", "10.7.0.128/25")
    run_in(host.path, "ip", "route", "del", "10.255.7.0/24")
    host.reconcile()
    assert "overlaps" not in host.ask("remarks")


def test_a_link_that_carries_too_little_is_refused_and_one_that_shrinks_is_said(bed: Bed) -> None:
    host, second, _ = bed.hosts
    run_in(host.path, "ip", "link", "set", "eth0", "mtu", "600")
    host.call("reconcile", networks=[], tables=[], sandboxes=[])
    refused(host, "t1", r"MTU of 550, and the least is 576: the 600 of this host's link with 192.0.2.1")
    run_in(host.path, "ip", "link", "set", "eth0", "mtu", "1400")
    host.call("reconcile", networks=[INGRESS], tables=[], sandboxes=[])
    bed.attach(host, "t1", None, published=False)
    assert "mtu 1350" in run_in(host.task_path("t1"), "ip", "link", "show", "eth0")
    run_in(host.path, "ip", "link", "set", "eth0", "mtu", "1300")
    other = Attachment(INGRESS, bed.endpoint(INGRESS, host, "t8", "10.255.1.8"))
    host.call("attach", sandbox=Sandbox("t8", (other,)))
    new = replace(NET, id="m" * 25, vni=5007)
    host.call("learn", networks=[new])  # who looks, does so at once when there is something new
    eventually(
        lambda: "packets of 1300 bytes, and networks here were built for 1400" in host.ask("remarks"), ""
    )
    host.reconcile()
    assert "mtu 1250" in run_in(host.task_path("t1"), "ip", "link", "show", "eth0"), "read anew at a start"
    assert "were built for" not in host.ask("remarks")
    bed.attach(second, "t2", None, published=False)


@pytest.mark.parametrize("ipv6", [False, True])
def test_a_link_too_small_for_ipv6_stops_nothing_else_however_it_came_to_that(
    scratch: Path, ipv6: bool
) -> None:
    """What the networks leave of it is less than the 1,280 bytes without which the kernel has no IPv6 on a link."""
    bed = Bed(scratch, hosts=1, ipv6=ipv6)
    (host,) = bed.hosts

    def small(size: int) -> None:
        run_in(host.path, "ip", "link", "set", "eth0", "mtu", str(size))
        for _ in range(2):  # what stands is read back the second time
            host.reconcile()
            assert host.ask("audit", name="audit") == ""
            said = "network ingress): it has IPv6, which takes an MTU of 1280" in host.ask("remarks")
            assert said is (ipv6 and size - 50 < 1280)

    try:
        bed.build()
        small(1300)
        if ipv6:
            refused(host, "t1", "net1 has IPv6, which takes an MTU of 1280 or more")
        else:
            bed.attach(host, "t1", None)
        small(1500)
        if ipv6:
            bed.attach(host, "t1", None)
        small(1300)
        small(1200)
        small(1500)
    finally:
        bed.close()
