"""Audits of a node's networks: each kind of fault is planted, found, put right, and nothing else is touched."""

import socket
import subprocess
from collections.abc import Callable, Mapping

import pytest

from covey.io import netns
from covey.model.states import EndpointState
from tests.support.network_bed import NET, PUBLISHED, VIP, Bed, Host, run_in
from tests.support.network_traffic import ask_tcp, eventually

pytestmark = pytest.mark.root

BOX = f"net-{NET.id}"
Fault = Callable[[Host], None]


def amiss(host: Host, *, repair: bool = False, **living: netns.Process) -> list[tuple[str, str]]:
    """What an audit finds: kinds and places."""
    told = host.ask("audit", name="repair" if repair else "", processes=told_as(living))
    print(told)
    return [(kind, place) for kind, place, _ in (line.split("\t") for line in told.splitlines())]


def told_as(living: Mapping[str, netns.Process]) -> dict[str, tuple[int, int]]:
    return {id: (each.pid, each.began) for id, each in living.items()}


def inside(host: Host, name: str, command: str) -> None:
    path = host.path if not name else host.netns_dir / name
    run_in(path, *command.split())


def lose_table(host: Host) -> None:
    inside(host, "", "nft delete table ip covey_mesh")


def lose_namespace(host: Host) -> None:
    netns.delete(host.netns_dir / BOX)


def leave_namespace(host: Host) -> None:
    netns.create(host.netns_dir / "nobody")


def leave_link(host: Host) -> None:
    inside(host, "", "ip link add covey_x type bridge")


def leave_name(host: Host) -> None:
    (host.netns_dir / "torn").touch()


Planted = tuple[str, str | Fault, tuple[str, str]]
SERVICES = "ip covey_vip services"
RULE: tuple[str, str] = ("rule", "the node")

