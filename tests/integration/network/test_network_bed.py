"""Three hosts, real namespaces, real packets: overlays, virtual addresses, the mesh, faults."""

import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from agent.network.seam import Attachment, Sandbox
from covey.io import netns
from covey.model.states import EndpointState
from tests.support.network_bed import INGRESS, NET, OUTSIDE, PUBLISHED, VIP, Bed, Host, run_in
from tests.support.network_traffic import (
    ask_tcp,
    ask_udp,
    asked,
    connect,
    eventually,
    greet,
    large_both_ways,
    names_of,
)

pytestmark = pytest.mark.root

BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
ACTIVE, DRAINING, JOINING = EndpointState.ACTIVE, EndpointState.DRAINING, EndpointState.JOINING


def populate(bed: Bed) -> None:
    """t1 calls from h1; the service's t2 is beside it, t3 and t4 on h2, t5 on h3."""
    first, second, third = bed.hosts
    bed.attach(first, "t1", None, published=False)
    bed.attach(first, "t2", ACTIVE)
    bed.attach(second, "t3", ACTIVE)
    bed.attach(second, "t4", ACTIVE)
    bed.attach(third, "t5", ACTIVE)
    bed.push()


def test_overlay_and_virtual_address(bed: Bed) -> None:
    populate(bed)
    client = bed.hosts[0].task_path("t1")

    # every task by its own address, on the same host and across, with exactly the MTU that fits
    for number in (2, 3, 4, 5):
        assert ask_tcp(client, f"10.7.0.{number}") == {(f"t{number}", "10.7.0.1"): 1}
    run_in(client, "ping", "-c1", "-W2", "-Mdo", f"-s{1450 - 28}", "10.7.0.3")
    with pytest.raises(AssertionError, match=r"mtu|too long"):
        run_in(client, "ping", "-c1", "-W2", "-Mdo", f"-s{1451 - 28}", "10.7.0.3")
    large_both_ways(client, "10.7.0.3")

    # the virtual address: evenly, and the backend sees the caller itself
    assert ask_tcp(client, VIP, times=40) == {(f"t{each}", "10.7.0.1"): 10 for each in (2, 3, 4, 5)}
    assert sum(ask_udp(client, VIP, times=8).values()) == 8
    backend = bed.hosts[1].task_path("t3")
    assert names_of(ask_tcp(backend, VIP, times=8))["t3"] == 2, "a backend may be sent to itself"

    _draining_keeps_old_connections(bed, client)
    _a_removed_backend_is_let_go(bed, client)
    _an_empty_service_refuses_at_once(bed, client)


def _draining_keeps_old_connections(bed: Bed, client: Path) -> None:
    old = [connect(client, VIP) for _ in range(4)]
    try:
        served = {greet(each)[0]: each for each in old}
        assert served.keys() == {"t2", "t3", "t4", "t5"}
        bed.states["t3"], bed.states["t4"] = DRAINING, JOINING
        bed.push()
        assert names_of(ask_tcp(client, VIP, times=10)) == {"t2": 5, "t5": 5}
        for name in ("t2", "t3", "t5"):  # t4 has only come: what was sent to its address was another's
            served[name].sendall(b"still there")
            assert served[name].recv(100) == b"still there"
    finally:
        for each in old:
            each.close()
    bed.states["t3"] = bed.states["t4"] = ACTIVE
    bed.push()


def _connect_to(client: Path, wanted: str) -> socket.socket:
    """A connection by the virtual address that one backend in particular took."""
    for _ in range(20):
        opened = connect(client, VIP)
        if greet(opened)[0] == wanted:
            return opened
        opened.close()
    raise AssertionError(f"{wanted} was never sent anything")


def _a_removed_backend_is_let_go(bed: Bed, client: Path) -> None:
    """The second host loses power: who talked to its tasks is told, or finds another, once the table says so."""
    with _flow_to(client, "t3") as flow, _connect_to(client, "t3") as stream:
        second = bed.hosts[1]
        second.stop()
        run_in(second.path, "ip", "link", "set", "eth0", "down")
        second.sandboxes.clear()
        bed.push()
        eventually(lambda: asked(flow) in ("t2", "t5"), "the flow never found another backend", 10)
        stream.sendall(b"anyone?")
        with pytest.raises(ConnectionResetError):
            stream.recv(100)


