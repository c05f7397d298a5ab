"""VXLAN packets of senders that are no node: made by hand, sent from outside, and dropped before the device."""

import socket
import struct
from pathlib import Path

import pytest

from covey import limits
from covey.io import netns
from covey.model.states import EndpointState
from tests.support.network_bed import INGRESS, NET, OUTSIDE, Bed, Host, run_in
from tests.support.network_traffic import ask_tcp, eventually

pytestmark = pytest.mark.root

PAYLOAD = b"forged"


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def inner(to: str, port: int = 4000) -> bytes:
    """A UDP packet to a task in an Ethernet frame, as its neighbour on the overlay would send it."""
    mac = b"\x02\x42" + socket.inet_aton(to)
    udp = struct.pack(">HHHH", 5000, port, 8 + len(PAYLOAD), 0) + PAYLOAD
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
    header += socket.inet_aton("10.7.0.99") + socket.inet_aton(to)
    header = header[:10] + struct.pack(">H", _sum(header)) + header[12:]
    return mac + b"\x02\x42\x0a\x07\x00\x63" + b"\x08\x00" + header + udp


def vxlan(vni: int, frame: bytes, reserved: int = 0) -> bytes:
    return struct.pack(">BxxxI", 0x08, vni << 8 | reserved) + frame


def forge(bed: Bed, to: Host, packet: bytes, times: int = 1, source: str = OUTSIDE) -> None:
    with netns.socket_inside(bed.outside, socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        for _ in range(times):
            sender.sendto(packet, (to.address, limits.vxlan_port))


def udp(source: str, to: str, payload: bytes) -> bytes:
    """A packet to the VXLAN port that says it is from `source`."""
    header = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(payload), 1, 0, 64, 17, 0)
    ports = struct.pack(">HHHH", 50_000, limits.vxlan_port, 8 + len(payload), 0)
    return header + socket.inet_aton(source) + socket.inet_aton(to) + ports + payload