FAULTS: dict[str, Planted] = {
    # What is missing
    "address": ("ip addr del 10.7.0.1/24 dev eth0", "t1", ("address", "t1")),
    "VIPs": ("nft delete table ip covey_vip", "t1", ("VIP", "t1")),
    "VIP": (f"nft delete element {SERVICES} {{ {VIP} }}", "t1", ("VIP", "t1")),
    "forward": ("bridge fdb del 02:42:0a:07:00:02 dev vx0", BOX, ("FDB", BOX)),
    "port's MAC": ("bridge fdb del 02:42:0a:07:00:01 dev PORT master static", BOX, ("FDB", BOX)),
    "neighbour": ("ip neigh del 10.7.0.2 dev vx0", BOX, ("neighbour", BOX)),
    "client's neighbour": ("ip neigh del 169.254.0.1 dev eth1", "t1", ("neighbour", "t1")),
    "route": ("ip route del default", "t1", ("route", "t1")),
    "way back": ("ip route del default table 100", "t1", ("route", "t1")),
    "policy": ("ip rule del pref 100", "t1", ("rule", "t1")),
    "table": ("", lose_table, RULE),
    "port": ("nft delete element ip covey_mesh ports { tcp . 8080 }", "", RULE),
    "rules": ("nft flush chain ip covey_mesh forward", "", RULE),
    "node": ("nft delete element ip covey_underlay nodes { 192.0.2.2 }", "", RULE),
    "link table": ("nft delete table netdev covey_egress", "t1", ("rule", "t1")),
    "link": ("ip link del PORT", BOX, ("link", BOX)),
    "namespace": ("", lose_namespace, ("namespace", BOX)),
    # What is otherwise than it should be
    "another forward": (
        "bridge fdb replace 02:42:0a:07:00:02 dev vx0 dst 192.0.2.77 self permanent",
        BOX,
        ("FDB", BOX),
    ),
    "another neighbour": (
        "ip neigh replace 10.7.0.2 lladdr 02:42:0a:07:00:63 nud permanent dev vx0",
        BOX,
        ("neighbour", BOX),
    ),
    "another route": ("ip route replace default via OTHER dev eth2", "t1", ("route", "t1")),
    "link down": ("ip link set br0 down", BOX, ("link", BOX)),
    "mtu": ("ip link set eth0 mtu 1300", "t1", ("link", "t1")),
    "bridge": ("ip link set PORT nomaster", BOX, ("link", BOX)),
    "setting": ("sysctl -qw net.ipv4.conf.all.rp_filter=1", "t1", ("sysctl", "t1")),
    # What is there twice, or is another's: neighbours and FDB entries of one MAC cannot be
    "address of another": ("ip addr add 10.7.0.2/24 dev eth0", "t1", ("address", "t1")),
    "rule of a VIP": (f"nft add rule ip covey_vip vip-{VIP} dnat to 10.7.0.2", "t1", ("VIP", "t1")),
    "second route": ("ip route add default via GATEWAY dev eth2 metric 50", "t1", ("route", "t1")),
    "route beside": ("ip route append default via OTHER dev eth2", "t1", ("route", "t1")),
    # What belongs to nothing
    "strange address": ("ip addr add 10.9.9.9/24 dev eth0", "t1", ("address", "t1")),
    "strange VIP": (f"nft add element {SERVICES} {{ 10.7.0.77 : jump vip-{VIP} }}", "t1", ("VIP", "t1")),
    "strange map": ("nft add map ip covey_vip odd { type ether_addr : verdict ; }", "t1", ("VIP", "t1")),
    "map for all": (f"nft add element {SERVICES} {{ * : drop }}", "t1", ("VIP", "t1")),
    "strange chain": ("nft add chain ip covey_vip vip-10.7.0.99", "t1", ("VIP", "t1")),
    "strange forward": (
        "bridge fdb add 02:42:0a:07:00:63 dev vx0 dst 192.0.2.9 self permanent",
        BOX,
        ("FDB", BOX),
    ),
    "forward of everything": (
        "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.77 self permanent",
        BOX,
        ("FDB", BOX),
    ),
    "strange MAC of a port": ("bridge fdb add 02:42:0a:07:00:63 dev PORT master static", BOX, ("FDB", BOX)),
    "strange neighbour": (
        "ip neigh add 10.7.0.99 lladdr 02:42:0a:07:00:63 nud permanent dev vx0",
        BOX,
        ("neighbour", BOX),
    ),
    "strange route": ("ip route add 198.18.0.0/15 via GATEWAY", "t1", ("route", "t1")),
    "strange policy": ("ip rule add fwmark 0x1234 lookup 77 pref 100", "t1", ("rule", "t1")),
    "strange rule": ("nft add rule ip covey_mesh prerouting counter", "", RULE),
    "strange port": ("nft add element ip covey_mesh ports { tcp . 9999 : jump tcp-8080 }", "", RULE),
    "strange node": ("nft add element ip covey_underlay nodes { 192.0.2.99 }", "", RULE),
    "strange link": ("", leave_link, ("link", "the node")),
    "strange namespace": ("", leave_namespace, ("namespace", "nobody")),
    "name of no namespace": ("", leave_name, ("namespace", "torn")),
}


def plant(host: Host, fault: str) -> tuple[str, str]:
    command, where, expected = FAULTS[fault]
    if callable(where):
        where(host)
    else:
        inside(host, where, " ".join(word_for(host, word) for word in command.split()))
    return expected


def word_for(host: Host, word: str) -> str:
    """What differs from host to host: the gateway of tasks, another address beside it, a task's port on its bridge."""
    if word == "PORT":
        listed = run_in(host.netns_dir / BOX, "ip", "-o", "link", "show", "type", "veth")
        return listed.split(":")[1].strip().partition("@")[0]
    if word in ("GATEWAY", "OTHER"):
        gateway = run_in(host.task_path("t1"), "ip", "route", "show", "default").split()[2]
        return gateway if word == "GATEWAY" else f"{gateway.rpartition('.')[0]}.99"
    return word


def of_the_owner(host: Host) -> tuple[str, list[str]]:
    link = run_in(host.path, "ip", "addr", "show", "ownlink")
    return link, sorted(run_in(host.path, "nft", "list", "tables").splitlines())


def test_each_fault_is_found_and_put_right_and_nothing_else(bed: Bed) -> None:
    first, second, _ = bed.hosts
    bed.attach(first, "t1", None)
    bed.attach(second, "t2", EndpointState.ACTIVE)
    bed.push()
    for name in ("link", "table"):  # the owner's own
        inside(first, "", f"ip link add own{name} type bridge")
    inside(first, "", "nft add table ip own")
    inside(first, "", "ip addr add 198.51.100.7/32 dev ownlink")
    assert amiss(first) == []
    owners = of_the_owner(first)

    for fault in FAULTS:
        expected = plant(first, fault)
        found = amiss(first)
        assert expected in found, fault
        assert len({place for _, place in found}) == 1 or fault == "namespace", f"{fault}: {found}"
        assert amiss(first) == found, "looking changes nothing"
        assert amiss(first, repair=True) == [], fault
    assert of_the_owner(first) == owners
    assert ask_tcp(first.task_path("t1"), "10.7.0.2", 80)
    assert ask_tcp(bed.outside, first.address, PUBLISHED)


