"""Tasks with interfaces of their own on the hosts' LAN, on the real kernel."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.network.seam import Attachment, Sandbox
from covey.model.objects import Network, Subnet
from covey.model.specs import NetworkSpec
from tests.support.network_bed import NET, OUTSIDE, Bed, Host, run_in
from tests.support.network_traffic import eventually

pytestmark = pytest.mark.root
LAN = Network(
    id="l" * 25,
    spec=NetworkSpec(name="lan", driver="macvlan", options={"parent": "eth0"}),
    subnets=(Subnet(cidr="192.0.2.0/24", gateway=OUTSIDE),),
)


def join(
    bed: Bed, host: Host, task: str, address: str, network: Network = LAN, *, beside: bool = False
) -> Path:
    attachments = [Attachment(network, bed.endpoint(network, host, task, address))]
    if beside:
        attachments.insert(0, Attachment(NET, bed.endpoint(NET, host, task, "10.7.0.9")))
    host.sandboxes[task] = Sandbox(task, tuple(attachments))
    return Path(host.ask("attach", sandbox=host.sandboxes[task]))


def ping(path: Path, address: str) -> None:
    run_in(path, "ping", "-c1", "-W5", "-q", address)


def test_tasks_stand_on_the_lan_and_leave_by_its_gateway(bed: Bed) -> None:
    one, two, _ = bed.hosts
    a, b = join(bed, one, "t1", "192.0.2.101"), join(bed, one, "t2", "192.0.2.102", beside=True)
    c = join(bed, two, "t3", "192.0.2.103")
    for path, others in ((a, (102, 103, 200)), (b, (101, 103)), (bed.outside, (101, 102, 103)), (c, (101,))):
        for number in others:
            ping(path, f"192.0.2.{number}")
    assert f"default via {OUTSIDE} dev eth0" in run_in(a, "ip", "route")
    assert f"default via {OUTSIDE} dev eth1" in run_in(b, "ip", "route")
    assert "02:42:c0:00:02:65" in run_in(a, "ip", "link", "show", "eth0")
    assert one.ask("remarks") == ""  # that the host is on this LAN is as it should be


def test_a_restart_leaves_them_as_they_are_and_an_audit_sees_what_is_amiss(bed: Bed) -> None:
    host = bed.hosts[0]
    path = join(bed, host, "t1", "192.0.2.101")
    before = run_in(path, "ip", "-o", "link")
    host.stop()
    host.start()
    host.reconcile()
    assert run_in(path, "ip", "-o", "link") == before
    assert host.ask("audit") == ""
    run_in(path, "ip", "link", "del", "eth0")
    assert host.ask("audit") == "link\tt1\teth0 is missing"
    assert host.ask("audit", name="repair") == ""
    ping(bed.outside, "192.0.2.101")
    run_in(path, "ip", "link", "set", "eth0", "type", "macvlan", "mode", "private")
    assert "eth0 is of another make" in host.ask("audit")
    host.ask("audit", name="repair")
    assert "mode bridge" in run_in(path, "ip", "-d", "link", "show", "eth0")
    host.sandboxes.pop("t1")
    host.call("detach", name="t1")
    assert host.ask("audit") == ""


def test_a_host_without_the_interface_says_so_and_goes_on(bed: Bed) -> None:
    host = bed.hosts[0]
    far = Network(
        id="f" * 25,
        spec=NetworkSpec(name="far", driver="macvlan", options={"parent": "eth7"}),
        subnets=LAN.subnets,
    )
    with pytest.raises(
        AssertionError, match=r"network far: this node has no interface eth7 .*there are eth0.*constrain"
    ):
        join(bed, host, "t1", "192.0.2.101", far)
    host.sandboxes.pop("t1")
    run_in(host.path, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
    run_in(host.path, "ip", "link", "set", "eth7", "up")
    join(bed, host, "t1", "192.0.2.101", far)
    run_in(host.path, "ip", "link", "del", "eth7")  # and what stood on it goes too
    ping_me = join(bed, host, "t2", "192.0.2.102")
    ping(ping_me, OUTSIDE)
    host.stop()
    host.start()
    host.call("reconcile", networks=[], tables=[], sandboxes=list(host.sandboxes.values()))
    ping(ping_me, OUTSIDE)
    assert "network far goes by interface eth7, which this node has no more" in host.ask("remarks")
    assert host.ask("audit") == ""
    run_in(host.path, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
    host.call("learn", networks=[NET])  # the host is looked at soon
    eventually(lambda: "eth0" in run_in(host.task_path("t1"), "ip", "link"), "its place on the LAN")
    eventually(lambda: "eth7" not in host.ask("remarks"), "the remark to go")
    assert "192.0.2.101/24" in run_in(host.task_path("t1"), "ip", "addr", "show", "eth0")


def test_an_interface_in_other_use_is_named(bed: Bed) -> None:
    host = bed.hosts[0]
    run_in(host.path, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
    run_in(host.path, "ip", "link", "add", "br7", "type", "bridge")
    run_in(host.path, "ip", "link", "set", "eth7", "master", "br7")
    taken = Network(
        id="f" * 25,
        spec=NetworkSpec(name="far", driver="macvlan", options={"parent": "eth7"}),
        subnets=LAN.subnets,
    )
    with pytest.raises(AssertionError, match="this node has no interface eth7 that it could go by"):
        join(bed, host, "t1", "192.0.2.101", taken)


def test_both_families_are_there(bed: Bed) -> None:
    host = bed.hosts[0]
    both = replace(LAN, subnets=(*LAN.subnets, Subnet(cidr="fd00:7::/64", gateway="fd00:7::1")))
    one = bed.endpoint(both, host, "t1", "192.0.2.101")
    own = "fd00:7::c000:265"
    sandbox = Sandbox("t1", (Attachment(both, replace(one, addresses=(*one.addresses, own))),))
    path = Path(host.ask("attach", sandbox=sandbox))
    run_in(bed.outside, "ip", "addr", "add", "fd00:7::1/64", "dev", "eth0", "nodad")
    run_in(bed.outside, "ip", "addr", "add", "fd00:8::1/128", "dev", "lo")
    ping(bed.outside, own)
    ping(path, "fd00:8::1")  # by the gateway
    assert host.ask("audit") == ""
