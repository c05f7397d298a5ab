"""What travels between two nodes of an encrypted network: nothing that can be read, and nothing forged comes in."""

import os
import select
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from covey import limits
from covey.io import netns
from covey.model.objects import Network
from tests.support.network_bed import Host, run_in
from tests.support.network_traffic import ask_tcp, eventually
from tests.support.tunnel_bed import PLAIN, SECRET, TunnelBed

pytestmark = pytest.mark.root

SAID = b"what nobody on the way may read"
_EVERYTHING = 3  # ETH_P_ALL


@contextmanager
def built(network: Network) -> Iterator[TunnelBed]:
    directory = Path(tempfile.mkdtemp(prefix=f"cvt{os.getpid()}-"))
    bed = TunnelBed(directory, network=network)
    try:
        bed.build()
        for number, host in enumerate(bed.members, 1):
            bed.join(host, f"t{number}")
        bed.push()
        eventually(lambda: bool(ask_tcp(bed.members[0].task_path("t1"), "10.7.0.2")), "the tasks meet")
        yield bed
    finally:
        bed.close()
        shutil.rmtree(directory)


def on_the_wire(host: Host, act: Callable[[], None]) -> list[bytes]:
    """The frames that pass the host's link while something is done."""
    with netns.socket_inside(host.path, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING)) as tap:
        tap.bind(("eth0", _EVERYTHING))
        act()
        frames = []
        while select.select([tap], [], [], 0.3)[0]:
            frames.append(tap.recv(65536))
    return frames


def talk(bed: TunnelBed) -> None:
    """Have the first task say something to the second, which hears it."""
    first, second = bed.members
    with (
        netns.socket_inside(second.task_path("t2"), socket.AF_INET, socket.SOCK_DGRAM) as hearing,
        netns.socket_inside(first.task_path("t1"), socket.AF_INET, socket.SOCK_DGRAM) as saying,
    ):
        hearing.bind(("0.0.0.0", 4000))
        hearing.settimeout(5)
        saying.sendto(SAID, ("10.7.0.2", 4000))
        assert hearing.recv(1000) == SAID


def test_what_is_said_on_an_encrypted_network_is_not_on_the_wire() -> None:
    with built(SECRET) as bed:
        frames = on_the_wire(bed.members[0], lambda: talk(bed))
        assert frames, "something passed"
        assert not [frame for frame in frames if SAID in frame]
        vxlan = struct.pack(">H", limits.vxlan_port)
        assert not [frame for frame in frames if frame[36:38] == vxlan], "not even VXLAN is seen"


def test_what_is_said_on_another_network_is() -> None:
    with built(PLAIN) as bed:
        frames = on_the_wire(bed.members[0], lambda: talk(bed))
        assert [frame for frame in frames if SAID in frame]


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def forged(vni: int) -> bytes:
    """What a task on the network would say to the first one, as VXLAN carries it."""
    mac = b"\x02\x42" + socket.inet_aton("10.7.0.1")
    udp = struct.pack(">HHHH", 5000, 4000, 8 + len(SAID), 0) + SAID
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
    header += socket.inet_aton("10.7.0.2") + socket.inet_aton("10.7.0.1")
    header = header[:10] + struct.pack(">H", _sum(header)) + header[12:]
    frame = mac + b"\x02\x42" + socket.inet_aton("10.7.0.2") + b"\x08\x00" + header + udp
    return struct.pack(">BxxxI", 0x08, vni << 8) + frame


def link_local(host: Host) -> str:
    listed = run_in(host.path, "ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link")
    return listed.split()[3].partition("/")[0]


def ifindex(host: Host) -> int:
    return int(run_in(host.path, "ip", "-o", "link", "show", "eth0").partition(":")[0])


def send(bed: TunnelBed, family: socket.AddressFamily, packet: bytes) -> None:
    """Send in plaintext what a tunnel should carry: from the other node, whose address is a good one."""
    first, second = bed.members
    with netns.socket_inside(second.path, family, socket.SOCK_DGRAM) as sender:
        if family is socket.AF_INET6:
            index = ifindex(second)
            sender.sendto(packet, (link_local(first), limits.vxlan_port, 0, index))
        else:
            sender.sendto(packet, (first.address, limits.vxlan_port))


