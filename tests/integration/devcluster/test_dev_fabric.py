"""The fabric passes what it should and nothing else; links can be cut; all of it goes away again."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from covey.errors import InvalidArgument
from covey.io import netns
from devcluster import cgroups, members, mounts, namespaces, nodes, record, sweep
from devcluster.fabric import Fabric, default_publish, filter_rules, port_range
from devcluster.place import OUTSIDE, Place, address_of, ipv6_of

pytestmark = pytest.mark.root

MEMBERS = ("m1", "w1", OUTSIDE)
Addressing = Callable[[str], str]
both_families = pytest.mark.parametrize("of", [address_of, ipv6_of], ids=["ipv4", "ipv6"])


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    place = Place(f"tf{os.getpid()}")
    with record.locked(place):
        sweep.clear(place)
        fabric = Fabric(place)
        fabric.build(default_publish)
        for member in MEMBERS:
            fabric.plug(member)
    yield place
    with record.locked(place):
        sweep.remove(place)
    assert not place.root.exists()
    assert not mounts.mounted_under(place.root)


def pings(place: Place, source: str, target: str, of: Addressing = address_of) -> bool:
    argv = namespaces.command(place.netns(source), ["ping", "-c3", "-i0.3", "-W1", of(target)])
    return subprocess.run(argv, capture_output=True, timeout=10, check=False).returncode == 0


def connects(
    place: Place,
    source: str,
    target: str,
    port: int,
    source_port: int = 0,
    patience_s: float = 1.0,
    of: Addressing = address_of,
) -> bool:
    """Whether a TCP connection from one member to a listener on another comes about within `patience_s`."""
    family = socket.AF_INET6 if ":" in of(target) else socket.AF_INET

    def listen() -> socket.socket:
        return socket.create_server((of(target), port), family=family)

    def connect() -> bool:
        with socket.socket(family) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.settimeout(patience_s)
            client.bind((of(source), source_port))
            try:
                client.connect((of(target), port))
            except TimeoutError:
                return False
            return True

    with netns.call_inside(place.netns(target), listen):
        return netns.call_inside(place.netns(source), connect)


def datagram_arrives(place: Place, source: str, target: str, port: int) -> bool:
    """Whether one of a few datagrams arrives."""
    receiver = netns.socket_inside(place.netns(target), socket.AF_INET, socket.SOCK_DGRAM)
    sender = netns.socket_inside(place.netns(source), socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((address_of(target), port))
        receiver.settimeout(0.5)
        for _ in range(3):
            sender.sendto(b"x", (address_of(target), port))
            try:
                return receiver.recv(16) == b"x"
            except TimeoutError:
                continue
        return False


@pytest.mark.parametrize("port", [2377, 2378, 80, 8080, 30000])
@both_families
def test_ports_that_pass(place: Place, port: int, of: Addressing) -> None:
    assert connects(
        place, OUTSIDE, "m1", port, patience_s=15.0, of=of
    )  # a new link may lose the first packets


@pytest.mark.parametrize("port", [22, 2376, 4789, 5000, 7999, 10000, 33000])
@both_families
def test_ports_that_do_not_pass(place: Place, port: int, of: Addressing) -> None:
    assert not connects(place, "w1", "m1", port, of=of)


def test_a_permitted_source_port_opens_no_connection(place: Place) -> None:
    assert not connects(place, "w1", "m1", 22, source_port=2377)


def test_datagrams(place: Place) -> None:
    assert datagram_arrives(place, "w1", "m1", 4789)
    assert datagram_arrives(place, "w1", "m1", 8053)
    assert not datagram_arrives(place, "w1", "m1", 53)


@both_families
def test_what_one_sends_another_is_severed_and_mended(place: Place, of: Addressing) -> None:
    fabric = Fabric(place)
    assert pings(place, "m1", "w1", of)
    fabric.sever("w1", "m1")
    assert not pings(place, "m1", "w1", of)
    assert pings(place, "m1", OUTSIDE, of)
    fabric.mend()
    assert pings(place, "m1", "w1", of)


def test_cut_and_heal(place: Place) -> None:
    fabric = Fabric(place)
    assert pings(place, "m1", "w1")
    fabric.cut("w1")
    assert fabric.is_cut("w1")
    assert not pings(place, "m1", "w1")
    assert pings(place, "m1", OUTSIDE)
    fabric.heal("w1")
    assert not fabric.is_cut("w1")
    assert pings(place, "m1", "w1")


def test_a_member_is_plugged_in_anew(place: Place) -> None:
    fabric = Fabric(place)
    fabric.unplug("w1")
    assert not netns.exists(place.netns("w1"))
    fabric.unplug("w1")  # nothing there: fine
    fabric.plug("w1")
    assert pings(place, "m1", "w1")


def test_power_loss_ends_all_that_a_member_started(place: Place) -> None:
    # A program that leaves its session and starts another one, as conmon does, and a mount under its home.
    script = "import subprocess, sys; subprocess.Popen(['sleep', '600'], start_new_session=True).wait()"
    pid = members.start(place, "w1", [sys.executable, "-c", script])
    group = place.cgroup("w1")
    members.wait_until(lambda: len(cgroups.processes(group)) == 2, "both processes", 10)
    hostname = ["nsenter", f"--uts=/proc/{pid}/ns/uts", f"--net=/proc/{pid}/ns/net", "hostname"]
    assert subprocess.check_output(hostname, text=True).strip() == "w1"
    mounted = place.run("w1") / "mounted"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(mounted)], check=True)

    members.power_off(place, "w1")

    assert not cgroups.processes(group)
    assert not cgroups.exists(group)
    assert not mounts.mounted_under(place.home("w1"))


def test_power_loss_closes_no_connection(place: Place) -> None:
    def listen() -> socket.socket:
        return socket.create_server((address_of("m1"), 8080))

    script = f"import socket; socket.create_connection(({address_of('m1')!r}, 8080)).recv(1)"
    with netns.call_inside(place.netns("m1"), listen) as listener:
        listener.settimeout(10)
        members.start(place, "w1", [sys.executable, "-c", script])
        connection, _ = listener.accept()
        with connection:
            nodes.power_loss(place, "w1")
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):  # nobody says that the other end is gone
                connection.recv(1)
    Fabric(place).plug("w1")


def test_what_is_not_there_is_reported_by_its_end(place: Place) -> None:
    members.start(place, "w1", [sys.executable, "-c", "raise SystemExit('no such luck')"])
    members.wait_until(lambda: not members.is_running(place, "w1"), "the end", 10)
    assert members.last_words(place, "w1").endswith("no such luck")


@pytest.mark.parametrize("text", ["", "0", "70000", "9-8", "a", "80,81", "1-2-3", "-5", "\uff18\uff10"])
def test_bad_port_ranges_are_refused_with_the_value(text: str) -> None:
    with pytest.raises(InvalidArgument, match="port range") as refused:
        port_range(text)
    assert f"'{text}'" in str(refused.value)


def test_the_filter_takes_the_ranges_it_is_given() -> None:
    assert "elements = { 81, 9000-9001 }" in filter_rules(("81", "9000-9001"))
