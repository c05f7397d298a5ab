"""What audits find of tunnels and put right, and hosts that are set up otherwise than most."""

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from agent.tunnels import names
from agent.tunnels.io import keys, links
from agent.tunnels.io.kernel import Kernel
from agent.tunnels.io.probe import find
from agent.tunnels.io.userspace import Userspace
from agent.tunnels.io.wireguard import TunnelFault
from covey import limits
from covey.io import netns
from covey.model.tunnels import tunnel_address
from tests.integration.tunnels.test_tunnels_bed import eventually_clean, meets, served_by
from tests.support.leftovers import prefix
from tests.support.network_bed import run_in
from tests.support.network_traffic import eventually
from tests.support.tunnel_bed import TunnelBed, TunnelHost

pytestmark = pytest.mark.root


def _forget_keys(host: TunnelHost) -> None:
    host.state.unlink()


def _show_keys(host: TunnelHost) -> None:
    host.state.chmod(0o644)


def test_audits_look_at_the_file_of_keys(tunnels: TunnelBed) -> None:
    first, _ = tunnels.members
    for meddle, words in (
        (_forget_keys, "does not hold the keys in use"),
        (_show_keys, "can be read by others than root"),
    ):
        eventually_clean(first)
        meddle(first)
        assert words in first.ask("audit")
        # A peer that has just answered is set otherwise in that moment: an audit may come between.
        eventually(lambda: first.ask("audit", name="repair") == "", "nothing to be amiss after the repair")
        assert first.state.stat().st_mode & 0o777 == 0o600
    meets(tunnels)


MEDDLING = {
    "the guard": ("nft", "delete", "table", "inet", "covey_tunnels"),
    "a rule of the guard": ("nft", "flush", "chain", "inet", "covey_tunnels", "incoming"),
    "a chain of the guard": ("nft", "flush", "chain", "inet", "covey_tunnels", "passing"),
    "the way": ("ip", "-6", "route", "flush", "proto", "static"),
    "the address": ("ip", "-6", "addr", "flush", "scope", "global", "dev", "DEVICE"),
    "the device": ("ip", "link", "del", "DEVICE"),
    "its state": ("ip", "link", "set", "DEVICE", "down"),
    "its size": ("ip", "link", "set", "DEVICE", "mtu", "1280"),
}


def test_what_somebody_takes_away_is_put_back(tunnels: TunnelBed) -> None:
    first, _ = tunnels.members
    for what, command in MEDDLING.items():
        meets(tunnels)
        run_in(first.path, *(first.devices[0] if word == "DEVICE" else word for word in command))
        eventually_clean(first)
        eventually(lambda: "proto static" in run_in(first.path, "ip", "-6", "route"), f"a way after {what}")
    meets(tunnels)


def test_ipv6_may_be_switched_off_on_the_host() -> None:
    directory = Path(tempfile.mkdtemp(prefix=f"{prefix()}-"))
    bed = TunnelBed(directory)
    try:
        bed.build()
        for host in bed.members:
            for where in ("all", "default", "lo", "eth0"):
                run_in(host.path, "sysctl", "-q", "-w", f"net.ipv6.conf.{where}.disable_ipv6=1")
        for number, host in enumerate(bed.members, 1):
            bed.join(host, f"t{number}")
        bed.push()
        meets(bed)
    finally:
        bed.close()
        shutil.rmtree(directory)


def test_the_probe_says_which_wireguard_works_and_leaves_nothing(tmp_path: Path) -> None:
    make, why = find(tmp_path, "probing")
    assert make is not None, why
    assert make.kind in ("kernel", "wireguard-go")
    assert list(tmp_path.iterdir()) == []
    assert not list(Path("/run/wireguard").glob(f"{'covey_t0'}*p.sock"))
    assert not [child for child in children() if child == "wireguard-go"]  # not even one to be waited for


FIND = """
import sys
from pathlib import Path
from agent.tunnels.io.probe import find
make, why = find(Path(sys.argv[1]), "probing")
print(make.kind if make is not None else why)
"""


def probed(path: Path, directory: Path) -> str:
    """What a node finds out that begins in a namespace."""
    return run_in(path, sys.executable, "-c", FIND, str(directory)).strip()


