"""Encrypted networks on a cluster: services meet, nobody reads along, keys change, agents and tunnels may die."""

import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from covey import limits
from covey.errors import CoveyError
from covey.io import netns
from devcluster import members, nodes
from devcluster.place import OUTSIDE, address_of, ipv6_of
from tests.support import traces
from tests.support.stand import ANSWER, Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

_EVERYTHING = 3  # ETH_P_ALL
ASK = "while :; do curl -s --max-time 2 http://web/; sleep 0.2; done"


def create(stand: Stand, *options: str) -> None:
    """A service on each node, and a client on each that asks it by name."""
    stand.covey("network", "create", *options, "vault")
    stand.covey(
        *("service", "create", "--name", "web", "--mode", "global", "--network", "vault", f"{stand.web}:1")
    )
    stand.covey(
        *("service", "create", "--name", "client", "--mode", "global", "--network", "vault"),
        *("--stop-grace-period", "1s", stand.tools, "sh", "-c", ASK),
    )


def reached(stand: Stand, since_s: float) -> set[tuple[str, str]]:
    """Which node's client was answered by which node's task, within the last while."""
    lines = stand.covey("service", "logs", "--since", f"{since_s:g}s", "client").splitlines()
    return {
        (line.split("|")[0].split("@")[-1].strip(), match[3])
        for line in lines
        if (match := ANSWER.search(line))
    }


def everybody_meets(stand: Stand, since_s: float = 5) -> None:
    everywhere = {(one, other) for one in stand.asked.nodes for other in stand.asked.nodes}
    stand.until("each node's client to reach each node's task", lambda: reached(stand, since_s) >= everywhere)


def frames(stand: Stand, node: str) -> list[bytes]:
    """What passes a node's link to the others for two seconds."""
    with netns.socket_inside(
        stand.place.netns(node), socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING)
    ) as tap:
        tap.bind(("eth0", _EVERYTHING))
        found, until = list[bytes](), time.monotonic() + 2
        while (left := until - time.monotonic()) > 0:
            if select.select([tap], [], [], left)[0]:
                found.append(tap.recv(65536))
    return found


def vxlan_or_tunnel(frame: bytes, ports: tuple[int, ...]) -> bool:
    return frame[12:14] == b"\x08\x00" and int.from_bytes(frame[36:38], "big") in ports


def client_of(stand: Stand, node: str) -> int:
    """A process of the client's on a node."""
    (task,) = (each for each in stand.running("client") if each.node == node)
    found = traces.containers(stand.place, node)
    return next(process.pid for id, process in found.items() if id.startswith(task.id))


def generation(stand: Stand, node: str) -> int:
    (told,) = stand.rows("node", "inspect", node)
    keys = told["description"]["networking"]["tunnel_keys"]  # type: ignore[index]
    return max((int(key["generation"]) for key in keys), default=-1)


def tunnels(stand: Stand, node: str) -> list[int]:
    """The processes of wireguard-go on a node."""
    found = []
    for pid in members.processes_of_member(stand.place, node):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "wireguard-go":
                found.append(pid)
    return found


@pytest.fixture(autouse=True)
def rotation(stand: Stand) -> Iterator[None]:
    yield
    stand.covey("cluster", "update", "--tunnel-rotation", "12h")


def test_nobody_reads_along_and_keys_change_unnoticed(stand: Stand) -> None:
    create(stand, "--opt", "encrypted")
    everybody_meets(stand)
    seen = frames(stand, "w1")
    assert not [each for each in seen if b"version=1 task=" in each]
    assert [each for each in seen if vxlan_or_tunnel(each, (limits.tunnel_port, limits.tunnel_port + 1))]

    before = {node: generation(stand, node) for node in stand.asked.nodes}
    stand.covey("cluster", "update", "--tunnel-rotation", f"{limits.tunnel_rotation_s_min}s")
    with nothing_lost(stand):
        stand.until(
            "new keys on all nodes",
            lambda: all(generation(stand, node) > before[node] for node in stand.asked.nodes),
            50,
        )
    everybody_meets(stand)
    stand.until("audits to find nothing", lambda: "Nothing amiss on 3 nodes" in audit(stand))


