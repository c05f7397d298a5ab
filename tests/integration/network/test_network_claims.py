"""Ports of the host that both a program and the cluster want."""

import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.network.io.claims import Claims
from covey.io import netns
from covey.model.states import EndpointState
from tests.support.network_bed import OUTSIDE, PUBLISHED, Bed
from tests.support.network_traffic import ask_tcp, connect, names_of
from tests.support.ports import free_port

pytestmark = pytest.mark.root

HOST_PORT = 9000  # what t2 of the bed publishes in host mode


def listener(path: Path, port: int) -> socket.socket:
    def listen() -> socket.socket:
        return socket.create_server(("0.0.0.0", port), backlog=1)

    return netns.call_inside(path, listen)


@pytest.fixture
def claims() -> Iterator[Claims]:
    claims = Claims()
    yield claims
    claims.close()


def test_a_port_of_one_address_is_claimed_there_alone(claims: Claims) -> None:
    port = free_port(socket.SOCK_STREAM)
    assert claims.keep([f"tcp {port} 127.0.0.1", f"tcp {port} 192.0.2.77"]) == {}, "not everybody has each"
    with socket.create_server(("127.0.0.2", port)), pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port))
    claims.keep([])
    with socket.create_server(("127.0.0.1", port)):
        assert claims.keep([f"tcp {port} 127.0.0.2"]) == {}
        assert f"(pid {os.getpid()})" in claims.add([f"tcp {port} 127.0.0.1"])[f"tcp {port} 127.0.0.1"]


def test_both_families_of_a_port_are_claimed_and_ipv6_has_addresses_of_its_own(claims: Claims) -> None:
    port = free_port(socket.SOCK_STREAM)
    both = f"tcp {port}", f"tcp {port} ::"
    assert claims.keep(both) == {}, "one does not stand in the other's way"
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("::1", port), family=socket.AF_INET6)
    claims.keep([])
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True):
        assert claims.keep(both).keys() == set(both)
        assert claims.add([f"tcp {port} ::1"]), "so is each address of it"
    assert claims.keep([f"tcp {port} ::1", f"tcp {port} 2001:db8::77"]) == {}, "not everybody has each"
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("::1", port), family=socket.AF_INET6)


@pytest.mark.parametrize(
    ("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)], ids=["tcp", "udp"]
)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_who_comes_first_has_the_port(
    claims: Claims, protocol: str, kind: socket.SocketKind, family: socket.AddressFamily
) -> None:
    key = f"{protocol} {(port := free_port(kind))}"
    assert claims.keep([key]) == {}
    with socket.socket(family, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("", port))
        claims.keep([])
        other.bind(("", port))
        if protocol == "tcp":
            other.listen()
        assert f"(pid {os.getpid()})" in claims.keep([key])[key]
        assert f"(pid {os.getpid()})" in claims.add([key])[key]
    assert claims.keep([key]) == {}


def test_all_or_nothing_is_added(claims: Claims) -> None:
    first, second = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", second))
        assert claims.add([f"tcp {first}", f"udp {second}"]).keys() == {f"udp {second}"}
        socket.create_server(("", first)).close()


def test_a_claim_answers_nobody(claims: Claims) -> None:
    port = free_port(socket.SOCK_STREAM)
    claims.keep([f"tcp {port}"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)


def test_a_port_that_a_program_has_is_not_taken_from_it(bed: Bed) -> None:
    first = bed.hosts[0]
    with listener(first.path, HOST_PORT) as server:
        with pytest.raises(
            AssertionError, match=rf"port {HOST_PORT}/tcp of this node is taken by .* \(pid \d+\)"
        ):
            bed.attach(first, "t2", EndpointState.ACTIVE)
        server.settimeout(3)
        with connect(bed.outside, first.address, HOST_PORT):
            server.accept()[0].close()
    first.sandboxes.clear()
    bed.attach(first, "t2", EndpointState.ACTIVE)
    assert ask_tcp(bed.outside, first.address, HOST_PORT) == {("t2", OUTSIDE): 1}
    with pytest.raises(OSError, match="in use") as refused:
        listener(first.path, HOST_PORT)
    assert refused.value.errno == errno.EADDRINUSE
    bed.remove(first, "t2")
    listener(first.path, HOST_PORT).close()


def test_a_published_port_is_the_clusters_on_every_node_and_that_is_said(bed: Bed) -> None:
    first, second, _ = bed.hosts
    with listener(second.path, PUBLISHED):
        bed.attach(first, "t2", EndpointState.ACTIVE)
        bed.push()
        assert names_of(ask_tcp(bed.outside, second.address, PUBLISHED, 2)) == {"t2": 2}
        with pytest.raises(OSError, match="in use"):
            listener(first.path, PUBLISHED)
        deadline = time.monotonic() + 5
        words = f"port {PUBLISHED}/tcp is published by a service"
        while words not in second.said() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert second.said().count(words) == 1
        assert words in second.ask("remarks"), "people see it on the node"
