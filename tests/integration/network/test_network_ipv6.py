"""Three hosts whose networks have IPv6, beside IPv4 or alone: what works there with IPv4 works here with real packets."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.network.io.trial import cannot_keep_client_address
from covey.io import netns
from covey.model.specs import PortConfig
from covey.model.states import Affinity, EndpointState, MeshMode, Protocol
from tests.support.network_bed import OUTSIDE, OUTSIDE_IPV6, PUBLISHED, VIP, VIP_IPV6, Bed, run_in
from tests.support.network_traffic import (
    ask_tcp,
    ask_udp,
    asked,
    connect,
    eventually,
    greet,
    large_both_ways,
    names_of,
    seen_by,
)

pytestmark = pytest.mark.root

ACTIVE, DRAINING = EndpointState.ACTIVE, EndpointState.DRAINING
LARGE = 5_000_000


@pytest.fixture(params=["dual", "ipv6"])
def bed(scratch: Path, request: pytest.FixtureRequest) -> Iterator[Bed]:
    built = Bed(scratch, ipv4=request.param == "dual", ipv6=True)
    try:
        built.build()
        yield built
    finally:
        built.close()


def address_of(bed: Bed, task: str, place: int = 0) -> str:
    """A task's IPv6 address on its first network, or on ingress (`place` 1)."""
    box = next(host.sandboxes[task] for host in bed.hosts if task in host.sandboxes)
    return box.attachments[place].endpoint.addresses[-1]


def test_tasks_and_services_are_reached(bed: Bed) -> None:
    bed.populate("t1")
    client, own = bed.hosts[0].task_path("t1"), address_of(bed, "t1")
    for task in ("t2", "t3"):
        assert ask_tcp(client, address_of(bed, task)) == {(task, own): 1}
        assert ask_udp(client, address_of(bed, task)) == {(task, own): 1}
    run_in(client, "ping", "-c1", "-W2", "-Mdo", f"-s{1450 - 48}", address_of(bed, "t3"))
    with pytest.raises(AssertionError, match=r"mtu|too long|too large"):
        run_in(client, "ping", "-c1", "-W2", "-Mdo", f"-s{1451 - 48}", address_of(bed, "t3"))

    assert ask_tcp(client, VIP_IPV6, times=8) == {(task, own): 4 for task in ("t2", "t3")}
    assert names_of(ask_udp(client, VIP_IPV6, times=8)) == {"t2": 4, "t3": 4}
    run_in(client, "ping", "-c1", "-W2", VIP_IPV6)
    assert names_of(ask_tcp(bed.hosts[1].task_path("t3"), VIP_IPV6, times=4)) == {"t2": 2, "t3": 2}, (
        "itself too"
    )
    if bed.net.spec.ipv4:
        assert names_of(ask_tcp(client, VIP, times=8)) == {"t2": 4, "t3": 4}
        assert seen_by(ask_udp(client, "10.7.0.3")) == {"10.7.0.1"}
    else:
        shown = run_in(client, "ip", "-4", "-o", "addr")
        assert [line.split()[3] for line in shown.splitlines()] == ["127.0.0.1/8"]


def test_removed_and_empty_services(bed: Bed) -> None:
    bed.populate("t1")
    client = bed.hosts[0].task_path("t1")
    with (
        netns.socket_inside(client, socket.AF_INET6, socket.SOCK_DGRAM) as flow,
        connect(client, VIP_IPV6) as old,
    ):
        flow.settimeout(0.5)
        flow.connect((VIP_IPV6, 80))
        served, talked = greet(old)[0], asked(flow)
        # drained, it is asked no more; the old connection lives on
        bed.states[served] = DRAINING
        bed.push()
        assert served not in names_of(ask_tcp(client, VIP_IPV6, times=4))
        old.sendall(b"still there")
        assert old.recv(100) == b"still there"
        # gone, datagrams go elsewhere at once
        bed.states[served] = ACTIVE
        host = next(host for host in bed.hosts if talked in host.sandboxes)
        bed.remove(host, talked)
        bed.push()
        other = {"t2": "t3", "t3": "t2"}[talked]
        eventually(lambda: asked(flow) == other, "the flow never found another backend", 10)
    bed.states[other] = DRAINING
    bed.push()
    for _ in range(20):
        with pytest.raises(ConnectionRefusedError):
            connect(client, VIP_IPV6)
        with pytest.raises(ConnectionRefusedError):
            connect(bed.outside, bed.hosts[0].ipv6, PUBLISHED)