def _flow_to(client: Path, wanted: str) -> socket.socket:
    """A UDP flow by the virtual address that one backend in particular took."""
    for _ in range(20):
        flow = netns.socket_inside(client, socket.AF_INET, socket.SOCK_DGRAM)
        flow.settimeout(0.5)
        flow.connect((VIP, 80))
        if asked(flow) == wanted:
            return flow
        flow.close()
    raise AssertionError(f"{wanted} was never sent anything")


def _an_empty_service_refuses_at_once(bed: Bed, client: Path) -> None:
    with connect(client, VIP) as old:
        greet(old)
        for each in bed.states:
            bed.states[each] = DRAINING
        bed.push()
        for _ in range(10):  # the kernel lets go of removed rules a moment later
            old.sendall(b"still there")
            assert old.recv(100) == b"still there", "the last backend drains too"
            time.sleep(0.02)
    for _ in range(50):  # each of them: the kernel would soon hold back what it says by ICMP
        with pytest.raises(ConnectionRefusedError):
            connect(client, VIP)
        with pytest.raises(ConnectionRefusedError):
            connect(bed.outside, bed.hosts[0].address, PUBLISHED)


def test_published_ports_and_the_way_out(bed: Bed) -> None:
    populate(bed)
    expected = {"t2": 2, "t3": 2, "t4": 2, "t5": 2}
    client = bed.hosts[0].task_path("t1")
    for host in bed.hosts:
        # from outside, from the node to itself both ways, from a task, from another node
        assert names_of(ask_tcp(bed.outside, host.address, PUBLISHED, 8)) == expected
        assert names_of(ask_udp(bed.outside, host.address, PUBLISHED, 8)) == expected
        assert names_of(ask_tcp(host.path, "127.0.0.1", PUBLISHED, 8)) == expected
        assert names_of(ask_udp(host.path, "127.0.0.1", PUBLISHED, 8)) == expected
        assert names_of(ask_tcp(host.path, host.address, PUBLISHED, 8)) == expected
        assert names_of(ask_tcp(client, host.address, PUBLISHED, 8)) == expected
        assert {seen for _, seen in ask_tcp(bed.outside, host.address, PUBLISHED, 4)} == {OUTSIDE}
    assert names_of(ask_tcp(bed.hosts[1].task_path("t3"), bed.hosts[1].address, PUBLISHED, 8)) == expected

    # a port in host mode: on the task's node alone, from anywhere, the task's neighbour included
    first = bed.hosts[0]
    assert ask_tcp(bed.outside, first.address, 9000) == {("t2", OUTSIDE): 1}
    assert names_of(ask_tcp(first.path, "127.0.0.1", 9000)) == {"t2": 1}
    # (where the host's firewall looks at bridged frames, the kernel would bridge the neighbour's, and the
    # ports are isolated: there it reaches the task over an overlay or the mesh)
    netns.call_inside(first.path, lambda: BRIDGE_FILTER.exists() and BRIDGE_FILTER.write_text("0"))
    first.reconcile()  # it would see by itself, the next time it looks
    assert names_of(ask_tcp(client, first.address, 9000)) == {"t2": 1}
    with pytest.raises(ConnectionRefusedError):
        connect(bed.outside, bed.hosts[1].address, 9000)

    # a removed task is asked no more, on any node
    bed.remove(bed.hosts[2], "t5")
    bed.push()
    assert names_of(ask_tcp(bed.outside, bed.hosts[2].address, PUBLISHED, 6)) == {"t2": 2, "t3": 2, "t4": 2}

    # out: masqueraded as the task's own node; tasks do not meet on the gateway bridge
    with netns.socket_inside(bed.outside, socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((OUTSIDE, 9))
        listener.listen()
        with connect(client, OUTSIDE, 9):
            accepted, peer = listener.accept()
            accepted.close()
        assert peer[0] == bed.hosts[0].address
    other = _gateway_address(bed.hosts[0].task_path("t2"))
    with pytest.raises(OSError, match=r"timed out|No route"):
        connect(client, other, timeout_s=0.7)


def _gateway_address(task: Path) -> str:
    shown = run_in(task, "ip", "-4", "-o", "addr").split()
    return next(each.split("/")[0] for each in shown if each.startswith("172."))


def test_the_driver_dies_and_its_host_reboots(bed: Bed) -> None:
    populate(bed)
    first = bed.hosts[0]
    client = first.task_path("t1")
    with connect(client, VIP) as opened:
        name, _ = greet(opened)
        inode = client.stat().st_ino
        first.stop()  # SIGKILL
        opened.sendall(b"while nobody drives")
        assert opened.recv(100) == b"while nobody drives"

        # meanwhile: an endpoint went, another came elsewhere, and somebody meddled
        gone = next(each for each in ("t3", "t4") if each != name)
        bed.remove(bed.hosts[1], gone)
        bed.attach(bed.hosts[2], "t6", ACTIVE)
        netns.create(first.netns_dir / "stray")
        run_in(client, "nft", "flush", "chain", "ip", "covey_vip", f"vip-{VIP}")
        run_in(first.path, "ip", "link", "add", "covey_stray", "type", "bridge")
        bed.push()
        first.start()
        first.reconcile()
        opened.sendall(b"and after")
        assert opened.recv(100) == b"and after", "a connection outlives its driver"
        assert client.stat().st_ino == inode, "the namespace was taken over, not made anew"
    assert not (first.netns_dir / "stray").exists()
    assert "covey_stray" not in run_in(first.path, "ip", "link")
    kept = {"t2", "t3", "t4", "t5", "t6"} - {gone}
    assert names_of(ask_tcp(client, VIP, times=8)) == dict.fromkeys(kept, 2)
    assert names_of(ask_tcp(bed.outside, first.address, PUBLISHED, 8)) == dict.fromkeys(kept, 2)

    first.stop()
    bed.servers.pop("t2").close()
    bed.states["t2"] = JOINING
    first.unbind_everything()
    first.start()
    first.reconcile()
    bed.push()
    kept -= {"t2"}
    assert names_of(ask_tcp(client, VIP, times=6)) == dict.fromkeys(kept, 2)
    assert names_of(ask_tcp(bed.outside, first.address, PUBLISHED, 6)) == dict.fromkeys(kept, 2)


def test_nothing_is_flooded_and_nothing_is_left(bed: Bed) -> None:
    populate(bed)
    client = bed.hosts[0].task_path("t1")
    third = bed.hosts[2]
    with netns.socket_inside(third.path, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as tap:
        tap.settimeout(0.5)
        ask_tcp(client, "10.7.0.3")  # h1 to h2
        with pytest.raises(OSError, match=r"No route|timed out"):
            connect(client, "10.7.0.99", timeout_s=0.5)  # nobody has this address
        vxlan = [
            each for each in _packets(tap) if each[23] == 17 and each[36:38] == (4789).to_bytes(2, "big")
        ]
        assert not vxlan, "h3 has no part in this"

    for host in bed.hosts:
        for task in list(host.sandboxes):
            bed.remove(host, task)
        host.call("forget", name="n" * 25)
        host.call("forget", name="i" * 25)
        assert list(host.netns_dir.iterdir()) == []
        eventually(
            lambda host=host: "covey_" not in run_in(host.path, "ip", "link"),  # type: ignore[misc]
            f"{host.node_id} still has links of ours",
        )
        assert "covey_" not in run_in(host.path, "nft", "list", "ruleset")


def _packets(tap: socket.socket) -> list[bytes]:
    seen: list[bytes] = []
    while True:
        try:
            seen.append(tap.recv(2000))
        except TimeoutError:
            return seen


def test_a_taken_vni_is_named(bed: Bed) -> None:
    host = bed.hosts[0]
    run_in(host.path, "ip", "link", "add", "other", "type", "vxlan", "id", "5001", "dstport", "4789")
    with pytest.raises(AssertionError, match=r"NetworkFault: .*VNI 5001 on UDP port 4789 is taken"):
        bed.attach(host, "t1", None)
    assert list(host.netns_dir.iterdir()) == []
    run_in(host.path, "ip", "link", "del", "other")
    sandbox = bed.sandbox(host, "t2")
    eventually(lambda: works(host, "attach", sandbox=sandbox), "the network is asked for again", 15)
    assert {each.name for each in host.netns_dir.iterdir()} == {"t2", "net-" + "n" * 25}, "t1 left nothing"


def works(host: Host, method: str, **arguments: object) -> bool:
    with suppress(AssertionError):
        host.call(method, **arguments)
        return True
    return False


def test_a_denied_network_is_set_aside_and_the_others_are_built(bed: Bed) -> None:
    """The agent comes back, and somebody else's device has the VNI of one of its networks."""
    host = bed.hosts[0]
    only_ingress = Attachment(INGRESS, bed.endpoint(INGRESS, host, "t9", "10.255.1.9"))
    host.sandboxes = {"t1": bed.sandbox(host, "t1"), "t9": Sandbox("t9", (only_ingress,))}
    run_in(host.path, "ip", "link", "add", "other", "type", "vxlan", "id", "5001", "dstport", "4789")
    sandboxes = list(host.sandboxes.values())
    tables = [bed.table(NET), bed.table(INGRESS)]
    denied = host.ask("reconcile", networks=[NET, INGRESS], tables=tables, sandboxes=sandboxes)
    assert denied == NET.id
    assert {each.name for each in host.netns_dir.iterdir()} == {"t1", "t9"}, "but not what t1 is on"
    assert "eth0" not in run_in(host.task_path("t1"), "ip", "link")
    assert "10.255.1.9" in run_in(host.task_path("t9"), "ip", "address")
    host.call("detach", name="t9")
    host.call("attach", sandbox=host.sandboxes["t9"])
    for method, what in (("apply", {"table": tables[0]}), ("learn", {"networks": [NET]})):
        with pytest.raises(AssertionError, match="VNI 5001 on UDP port 4789 is taken"):
            host.call(method, **what)

    run_in(host.path, "ip", "link", "del", "other")
    eventually(lambda: works(host, "apply", table=tables[0]), "the network is asked for again", 15)
    assert {each.name for each in host.netns_dir.iterdir()} == {"t1", "t9", "net-" + "n" * 25}


def test_a_network_that_is_denied_late_leaves_its_tasks_their_namespaces(bed: Bed) -> None:
    """Containers live in them: made anew, they would be others."""
    host, second, _ = bed.hosts
    bed.attach(host, "t1", None)
    bed.attach(second, "t2", EndpointState.ACTIVE)
    bed.push()
    path = host.task_path("t1")
    before = path.stat().st_ino
    run_in(host.netns_dir / f"net-{NET.id}", "ip", "link", "del", "vx0")
    run_in(host.path, "ip", "link", "add", "other", "type", "vxlan", "id", "5001", "dstport", "4789")
    assert host.ask("reconcile", **bed.known_of(host)) == NET.id
    assert path.stat().st_ino == before
    found = host.ask("audit").splitlines()
    assert [line.split("\t")[:2] for line in found] == [["network", NET.id]], (
        "what is set aside is no leftover"
    )

    run_in(host.path, "ip", "link", "del", "other")
    eventually(lambda: works(host, "apply", table=bed.table(NET)), "the network is asked for again", 15)
    assert path.stat().st_ino == before
    assert ask_tcp(path, "10.7.0.2", 80)
    assert host.ask("audit") == ""
    host.call("detach", name="t1")
    assert not path.exists()


def test_a_host_without_its_address_can_still_be_cleared(bed: Bed) -> None:
    host = bed.hosts[0]
    bed.attach(host, "t1", None)
    run_in(host.path, "ip", "address", "flush", "dev", "eth0")
    with pytest.raises(AssertionError, match=r"data address 192\.0\.2\.1"):
        host.reconcile()
    host.call("reconcile")
    assert list(host.netns_dir.iterdir()) == []
    assert "covey_" not in run_in(host.path, "ip", "link")


def test_a_closed_task_has_loopback_alone_and_leaves_nothing(bed: Bed) -> None:
    host = bed.hosts[0]
    host.ask("attach", sandbox=Sandbox("t9", closed=True))
    inside = host.task_path("t9")
    links = [line.split(":")[1].strip() for line in run_in(inside, "ip", "-o", "link").splitlines()]
    assert links == ["lo"]
    run_in(inside, "ping", "-c1", "-W2", "127.0.0.1")
    with pytest.raises(AssertionError):
        run_in(inside, "ping", "-c1", "-W2", OUTSIDE)
    host.ask("detach", name="t9")
    assert not netns.exists(inside)