@contextmanager
def nothing_lost(stand: Stand) -> Iterator[None]:
    """Send packets from a task on w1 to one on w2 all the time; each must come back."""
    target = stand.rows("network", "inspect", "--verbose", "vault")[0]
    address = next(
        each["addresses"][0]  # type: ignore[index]
        for service in target["services"]  # type: ignore[attr-defined]
        for each in service["backends"]
        if service["name"] == "web" and each["node_name"] == "w2"
    )
    pings = subprocess.Popen(
        [
            *("nsenter", "-t", str(client_of(stand, "w1")), "-n"),
            *("ping", "-q", "-i", "0.01", "-c", "2000", str(address)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield
        assert pings.poll() is None, "packets were sent all the time"
        said, _ = pings.communicate(timeout=60)
    finally:
        pings.kill()
    assert " 0% packet loss" in said, said


def audit(stand: Stand) -> str:
    with suppress(CoveyError):
        return stand.covey("system", "audit")
    return ""


def test_agents_and_tunnels_may_die(stand: Stand) -> None:
    create(stand, "--opt", "encrypted", "--ipv6")
    everybody_meets(stand)
    kept = tunnels(stand, "w1")
    assert len(kept) == 1
    with nothing_lost(stand):
        nodes.kill_process(stand.place, "w1", "agent")
        stand.until("another agent to answer", lambda: "on 3 nodes" in audit(stand))
    everybody_meets(stand)
    assert tunnels(stand, "w1") == kept, "its tunnels went on"
    (pid,) = tunnels(stand, "w2")
    os.kill(pid, signal.SIGKILL)
    stand.until("another one", lambda: tunnels(stand, "w2") not in ([], [pid]))
    everybody_meets(stand)
    stand.covey("service", "rm", "web", "client")
    stand.until("no tunnel to be left", lambda: not any(tunnels(stand, node) for node in stand.asked.nodes))


def test_on_another_network_one_can_read_along(stand: Stand) -> None:
    create(stand)
    everybody_meets(stand)
    assert [each for each in frames(stand, "w1") if b"version=1 task=" in each]


def test_where_nothing_can_be_encrypted_no_such_task_goes(stand: Stand) -> None:
    taken = netns.socket_inside(stand.place.netns("w2"), socket.AF_INET, socket.SOCK_DGRAM)
    with taken:
        taken.bind(("0.0.0.0", limits.tunnel_port))
        nodes.kill_process(stand.place, "w2", "agent")
        stand.until(
            "w2 to say that it cannot",
            lambda: (
                not stand.rows("node", "inspect", "w2")[0]["description"]["networking"]["encryption"]  # type: ignore[index]
            ),
        )
        stand.covey("network", "create", "--opt", "encrypted", "vault")
        create_web = ("service", "create", "-d", "--name", "web", "--mode", "global", "--network", "vault")
        stand.covey(*create_web, f"{stand.web}:1")
        stand.until("tasks elsewhere", lambda: set(stand.spread("web")) == {"m1", "w1"})
        why = stand.covey("service", "why", "web")
        assert "network vault is encrypted, which w2 cannot do" in why
    nodes.kill_process(stand.place, "w2", "agent")
    stand.until("a task there, too", lambda: set(stand.spread("web")) == set(stand.asked.nodes))


def test_published_ports_go_through_tunnels_if_the_ingress_network_does(stand: Stand) -> None:
    stand.replace_ingress("--opt", "encrypted", "--ipv6")
    try:
        stand.covey("service", "create", "--name", "web", "--publish", "8087:80", f"{stand.web}:1")
        for node in stand.asked.nodes:
            for ipv6, client in ((False, address_of(OUTSIDE)), (True, ipv6_of(OUTSIDE))):
                stand.until(f"port 8087 of {node}", partial(stand.answers, node, 8087, ipv6=ipv6))
                seen = ANSWER.search(stand.curl(node, 8087, ipv6=ipv6))
                assert seen is not None
                assert seen[4] == client, "the task sees who asks"
        (task,) = stand.running("web")
        asked = next(node for node in stand.asked.nodes if node != task.node)
        seen_frames: list[bytes] = []
        reading = threading.Thread(target=lambda: seen_frames.extend(frames(stand, task.node)))
        reading.start()
        while reading.is_alive():
            stand.curl(asked, 8087)
        reading.join()
        assert not [each for each in seen_frames if b"version=1 task=" in each]
        stand.covey("service", "rm", "web")
    finally:
        stand.sweep()
        stand.replace_ingress()