def test_a_published_port_answers_on_every_node_and_keeps_the_clients_address(bed: Bed) -> None:
    bed.populate("t1")
    both = {"t2": 2, "t3": 2}
    for host in bed.hosts:
        for ask in (ask_tcp, ask_udp):
            found = ask(bed.outside, host.ipv6, PUBLISHED, 4)
            assert names_of(found) == both
            assert seen_by(found) == {OUTSIDE_IPV6}
        assert seen_by(ask_tcp(host.path, host.ipv6, PUBLISHED, 4)) == {host.ipv6}
        for other in bed.hosts:
            assert seen_by(ask_tcp(other.path, host.ipv6, PUBLISHED, 2)) == {other.ipv6}
            assert seen_by(ask_udp(other.path, host.ipv6, PUBLISHED, 2)) == {other.ipv6}
    for host, task in ((bed.hosts[0], "t1"), (bed.hosts[0], "t2"), (bed.hosts[1], "t3")):
        for to in bed.hosts:
            assert names_of(ask_tcp(host.task_path(task), to.ipv6, PUBLISHED, 4)) == both
            assert names_of(ask_udp(host.task_path(task), to.ipv6, PUBLISHED, 4)) == both
    if bed.net.spec.ipv4:
        assert seen_by(ask_tcp(bed.outside, bed.hosts[2].address, PUBLISHED, 4)) == {OUTSIDE}
    large_both_ways(bed.outside, bed.hosts[2].ipv6, PUBLISHED, LARGE)


def test_loopback_and_the_way_out(bed: Bed) -> None:
    bed.populate("t1")
    first = bed.hosts[0]
    # where the host's firewall looks at bridged frames, the kernel takes answers to ::1 for nobody's
    for filtered in ("0", "1", "0"):
        run_in(first.path, "sysctl", "-qw", f"net.bridge.bridge-nf-call-ip6tables={filtered}")
        first.reconcile()  # as the agent does by itself when it looks at the host
        if filtered == "1":
            refuses_what_would_get_no_answer(bed)
    assert names_of(ask_tcp(first.path, "::1", PUBLISHED, 4)) == {"t2": 2, "t3": 2}
    assert names_of(ask_udp(first.path, "::1", PUBLISHED, 4)) == {"t2": 2, "t3": 2}
    # host mode: on the task's node alone
    assert ask_tcp(bed.outside, first.ipv6, 9000) == {("t2", OUTSIDE_IPV6): 1}
    assert names_of(ask_tcp(first.path, "::1", 9000)) == {"t2": 1}
    with pytest.raises(ConnectionRefusedError):
        connect(bed.outside, bed.hosts[1].ipv6, 9000)

    client = first.task_path("t1")
    with netns.socket_inside(bed.outside, socket.AF_INET6, socket.SOCK_STREAM) as listener:
        listener.bind((OUTSIDE_IPV6, 9))
        listener.listen()
        with connect(client, OUTSIDE_IPV6, 9):
            accepted, peer = listener.accept()
            accepted.close()
        assert peer[0] == first.ipv6, "masqueraded as the task's own node"
    other = next(
        line.split()[3].split("/")[0]
        for line in run_in(
            first.task_path("t2"), "ip", "-6", "-o", "addr", "show", "scope", "global"
        ).splitlines()
        if "fdc0:7e79" in line
    )
    with pytest.raises(OSError, match=r"timed out|No route"):
        connect(client, other, timeout_s=0.7)


