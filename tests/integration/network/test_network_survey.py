"""Looking at a host that others have been busy on."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from covey.io import netns
from tests.support.network_bed import run_in

pytestmark = pytest.mark.root
ROOT = Path(__file__).parents[3]

AGAIN = """
import logging, sys
from pathlib import Path
from agent.network.io.lookout import Lookout
from agent.network.io.places import Places
from agent.network.probe import Known
logging.basicConfig(stream=sys.stdout, format="%(message)s")
subnets = ["10.7.0.0/24"]
known, seen = lambda: Known(subnets), lambda *seen: None
lookout = Lookout(Path(sys.argv[1]), Places(Path(sys.argv[1])), 4789, known, dict, seen)
for line in sys.stdin:
    subnets += line.split()
    lookout.look()
    print("looked", flush=True)
"""

LOOK = """
import sys
from pathlib import Path
from agent.network.io.survey import survey
from agent.network.probe import findings
print(*findings(survey(Path(sys.argv[1]), 4789), ["10.7.0.0/24"], 4789), sep="\\n")
"""


@pytest.fixture
def host(scratch: Path) -> Iterator[Path]:
    path = scratch / "host"
    netns.create(path)
    run_in(path, "ip", "link", "set", "lo", "up")
    yield path
    netns.delete(path)


def look(host: Path) -> list[str]:
    done = subprocess.run(
        ["nsenter", f"--net={host}", sys.executable, "-c", LOOK, str(host.parent / "run")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if line]


def test_a_clean_host_has_no_findings_and_stays_clean(host: Path) -> None:
    assert look(host) == []
    assert list((host.parent / "run").iterdir()) == []
    assert run_in(host, "nft", "list", "ruleset") == ""


def test_what_comes_later_is_said_once_while_it_lasts(host: Path) -> None:
    argv = ["nsenter", f"--net={host}", sys.executable, "-c", AGAIN, str(host.parent / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as lookout:
        assert lookout.stdin
        assert lookout.stdout

        def said(subnets: str = "") -> list[str]:
            assert lookout.stdin
            assert lookout.stdout
            lookout.stdin.write(subnets + "\n")
            lookout.stdin.flush()
            return list(iter(lookout.stdout.readline, "looked\n"))

        assert said() == []
        run_in(host, "nft", "add table ip filter")
        drop = "add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }"
        run_in(host, "nft", drop)
        assert "filter/FORWARD" in "".join(said())
        assert said() == []
        run_in(host, "nft", "delete table ip filter")
        assert said() == []
        run_in(host, "nft", "add table ip filter")
        run_in(host, "nft", drop)
        run_in(host, "ip", "link", "add", "vpn0", "up", "type", "bridge")
        run_in(host, "ip", "addr", "add", "10.8.0.1/16", "dev", "vpn0")
        assert "filter/FORWARD" in "".join(said())
        (overlap,) = said("10.8.3.0/24")
        assert "10.8.0.0/16 over vpn0, which overlaps the network subnet 10.8.3.0/24" in overlap
        lookout.stdin.close()
        assert lookout.wait(20) == 0


def test_trouble_is_found_and_named(host: Path) -> None:
    run_in(host, "nft", "add table ip filter")
    run_in(host, "nft", "add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }")
    run_in(host, "ip", "link", "add", "vpn0", "up", "type", "bridge")
    run_in(host, "ip", "addr", "add", "10.6.0.1/15", "dev", "vpn0")
    with netns.socket_inside(host, socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 4789))
        assert not select.select([taken], [], [], 0)[0]
        found = look(host)
    assert len(found) == 3
    assert "4789 is taken by" in found[0]
    assert f"pid {os.getpid()}" in found[0]
    assert "nftables chain filter/FORWARD (ip) drops forwarded packets" in found[1]
    assert "routes 10.6.0.0/15 over vpn0" in found[2]