def dropped(host: Host) -> int:
    said = host.ask("remarks") + run_in(host.path, "nft", "list", "table", "inet", "covey_tunnels")
    return sum(int(part.split()[0]) for part in said.split("counter packets ")[1:])


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_plaintext_for_an_encrypted_network_is_dropped_and_counted(
    tunnels: TunnelBed, family: socket.AddressFamily
) -> None:
    first, _ = tunnels.members
    eventually(
        lambda: "tentative" not in run_in(first.path, "ip", "-6", "addr", "show", "eth0"), "IPv6 is ready"
    )
    with netns.socket_inside(first.task_path("t1"), socket.AF_INET, socket.SOCK_DGRAM) as hearing:
        hearing.bind(("0.0.0.0", 4000))
        hearing.settimeout(0.5)
        before = dropped(first)
        for _ in range(3):
            send(tunnels, family, forged(SECRET.vni))
        with pytest.raises(TimeoutError):
            hearing.recv(1000)
        assert dropped(first) == before + 3
        assert first.ask("notes") == f"{before + 3} packets in plaintext for encrypted networks were dropped"
        eventually(lambda: "plaintext" in first.said(), "the log says so")

        first.stop()  # or the guard would be put back at once
        run_in(first.path, "nft", "delete", "table", "inet", "covey_tunnels")
        run_in(first.path, "nft", "flush", "table", "ip", "covey_underlay")
        send(tunnels, family, forged(SECRET.vni))
        if family is socket.AF_INET6:
            assert hearing.recv(1000) == SAID, "without the guard it is heard: it is well made"
        else:
            with pytest.raises(TimeoutError):
                hearing.recv(1000)  # the device's socket is of IPv6 alone
        first.start()
        tunnels.reconcile(first)
        send(tunnels, family, forged(SECRET.vni))
        with pytest.raises(TimeoutError):
            hearing.recv(1000)


def say(host: Host) -> None:
    """Have the task of this host say something to that of the other, thrice."""
    with netns.socket_inside(host.task_path("t1"), socket.AF_INET, socket.SOCK_DGRAM) as saying:
        for _ in range(3):
            saying.sendto(SAID, ("10.7.0.2", 4000))
            time.sleep(0.05)


def test_without_a_way_nothing_leaves_in_plaintext(tunnels: TunnelBed) -> None:
    """The worst case: the route over the tunnel is gone, and another one leads to the wire."""
    first, second = tunnels.members
    first.stop()
    run_in(first.path, "ip", "-6", "route", "del", f"{second.tunnel}/128")
    run_in(first.path, "ip", "-6", "route", "add", "default", "via", link_local(second), "dev", "eth0")

    assert not [frame for frame in on_the_wire(first, lambda: say(first)) if SAID in frame]
    run_in(first.path, "nft", "delete", "table", "inet", "covey_tunnels")
    assert [frame for frame in on_the_wire(first, lambda: say(first)) if SAID in frame], (
        "without the guard it would"
    )


def test_a_way_of_the_hosts_own_does_not_lead_past_the_tunnel(tunnels: TunnelBed) -> None:
    """Hosts with several providers mark packets, and route them anew by that, after they were on their way out."""
    first, second = tunnels.members
    by_mark = (
        "add table inet ways; add chain inet ways out { type route hook output priority mangle; }; "
        f"add rule inet ways out udp dport {limits.vxlan_port} meta mark set 7"
    )
    run_in(first.path, "nft", by_mark)
    run_in(first.path, "ip", "-6", "rule", "add", "fwmark", "7", "table", "77")
    out = ("default", "via", link_local(second), "dev", "eth0", "table", "77")
    run_in(first.path, "ip", "-6", "route", "add", *out)

    assert not [frame for frame in on_the_wire(first, lambda: say(first)) if SAID in frame]
    first.stop()
    run_in(first.path, "nft", "delete", "table", "inet", "covey_tunnels")
    assert [frame for frame in on_the_wire(first, lambda: say(first)) if SAID in frame], (
        "without the guard it would"
    )