def refuses_what_would_get_no_answer(bed: Bed) -> None:
    """By bridged frames that are filtered: at once, instead of silence, and nothing else is lost."""
    first = bed.hosts[0]
    for number in (PUBLISHED, 9000):
        with pytest.raises(ConnectionRefusedError):
            connect(first.path, "::1", number)
        assert ask_tcp(first.path, first.ipv6, number, 2)
    with pytest.raises(ConnectionRefusedError):
        connect(first.task_path("t1"), first.ipv6, 9000)  # the task that has it is beside
    assert ask_tcp(bed.hosts[1].path, first.ipv6, 9000) == {("t2", bed.hosts[1].ipv6): 1}
    assert names_of(ask_tcp(first.task_path("t1"), first.ipv6, PUBLISHED, 4)) == {"t2": 2, "t3": 2}
    assert "listens on it here" not in first.ask("remarks"), "that would be the agent itself"
    assert first.ask("audit") == ""


def test_addresses_and_modes_of_published_ports(bed: Bed) -> None:
    first, second, third = bed.hosts
    bed.populate("t1")

    def port(number: int, **more: object) -> PortConfig:
        return PortConfig(target_port=80, published_port=number, **more)  # type: ignore[arg-type]

    bed.ports = (
        port(8001, published_address=first.ipv6),
        port(8002, published_address="::1"),
        port(8003, mesh=MeshMode.LOCAL),
        port(8004, mesh=MeshMode.MASQUERADE),
        port(8005, published_address="127.0.0.1"),
        port(8004, mesh=MeshMode.MASQUERADE, protocol=Protocol.UDP),
    )
    bed.push()
    assert names_of(ask_tcp(bed.outside, first.ipv6, 8001, 4)) == {"t2": 2, "t3": 2}
    for host in (second, third):
        with pytest.raises(ConnectionRefusedError):
            connect(bed.outside, host.ipv6, 8001)
    for closed in (8002, 8005):
        with pytest.raises(ConnectionRefusedError):
            connect(bed.outside, first.ipv6, closed)
    assert names_of(ask_tcp(bed.outside, second.ipv6, 8003, 4)) == {"t3": 4}
    with pytest.raises(ConnectionRefusedError):
        connect(bed.outside, third.ipv6, 8003)
    ingress = bed.endpoint(bed.ingress, third, "", third.ingress).addresses[-1]
    assert seen_by(ask_tcp(bed.outside, third.ipv6, 8004, 4)) == {ingress}
    assert seen_by(ask_udp(bed.outside, third.ipv6, 8004, 4)) == {ingress}
    bed.affinity = Affinity.CLIENT
    bed.push()
    assert len(names_of(ask_tcp(bed.hosts[0].task_path("t1"), VIP_IPV6, times=8))) == 1
    assert len(names_of(ask_tcp(bed.outside, first.ipv6, 8001, 8))) == 1


def test_what_a_host_holds_is_audited_and_put_right(bed: Bed) -> None:
    bed.populate("t1")
    first = bed.hosts[0]
    client = first.task_path("t1")
    assert first.ask("audit") == ""
    first.stop()
    first.start()
    first.reconcile()
    assert first.ask("audit") == ""
    run_in(client, "nft", "delete", "table", "ip6", "covey_vip6")
    run_in(client, "ip", "-6", "addr", "del", f"{address_of(bed, 't1')}/64", "dev", "eth0")
    run_in(first.task_path("t2"), "ip", "-6", "rule", "del", "pref", "100")
    run_in(first.path, "ip", "-6", "route", "del", "local", "::1", "dev", "covey_in0", "table", "local")
    way = run_in(client, "ip", "-6", "route", "show", "default").split()[2]
    for added in (f"add 2001:db8::/32 via {way}", f"add default via {way} metric 50"):
        run_in(client, "ip", "-6", "route", *added.split())
    box = first.netns_dir / ("net-" + "n" * 25)
    run_in(box, "ip", "-6", "neigh", "del", address_of(bed, "t3"), "dev", "vx0")
    found = first.ask("audit")
    missing = ("covey_vip6", address_of(bed, "t1"), "table 100", "::1/128", address_of(bed, "t3"))
    for word in (*missing, "2001:db8::/32 by", f"::/0 by {way}"):
        assert word in found, found
    first.ask("audit", name="repair")
    assert first.ask("audit") == ""
    assert names_of(ask_tcp(client, VIP_IPV6, times=4)) == {"t2": 2, "t3": 2}
    for host in bed.hosts:
        for task in list(host.sandboxes):
            bed.remove(host, task)
        host.call("forget", name=bed.net.id)
        host.call("forget", name=bed.ingress.id)
        assert "covey_" not in run_in(host.path, "nft", "list", "ruleset")
        eventually(lambda path=host.path: "covey_" not in run_in(path, "ip", "link"), "links are left")  # type: ignore[misc]


