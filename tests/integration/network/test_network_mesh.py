"""The routing mesh with real packets: what a task sees of its client, and who answers on which address."""

import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.network.io.trial import cannot_keep_client_address
from covey.io import netns
from covey.model.specs import PortConfig
from covey.model.states import Affinity, EndpointState, MeshMode, Protocol
from tests.support.network_bed import INGRESS, OUTSIDE, PUBLISHED, VIP, Bed, run_in
from tests.support.network_traffic import ask_tcp, ask_udp, connect, greet, large_both_ways, names_of, seen_by

pytestmark = pytest.mark.root

ACTIVE = EndpointState.ACTIVE
LARGE = 20_000_000


def publish(bed: Bed, *ports: PortConfig) -> None:
    bed.ports = ports
    bed.push()


def test_errors_that_tasks_answer_come_back(bed: Bed) -> None:
    """They are no packets of the connection itself, and go the same way."""
    first, second, _ = bed.hosts
    bed.attach(second, "t2", ACTIVE)
    publish(
        bed, PortConfig(target_port=99, published_port=8099, protocol=Protocol.UDP)
    )  # where nobody listens
    for host in (first, second):
        with netns.socket_inside(bed.outside, socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(3)
            asking.connect((host.address, 8099))
            asking.send(b"?")
            with pytest.raises(ConnectionRefusedError):
                asking.recv(10)


def test_a_task_sees_the_client_and_answers_through_the_node_that_was_asked(bed: Bed) -> None:
    bed.populate()
    both = {"t2": 2, "t3": 2}
    for host in bed.hosts:
        for ask in (ask_tcp, ask_udp):
            found = ask(bed.outside, host.address, PUBLISHED, 4)
            assert names_of(found) == both
            assert seen_by(found) == {OUTSIDE}
        # the node's own processes: by its address they are seen as they are, by loopback as the mesh
        assert seen_by(ask_tcp(host.path, host.address, PUBLISHED, 4)) == {host.address}
        assert seen_by(ask_tcp(host.path, "127.0.0.1", PUBLISHED, 4)) == {host.ingress}
        for other in bed.hosts:
            assert seen_by(ask_tcp(other.path, host.address, PUBLISHED, 4)) == {other.address}
            assert seen_by(ask_udp(other.path, host.address, PUBLISHED, 4)) == {other.address}
    for host, task in ((bed.hosts[0], "t2"), (bed.hosts[1], "t3")):
        # a task on its own service's port, itself included; and on another node's
        for to in bed.hosts:
            assert names_of(ask_tcp(host.task_path(task), to.address, PUBLISHED, 4)) == both
            assert names_of(ask_udp(host.task_path(task), to.address, PUBLISHED, 4)) == both
    for host in bed.hosts:  # by the node without a task, everything goes over the fabric twice
        large_both_ways(bed.outside, host.address, PUBLISHED, LARGE)


def test_an_agent_that_comes_back_changes_nothing(bed: Bed) -> None:
    bed.populate()
    host = bed.hosts[0]
    shown = [
        ["nft", "-a", "list", "ruleset"],
        ["ip", "rule"],
        ["ip", "route", "show", "table", "all"],
        ["ip", "neigh", "show", "nud", "permanent"],
    ]
    places = (host.path, host.task_path("t2"))
    before = [[run_in(place, *each) for each in shown] for place in places]
    assert "fwmark" in before[1][1]
    with connect(bed.outside, host.address, PUBLISHED) as opened:
        greet(opened)
        host.stop()
        host.start()
        host.reconcile()
        opened.sendall(b"still there")
        assert opened.recv(100) == b"still there"
    assert [[run_in(place, *each) for each in shown] for place in places] == before
    assert host.ask("audit") == ""

    # what somebody took away is put back
    task = host.task_path("t2")
    run_in(task, "ip", "rule", "del", "pref", "100")
    run_in(task, "ip", "route", "flush", "table", "100")
    run_in(task, "nft", "delete", "table", "netdev", "covey_egress")
    host.stop()
    host.start()
    host.reconcile()
    assert seen_by(ask_tcp(bed.outside, host.address, PUBLISHED, 4)) == {OUTSIDE}


def test_where_the_kernel_cannot_the_mesh_masquerades(bed: Bed, tmp_path: Path) -> None:
    assert cannot_keep_client_address(tmp_path / "trial") == ""
    second = bed.hosts[1]
    second.stop()
    second.keeps = False
    second.start()
    second.call("reconcile", networks=[INGRESS])
    bed.populate()
    for host in (bed.hosts[0], bed.hosts[2]):
        for ask in (ask_tcp, ask_udp):
            found = ask(bed.outside, host.address, PUBLISHED, 4)
            assert found == {("t2", OUTSIDE): 2, ("t3", host.ingress): 2}
    # nor does a node that cannot send on what it has not made its own
    for ask in (ask_tcp, ask_udp):
        assert ask(bed.outside, second.address, PUBLISHED, 4) == {
            ("t2", second.ingress): 2,
            ("t3", second.ingress): 2,
        }


def test_ports_that_masquerade_stay_local_or_have_an_address(bed: Bed) -> None:
    bed.populate()
    port = PortConfig(target_port=80, published_port=PUBLISHED)
    udp = replace(port, protocol=Protocol.UDP)
    first, second, third = bed.hosts

    publish(bed, *(replace(each, mesh=MeshMode.MASQUERADE) for each in (port, udp)))
    for ask in (ask_tcp, ask_udp):
        assert seen_by(ask(bed.outside, third.address, PUBLISHED, 4)) == {third.ingress}

    publish(bed, replace(port, mesh=MeshMode.LOCAL))
    assert ask_tcp(bed.outside, first.address, PUBLISHED, 4) == {("t2", OUTSIDE): 4}
    assert ask_tcp(bed.outside, second.address, PUBLISHED, 4) == {("t3", OUTSIDE): 4}
    with pytest.raises(ConnectionRefusedError):
        connect(bed.outside, third.address, PUBLISHED)
    bed.states["t2"] = EndpointState.DRAINING
    bed.push()
    with pytest.raises(ConnectionRefusedError):
        connect(bed.outside, first.address, PUBLISHED)
    bed.states["t2"] = ACTIVE

    publish(bed, replace(port, published_address=first.address))
    assert names_of(ask_tcp(bed.outside, first.address, PUBLISHED, 4)) == {"t2": 2, "t3": 2}
    assert names_of(ask_tcp(first.path, first.address, PUBLISHED, 4)) == {"t2": 2, "t3": 2}
    for source, to in ((bed.outside, second.address), (first.path, "127.0.0.1")):
        with pytest.raises(ConnectionRefusedError):
            connect(source, to, PUBLISHED)

    publish(bed, replace(port, published_address="127.0.0.1"))
    for host in bed.hosts:
        assert names_of(ask_tcp(host.path, "127.0.0.1", PUBLISHED, 4)) == {"t2": 2, "t3": 2}
        with pytest.raises(ConnectionRefusedError):
            connect(bed.outside, host.address, PUBLISHED)


def test_a_port_on_loopback_lets_nobody_in_from_the_link(bed: Bed) -> None:
    """A neighbour on the host's link can send it what is addressed to 127.0.0.1."""
    bed.populate()
    first = bed.hosts[0]
    publish(bed, PortConfig(target_port=80, published_port=PUBLISHED, published_address="127.0.0.1"))
    run_in(bed.outside, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    run_in(bed.outside, "ip", "address", "flush", "dev", "lo")
    run_in(bed.outside, "ip", "route", "add", "127.0.0.1/32", "via", first.address)
    with pytest.raises(TimeoutError):
        connect(bed.outside, "127.0.0.1", PUBLISHED, timeout_s=1.0)
    assert names_of(ask_tcp(first.path, "127.0.0.1", PUBLISHED, 4)) == {"t2": 2, "t3": 2}


def test_no_task_speaks_to_its_node_as_if_from_loopback(bed: Bed) -> None:
    bed.populate()
    first = bed.hosts[0]
    task = first.task_path("t2")
    run_in(task, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    with (
        netns.socket_inside(first.path, socket.AF_INET, socket.SOCK_DGRAM) as service,
        netns.socket_inside(task, socket.AF_INET, socket.SOCK_DGRAM) as sender,
        netns.socket_inside(task, socket.AF_INET, socket.SOCK_DGRAM) as liar,
    ):
        service.bind(("0.0.0.0", 5300))
        service.settimeout(1.0)
        sender.sendto(b"as itself", (first.address, 5300))
        assert service.recv(100) == b"as itself"
        liar.bind(("127.0.0.2", 0))
        liar.sendto(b"as a trusted program", (first.address, 5300))
        with pytest.raises(TimeoutError):
            service.recv(100)


def test_a_client_stays_with_its_task_if_that_is_asked_for(bed: Bed) -> None:
    bed.populate()
    client = bed.hosts[2].task_path("t1")
    bed.attach(bed.hosts[2], "t1", None, published=False)
    bed.affinity = Affinity.CLIENT
    bed.push()
    found = [name for host in bed.hosts for name, _ in ask_tcp(bed.outside, host.address, PUBLISHED, 6)]
    assert len(set(found)) == 1, "by whichever node"
    assert len(ask_tcp(client, VIP, times=6)) == 1
    clients = [f"192.0.2.{number}" for number in range(100, 116)]
    for each in clients:
        run_in(bed.outside, "ip", "addr", "add", f"{each}/24", "dev", "eth0")
    names = set()
    for each in clients:
        run_in(bed.outside, "ip", "route", "replace", bed.hosts[0].address, "dev", "eth0", "src", each)
        names |= set(names_of(ask_tcp(bed.outside, bed.hosts[0].address, PUBLISHED, 2)))
    assert names == {"t2", "t3"}, "others have others"
