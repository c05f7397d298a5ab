"""Encrypted networks between two hosts: what they carry, and what becomes of them when something ends."""

import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from agent.tunnels.io.userspace import Userspace
from covey import limits
from covey.io import netns
from tests.support.network_bed import run_in
from tests.support.network_traffic import ask_tcp, ask_udp, eventually
from tests.support.tunnel_bed import TunnelBed, TunnelHost

pytestmark = pytest.mark.root


def served_by(name: str) -> int:
    """The pid of the wireguard-go of a device."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if words[1:3] == ["-f", name]:
            return int(process.name)
    return 0


def meets(bed: TunnelBed) -> None:
    """Tasks reach each other; the first packets through a tunnel that is new may be lost, as a cable is plugged in."""
    eventually(lambda: _reach_each_other(bed), "tasks to reach each other", 20)


def _reach_each_other(bed: TunnelBed) -> bool:
    first, second = bed.members
    try:
        there = ask_tcp(first.task_path("t1"), "10.7.0.2")
        back = ask_udp(second.task_path("t2"), "10.7.0.1")
    except OSError:
        return False
    assert (there, back) == ({("t2", "10.7.0.1"): 1}, {("t1", "10.7.0.2"): 1})
    return True


def eventually_clean(host: TunnelHost) -> None:
    eventually(lambda: host.ask("audit") == "", f"{host.node_id}: {host.ask('audit')}")


def leave(bed: TunnelBed, host: TunnelHost, task: str) -> None:
    bed.remove(host, task)
    host.call("forget", name=bed.network.id)


def test_tasks_meet_and_audits_find_nothing(tunnels: TunnelBed) -> None:
    meets(tunnels)
    for host in tunnels.members:
        eventually_clean(host)


def test_packets_are_as_large_as_the_underlay_lets_them_be(tunnels: TunnelBed) -> None:
    first = tunnels.members[0]
    size = json.loads(run_in(first.task_path("t1"), "ip", "-j", "link", "show", "eth0"))[0]["mtu"]
    assert size == 1500 - limits.vxlan_overhead_ipv6_bytes - limits.wireguard_overhead_bytes
    meets(tunnels)  # the first packet of all may be lost while both shake hands
    run_in(first.task_path("t1"), "ping", "-c1", "-W3", "-Mdo", f"-s{size - 28}", "10.7.0.2")
    with pytest.raises(AssertionError, match="message too long"):
        run_in(first.task_path("t1"), "ping", "-c1", "-W1", "-Mdo", f"-s{size - 27}", "10.7.0.2")


def test_tunnels_outlive_the_agent_and_are_taken_over(tunnels: TunnelBed) -> None:
    first, second = tunnels.members
    pids = [served_by(host.devices[0]) for host in (first, second)]
    assert all(pids)
    before = first.reported()
    first.stop(signal.SIGKILL)
    meets(tunnels)
    first.start()
    tunnels.reconcile(first)
    meets(tunnels)
    assert first.reported() == before
    assert [served_by(host.devices[0]) for host in (first, second)] == pids


def room(host: TunnelHost) -> set[int]:
    """How many bytes may wait at the sockets of the host's tunnel, as the kernel counts."""
    listed = run_in(host.path, "ss", "-Hnuam", "sport", "=", f":{limits.tunnel_port}")
    return {int(each) for each in re.findall(r"skmem:\(r\d+,rb(\d+),", listed)}


def test_packets_may_wait_for_a_wireguard_that_is_busy(tunnels: TunnelBed) -> None:
    wanted = {2 * limits.tunnel_receive_buffer_bytes}
    for host in tunnels.members:
        eventually(lambda host=host: room(host) == wanted, "room")
    first, _ = tunnels.members
    run_in(first.path, "ip", "link", "set", first.devices[0], "down")  # the next sockets are others
    eventually(lambda: room(first) == wanted, "room again")
    meets(tunnels)
    assert "no room" not in first.said()


def test_a_process_that_ends_is_started_again(tunnels: TunnelBed) -> None:
    first, _ = tunnels.members
    meets(tunnels)
    before = served_by(first.devices[0])
    os.kill(before, signal.SIGKILL)
    eventually(lambda: served_by(first.devices[0]) not in (0, before), "it is started again")
    eventually(lambda: "proto static" in run_in(first.path, "ip", "-6", "route"), "with its way")
    meets(tunnels)
    eventually_clean(first)


def test_with_the_last_network_everything_leaves(tunnels: TunnelBed) -> None:
    first, _ = tunnels.members
    assert first.state.stat().st_mode & 0o777 == 0o600
    leave(tunnels, first, "t1")
    links = json.loads(run_in(first.path, "ip", "-j", "link"))
    assert not [each["ifname"] for each in links if each["ifname"].startswith("covey_t")]
    assert "covey_tunnels" not in run_in(first.path, "nft", "list", "ruleset")
    assert not served_by(first.devices[0])
    assert not first.state.exists()
    assert first.reported() == ()


def test_leaving_removes_what_a_killed_agent_left(tunnels: TunnelBed) -> None:
    first, _ = tunnels.members
    first.stop(signal.SIGKILL)
    first.why = "it only removes everything"
    first.start()
    first.call("reconcile")
    assert not served_by(first.devices[0])
    assert "covey_t" not in run_in(first.path, "ip", "link")
    assert "covey_tunnels" not in run_in(first.path, "nft", "list", "ruleset")
    assert not first.state.exists()


def test_a_host_that_cannot_encrypt_refuses_tasks_and_sends_nothing(tunnels: TunnelBed) -> None:
    first, _ = tunnels.members
    first.stop(signal.SIGTERM)
    first.why = "it is told not to"
    first.start()
    tunnels.reconcile(first)
    links = run_in(first.netns_dir / f"net-{tunnels.network.id}", "ip", "link")
    assert "vx0" not in links, "there is no way out, rather than a plain one"
    assert first.why in first.ask("remarks")
    with pytest.raises(AssertionError, match=r"FailedPrecondition.*is encrypted, which this node cannot do"):
        tunnels.join(first, "t3")
    first.sandboxes.pop("t3")


def test_a_device_that_nothing_serves_is_made_anew(tunnels: TunnelBed) -> None:
    first, _ = tunnels.members
    name = first.devices[0]
    first.stop(signal.SIGKILL)
    Userspace().remove(name)
    run_in(first.path, "ip", "tuntap", "add", "dev", name, "mode", "tun")
    first.start()
    tunnels.reconcile(first)
    meets(tunnels)


def test_a_taken_port_is_named(tunnels: TunnelBed) -> None:
    first, _ = tunnels.members
    leave(tunnels, first, "t1")
    with netns.socket_inside(first.path, socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", limits.tunnel_port))
        tunnels.join(first, "t1")
        with pytest.raises(AssertionError, match=rf"UDP port {limits.tunnel_port} is taken by .*\(pid"):
            tunnels.push()
    eventually(lambda: first.ask("remarks") == "", "it is tried again")
    tunnels.push()
    meets(tunnels)