def test_a_host_without_ipv6_works_with_ipv4_and_says_so(scratch: Path) -> None:
    bed = Bed(scratch, hosts=2, ipv6=True)
    first, second = bed.hosts
    first.has_ipv6 = False
    try:
        bed.build()
        bed.attach(first, "t2", ACTIVE)
        bed.attach(second, "t3", ACTIVE)
        bed.push()
        assert run_in(first.task_path("t2"), "ip", "-6", "-o", "addr", "show", "scope", "global") == ""
        assert names_of(ask_tcp(first.task_path("t2"), VIP, times=4)) == {"t2": 2, "t3": 2}
        assert names_of(ask_tcp(bed.outside, first.address, PUBLISHED, 4)) == {"t2": 2, "t3": 2}
        with pytest.raises(ConnectionRefusedError):
            connect(bed.outside, first.ipv6, PUBLISHED)
        assert first.ask("audit") == ""
        first.reconcile()
        assert "this host has no IPv6 (booted with ipv6.disable=1" in first.ask("remarks")
        alone = Bed(scratch, hosts=1, ipv4=False, ipv6=True)
        with pytest.raises(AssertionError, match="has IPv6 alone, and this host has none"):
            first.ask("attach", sandbox=alone.sandbox(first, "t9", published=False))
    finally:
        bed.close()


def test_where_the_kernel_cannot_the_mesh_masquerades(bed: Bed, tmp_path: Path) -> None:
    assert cannot_keep_client_address(tmp_path / "trial") == ""
    second = bed.hosts[1]
    second.stop()
    second.keeps = False
    second.start()
    second.call("reconcile", networks=[bed.ingress])
    bed.populate("t1")
    for host in bed.hosts:
        own = bed.endpoint(bed.ingress, host, "", host.ingress).addresses[-1]
        for ask in (ask_tcp, ask_udp):
            found = ask(bed.outside, host.ipv6, PUBLISHED, 4)
            assert names_of(found) == {"t2": 2, "t3": 2}
            seen = dict(found.keys())
            assert seen["t3"] == own
            assert seen["t2"] == (own if host is second else OUTSIDE_IPV6)


def test_a_host_that_forwards_goes_on_listening_to_routers_and_its_agent_may_die(bed: Bed) -> None:
    first = bed.hosts[0]
    first.stop()
    run_in(first.path, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
    run_in(first.path, "ip", "link", "add", "other0", "type", "bridge")
    run_in(
        first.path,
        "ip",
        "-6",
        "route",
        "add",
        "default",
        "via",
        "fd00:c0de::99",
        "dev",
        "eth0",
        "proto",
        "ra",
    )
    first.start()
    first.reconcile()
    shown = [
        run_in(first.path, "sysctl", "-n", f"net.ipv6.conf.{link}.accept_ra").strip()
        for link in ("eth0", "other0")
    ]
    assert shown == ["2", "1"], (
        "1 is taken for 0 by a host that forwards; whom no router spoke by is left alone"
    )
    bed.populate("t1")
    with (
        connect(bed.outside, first.ipv6, PUBLISHED) as opened,
        connect(first.task_path("t1"), VIP_IPV6) as inner,
    ):
        for each in (opened, inner):
            greet(each)
        first.stop()
        for each in (opened, inner):
            each.sendall(b"while nobody drives")
            assert each.recv(100) == b"while nobody drives"
        first.start()
        first.reconcile()
        for each in (opened, inner):
            each.sendall(b"and after")
            assert each.recv(100) == b"and after"
    assert first.ask("audit") == ""
    run_in(first.task_path("t2"), "ip", "-6", "route", "flush", "table", "100")
    first.stop()
    first.start()
    first.reconcile()
    assert seen_by(ask_tcp(bed.outside, first.ipv6, PUBLISHED, 4)) == {OUTSIDE_IPV6}