def test_a_port_that_others_have_is_named_by_the_probe(tmp_path: Path) -> None:
    """Also if they are a wireguard-go of somebody else's; one of a former agent's of this host is none of them."""
    path, foreign, former = tmp_path / "host", f"wg{os.getpid()}", names.device(str(tmp_path), 1)
    port = limits.tunnel_port + 1
    netns.create(path)
    make = Userspace()
    try:
        for name, words in (
            (foreign, rf"UDP port {port} is taken by wireguard-go \(pid \d+\)"),
            (former, ""),
        ):
            netns.call_inside(path, partial(make.create, name))
            make.set_key(name, keys.make(1).private_key, port)
            netns.call_inside(path, partial(links.bring_up, name, 1420))
            eventually(lambda: bool(run_in(path, "ss", "-Hnul")), "it listens")
            found = probed(path, tmp_path / "trial")
            assert re.match(words, found) if words else found in ("kernel", "wireguard-go"), found
            make.remove(name)
        kernels = ("vxlan", "id", "7", "local", "127.0.0.1", "dstport", str(port))
        run_in(path, "ip", "link", "add", "vx7", "up", "type", *kernels)
        assert f"UDP port {port} is taken by the kernel" in probed(path, tmp_path / "trial")
    finally:
        make.remove(foreign)
        make.remove(former)
        netns.delete(path)


def children() -> Iterator[str]:
    """The programs of this process's children, those that have ended included."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            program, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
            if rest.split()[1] == str(os.getpid()):
                yield program


def test_too_small_a_link_is_refused_with_the_sizes(tmp_path: Path, tunnels: TunnelBed) -> None:
    make, why = find(tmp_path, "probing", 1359)
    assert make is None
    assert "1359 bytes at most, and tunnels need 1360" in why
    first, _ = tunnels.members
    run_in(first.path, "ip", "link", "set", "eth0", "mtu", "1359")
    eventually(lambda: "takes 1359 bytes at most" in first.ask("remarks"), "it is said")
    run_in(first.path, "ip", "link", "set", "eth0", "mtu", "1360")
    eventually(lambda: first.ask("remarks") == "", "it is mended by itself")
    meets(tunnels)


def test_the_kernels_wireguard_is_refused_in_words_or_works(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    netns.create(path)
    try:
        netns.call_inside(path, lambda: _tries(Kernel()))
    finally:
        netns.delete(path)


def _tries(make: Kernel | Userspace) -> None:
    try:
        make.create("covey_t0abcdef")
    except TunnelFault as fault:
        assert "WireGuard device covey_t0abcdef" in str(fault)  # noqa: PT017  this kernel has none
        assert make.read("covey_t0abcdef") is None
        return
    tuned = make.read("covey_t0abcdef")
    assert tuned is not None
    assert tuned.public_key == ""
    make.remove("covey_t0abcdef")
    make.close()


def test_a_host_that_has_forgotten_who_it_was_takes_its_tunnels_away(tunnels: TunnelBed) -> None:
    """Its state is lost, and it joins anew: what stands of it as another node would hold the ports for ever."""
    first, _ = tunnels.members
    first.stop(signal.SIGKILL)
    before = first.devices
    try:
        assert served_by(before[0])
        first.state.unlink()
        first.node_id += "-again"
        first.tunnel = tunnel_address(tunnels.cluster_id, first.node_id)
        first.start()
        first.sandboxes["t1"] = tunnels.sandbox(first, "t1")
        tunnels.reconcile(first)
        assert not any(served_by(name) for name in before)
        tunnels.push()
        eventually_clean(first)
        meets(tunnels)
        assert "this host was another node" in first.said()
    finally:
        for name in before:
            Userspace().remove(name)


def test_nodes_that_move_to_other_addresses_meet_again(tunnels: TunnelBed) -> None:
    """Both at once, so that neither is where the other has heard it last."""
    meets(tunnels)
    for number, host in enumerate(tunnels.members, 1):
        host.stop(signal.SIGKILL)
        before, host.address = host.address, f"192.0.2.{100 + number}"
        run_in(host.path, "ip", "addr", "del", f"{before}/24", "dev", "eth0")
        run_in(host.path, "ip", "addr", "add", f"{host.address}/24", "dev", "eth0")
        host.start()
    for host in tunnels.members:
        tunnels.reconcile(host)
    tunnels.push()
    meets(tunnels)
    for host in tunnels.members:
        eventually_clean(host)