def send_raw(task: Path, packet: bytes, to: Host) -> None:
    with netns.socket_inside(task, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.sendto(packet, (to.address, 0))


def listen(task: Path) -> socket.socket:
    opened = netns.socket_inside(task, socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("0.0.0.0", 4000))
    opened.settimeout(0.5)
    return opened


def remarked(host: Host) -> str:
    host.call("reconcile", networks=[NET, INGRESS], tables=[], sandboxes=list(host.sandboxes.values()))
    return host.ask("remarks")


def rules(host: Host) -> str:
    return run_in(host.path, "nft", "list", "table", "ip", "covey_underlay")


def test_what_no_node_sent_is_dropped_counted_and_named(bed: Bed) -> None:
    first, second, _ = bed.hosts
    bed.attach(first, "t1", EndpointState.ACTIVE, published=False)
    bed.attach(second, "t2", EndpointState.ACTIVE, published=False)
    bed.push()
    task = first.task_path("t1")
    assert ask_tcp(task, "10.7.0.2"), "the tasks meet"
    with listen(task) as heard:
        run_in(first.path, "nft", "delete", "table", "ip", "covey_underlay")
        forge(bed, first, vxlan(NET.vni, inner("10.7.0.1")))
        assert heard.recv(100) == PAYLOAD, "a forged packet that nobody stops arrives: it is well made"
        first.reconcile()
        forge(bed, first, vxlan(NET.vni, inner("10.7.0.1")), 3)
        forge(bed, first, vxlan(NET.vni, inner("10.7.0.1"), reserved=7), 2)
        forge(bed, first, vxlan(INGRESS.vni, inner("10.7.0.1")), 1)
        with pytest.raises(TimeoutError):
            heard.recv(100)
        assert "counter packets 6 " in rules(first)
        forge(bed, first, vxlan(4242, inner("10.7.0.1")))
        assert "counter packets 6 " in rules(first), "other VNIs are somebody else's affair"
    assert ask_tcp(task, "10.7.0.2"), "nodes are heard as before"
    said = remarked(first)
    assert "5 VXLAN packets or more" in said
    assert OUTSIDE in said
    assert "VXLAN" not in remarked(second)
    first.reconcile()
    assert first.ask("audit") == ""


def test_vxlan_takes_no_place_in_the_hosts_table_of_connections(bed: Bed) -> None:
    first, second, _ = bed.hosts
    bed.attach(first, "t1", EndpointState.ACTIVE, published=False)
    bed.attach(second, "t2", EndpointState.ACTIVE, published=False)
    bed.push()

    def tracked() -> str:
        entries = run_in(first.path, "cat", "/proc/net/nf_conntrack").splitlines()
        return "\n".join(each for each in entries if f"dport={limits.vxlan_port} " in each)

    assert ask_tcp(first.task_path("t1"), "10.7.0.2")
    assert not tracked()
    for host in (first, second):
        run_in(host.path, "nft", "flush", "chain", "ip", "covey_underlay", "arriving")
        run_in(host.path, "nft", "flush", "chain", "ip", "covey_underlay", "leaving")
    assert ask_tcp(first.task_path("t1"), "10.7.0.2")
    assert "192.0.2.2" in tracked(), "without these rules it does: the host tracks connections"


def test_large_packets_in_fragments_are_no_way_in(bed: Bed) -> None:
    first, second, _ = bed.hosts
    bed.attach(first, "t1", EndpointState.ACTIVE, published=False)
    bed.attach(second, "t2", EndpointState.ACTIVE, published=False)
    bed.push()
    frame = inner("10.7.0.1") + bytes(3000)
    forge(bed, first, vxlan(NET.vni, frame), 2)
    eventually(lambda: "counter packets 2 " in rules(first), "fragments are put together and counted")


def test_a_task_sends_no_vxlan_in_its_nodes_name(bed: Bed) -> None:
    """Masqueraded, it would come from a node that is known."""
    first, second, _ = bed.hosts
    bed.attach(first, "t1", EndpointState.ACTIVE, published=False)
    bed.attach(second, "t2", EndpointState.ACTIVE, published=False)
    bed.push()
    saying = netns.socket_inside(second.task_path("t2"), socket.AF_INET, socket.SOCK_DGRAM)
    with listen(first.task_path("t1")) as heard, saying:
        packet = vxlan(NET.vni, inner("10.7.0.1"))
        saying.sendto(packet, (first.address, limits.vxlan_port))
        with pytest.raises(TimeoutError):
            heard.recv(100)
        assert "counter packets 1 " in run_in(second.path, "nft", "list", "table", "ip", "covey_gateway")
        run_in(second.path, "nft", "flush", "chain", "ip", "covey_gateway", "forward")
        saying.sendto(packet, (first.address, limits.vxlan_port))
        assert heard.recv(100) == PAYLOAD, "without the rule it is heard: it is well made"
        second.reconcile()
        saying.sendto(packet, (first.address, limits.vxlan_port))
        with pytest.raises(TimeoutError):
            heard.recv(100)
    assert second.ask("audit") == ""


def test_a_task_forges_no_node(bed: Bed) -> None:
    """With a raw socket, which tasks may open, any address can be put on a packet: by the link it is known."""
    first, second, third = bed.hosts
    bed.attach(first, "t1", EndpointState.ACTIVE)
    bed.attach(second, "t2", EndpointState.ACTIVE)
    bed.push()
    forger = first.task_path("t1")
    to_its_node = udp(second.address, first.address, vxlan(NET.vni, inner("10.7.0.1")))
    to_another = udp(third.address, second.address, vxlan(NET.vni, inner("10.7.0.2")))
    with listen(forger) as here, listen(second.task_path("t2")) as there:
        for via in ("", first.ingress, second.ingress):  # by its gateway, or through the mesh's network
            for packet, host, heard in ((to_its_node, first, here), (to_another, second, there)):
                if via:
                    run_in(forger, "ip", "route", "replace", host.address, "via", via, "dev", "eth1")
                send_raw(forger, packet, host)
                with pytest.raises(TimeoutError):
                    print(f"by {via or 'the gateway'} to {host.node_id}:", heard.recv(100))
    assert ask_tcp(forger, "10.7.0.2"), "nodes are heard as before"
    assert "2 VXLAN packets or more that tasks on this node made themselves were dropped" in remarked(first)
    assert "from addresses that are no node's" not in remarked(first), "that would be somebody else's doing"


def test_nodes_come_and_go_by_elements(bed: Bed) -> None:
    """A changed set must not reset the count: its rules stay as they are."""
    first, second, third = bed.hosts
    bed.attach(first, "t1", EndpointState.ACTIVE, published=False)
    bed.push()
    with listen(first.task_path("t1")) as heard:
        run_in(bed.outside, "ip", "addr", "add", "192.0.2.9/24", "dev", "eth0")
        packet = vxlan(NET.vni, inner("10.7.0.1"))
        forge(bed, first, packet, 4, "192.0.2.9")
        with pytest.raises(TimeoutError):
            heard.recv(100)
        second.address = "192.0.2.9"  # a node that has moved
        bed.push()
        forge(bed, first, packet, 1, "192.0.2.9")
        assert heard.recv(100) == PAYLOAD
        assert "counter packets 4 " in rules(first)
        assert {"192.0.2.2", "192.0.2.9"} & set(_nodes(first)) == {"192.0.2.9"}
        assert third.address in _nodes(first)
        second.address = "192.0.2.2"
        bed.push()
        forge(bed, first, packet, 1, "192.0.2.9")
        with pytest.raises(TimeoutError):
            heard.recv(100)
    assert first.ask("audit") == ""


def _nodes(host: Host) -> list[str]:
    listed = run_in(host.path, "nft", "list", "set", "ip", "covey_underlay", "nodes")
    return listed.partition("elements = {")[2].partition("}")[0].replace(",", " ").split()


def test_without_networks_nothing_is_filtered(bed: Bed) -> None:
    first = bed.hosts[0]
    assert "covey_underlay" in run_in(first.path, "nft", "list", "tables"), "ingress is there"
    first.call("forget", name=INGRESS.id)
    assert "covey_underlay" not in run_in(first.path, "nft", "list", "tables")


def test_audits_find_who_was_let_in(bed: Bed) -> None:
    first, second, third = bed.hosts
    bed.attach(first, "t1", EndpointState.ACTIVE, published=False)
    bed.push()
    nodes = ["ip", "covey_underlay", "nodes"]
    run_in(first.path, "nft", "add", "element", *nodes, f"{{ {OUTSIDE} }}")
    run_in(first.path, "nft", "delete", "element", *nodes, f"{{ {second.address} }}")
    found = first.ask("audit").splitlines()
    assert {each.split("\t")[2] for each in found} == {
        f"{OUTSIDE} in map nodes of table covey_underlay belongs to nothing here",
        f"{second.address} in map nodes of table covey_underlay is missing",
    }
    run_in(first.path, "nft", "flush", "chain", "ip", "covey_underlay", "input")
    assert "table covey_underlay has other base chains" in first.ask("audit")
    assert first.ask("audit", name="repair") == ""
    assert set(_nodes(first)) == {second.address, third.address}