def test_large_plaintext_in_pieces_does_not_come_in_either(tunnels: TunnelBed) -> None:
    """IPv6 fragments whose first says the port, and whose second the network."""
    first, second = tunnels.members
    eventually(
        lambda: "tentative" not in run_in(first.path, "ip", "-6", "addr", "show", "eth0"), "IPv6 is ready"
    )
    eventually(
        lambda: "tentative" not in run_in(second.path, "ip", "-6", "addr", "show", "eth0"), "IPv6 is ready"
    )
    source, target = link_local(second), link_local(first)
    body = forged(SECRET.vni)
    udp = struct.pack(">HHHH", 4789, limits.vxlan_port, 8 + len(body), 0)
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    pseudo += struct.pack(">II", len(udp) + len(body), 17)
    whole = udp + body
    checksum = _sum(pseudo + whole + b"\0" * (len(whole) % 2)) or 0xFFFF
    whole = udp[:6] + struct.pack(">H", checksum) + body
    pieces = [(0, 1, whole[:8]), (1, 0, whole[8:])]
    index = ifindex(second)
    with (
        netns.socket_inside(first.task_path("t1"), socket.AF_INET, socket.SOCK_DGRAM) as hearing,
        netns.socket_inside(second.path, socket.AF_INET6, socket.SOCK_RAW, 44) as raw,
    ):
        hearing.bind(("0.0.0.0", 4000))
        hearing.settimeout(0.5)

        def fire(number: int) -> None:
            for place, more, data in pieces:
                raw.sendto(
                    struct.pack(">BBHI", 17, 0, place << 3 | more, number) + data, (target, 0, 0, index)
                )

        fire(1)
        with pytest.raises(TimeoutError):
            hearing.recv(1000)
        first.stop()
        run_in(first.path, "nft", "delete", "table", "inet", "covey_tunnels")
        fire(2)
        assert hearing.recv(1000) == SAID, "without the guard it is heard: it is well made"


def behind_a_gateway(host: Host, task_id: str) -> None:
    """Give a task a way out over IPv6 by its host, under the host's address, as gateways do."""
    inside = host.task_path(task_id)
    run_in(host.path, "ip", "link", "add", "way0", "type", "veth", "peer", "name", "way1")
    run_in(host.path, "ip", "link", "set", "way1", "netns", str(inside))
    for path, link, address in ((host.path, "way0", "fd99::1/64"), (inside, "way1", "fd99::2/64")):
        run_in(path, "sysctl", "-q", "-w", f"net.ipv6.conf.{link}.disable_ipv6=0")
        run_in(path, "ip", "addr", "add", address, "dev", link, "nodad")
        run_in(path, "ip", "link", "set", link, "up")
    run_in(inside, "ip", "-6", "route", "add", "default", "via", "fd99::1")
    run_in(host.path, "sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1")
    masquerade = "add table ip6 way; add chain ip6 way out { type nat hook postrouting priority 100; }; "
    run_in(host.path, "nft", masquerade + "add rule ip6 way out ip6 saddr fd99::/64 masquerade")


def test_a_task_says_nothing_in_its_nodes_name_through_a_tunnel(tunnels: TunnelBed) -> None:
    """What it would send to another node by a gateway would come from a node there, well encrypted."""
    first, second = tunnels.members
    behind_a_gateway(second, "t2")
    with (
        netns.socket_inside(first.task_path("t1"), socket.AF_INET, socket.SOCK_DGRAM) as hearing,
        netns.socket_inside(second.task_path("t2"), socket.AF_INET6, socket.SOCK_DGRAM) as saying,
    ):
        hearing.bind(("0.0.0.0", 4000))
        hearing.settimeout(0.5)
        before = dropped(second)
        saying.sendto(forged(SECRET.vni), (first.tunnel, limits.vxlan_port))
        with pytest.raises(TimeoutError):
            hearing.recv(1000)
        assert dropped(second) == before + 1
        told = second.ask("notes").splitlines()
        assert "1 packets that tasks sent to addresses of tunnels, which are nodes' own, were dropped" in told
        assert not before or f"{before} packets in plaintext" in told[0], "which these are not"
        assert len(told) == (2 if before else 1)
        second.stop()
        run_in(second.path, "nft", "flush", "chain", "inet", "covey_tunnels", "passing")
        saying.sendto(forged(SECRET.vni), (first.tunnel, limits.vxlan_port))
        assert hearing.recv(1000) == SAID, "without the guard it is heard: it is well made"