def test_many_faults_at_once(bed: Bed) -> None:
    first, second, _ = bed.hosts
    bed.attach(first, "t1", None)
    bed.attach(second, "t2", EndpointState.ACTIVE)
    bed.push()
    together = ("forward", "neighbour", "strange address", "route", "table", "strange link")
    expected = {plant(first, fault) for fault in together}
    assert set(amiss(first)) == expected
    assert amiss(first, repair=True) == []
    assert ask_tcp(first.task_path("t1"), "10.7.0.2", 80)


def test_a_strange_table_of_ours_is_told_and_left(bed: Bed) -> None:
    (host, *_) = bed.hosts
    inside(host, "", "nft add table ip6 covey_old")
    assert amiss(host, repair=True) == [("rule", "the node")]
    assert "covey_old" in run_in(host.path, "nft", "list", "tables")


def test_the_namespace_of_a_living_container_is_found_again(bed: Bed) -> None:
    """Its name was unbound, and an empty one was made in its place: the container's is the right one."""
    first, second, _ = bed.hosts
    bed.attach(first, "t1", None)
    bed.attach(second, "t2", EndpointState.ACTIVE)
    bed.push()
    path = first.task_path("t1")
    with subprocess.Popen(["nsenter", f"--net={path}", "sleep", "600"]) as container:
        try:
            process = netns.process(container.pid)
            while not netns.holds(path, process):
                pass
            netns.delete(path)
            assert ("namespace", "t1") in amiss(first, t1=process)
            assert amiss(first, repair=True, t1=process) == []
            assert netns.holds(path, process)

            netns.delete(path)
            first.reconcile()
            assert amiss(first, t1=process) == [("namespace", "t1")]
            assert amiss(first, repair=True, t1=process) == []
            assert netns.holds(path, process)
            assert ask_tcp(path, "10.7.0.2", 80)

            netns.delete(path)
            first.reconcile(told_as({"t1": process}))
            assert netns.holds(path, process), "an agent that begins knows whose it is"
            assert amiss(first, t1=process) == []
            assert ask_tcp(path, "10.7.0.2", 80)
        finally:
            container.kill()


def test_a_connection_to_nobody_is_found_and_forgotten(bed: Bed) -> None:
    """It began while nothing led its packets on: whoever talks there would talk to nobody for as long as it talks."""
    first, second, _ = bed.hosts
    bed.attach(first, "t1", None)
    bed.attach(second, "t2", EndpointState.ACTIVE)
    bed.push()
    path = first.task_path("t1")
    inside(first, "t1", f"nft delete element ip covey_vip services {{ {VIP} }}")
    with netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"x", (VIP, 80))
        assert amiss(first) == [("VIP", "t1"), ("conntrack", "t1")]
        assert amiss(first, repair=True) == []
        client.sendto(b"x", (VIP, 80))
        assert client.recv(100).startswith(b"t2"), "the same socket, by another way"


def test_a_connection_from_outside_to_nobody_is_found_and_forgotten(bed: Bed) -> None:
    """By the host's published port to an address that no task has: as if the host had missed that somebody went."""
    first, second, _ = bed.hosts
    bed.attach(second, "t2", EndpointState.ACTIVE)
    bed.push()
    for change in ("flush chain", "add rule"):
        to = " meta l4proto udp dnat to 10.255.1.77:80" if change == "add rule" else ""
        inside(first, "", f"nft {change} ip covey_mesh udp-{PUBLISHED}{to}")
    with netns.socket_inside(bed.outside, socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"x", (first.address, PUBLISHED))
        eventually(lambda: ("conntrack", "the node") in amiss(first), "the packet to have come")
        assert sorted(amiss(first)) == [("conntrack", "the node"), ("rule", "the node")]
        assert amiss(first, repair=True) == []
        client.sendto(b"x", (first.address, PUBLISHED))
        assert client.recv(100).startswith(b"t2"), "the same socket, by another way"
