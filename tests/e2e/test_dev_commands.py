"""`covey dev` itself: one cluster beside another, and no trace of it afterwards."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import cgroups, mounts
from devcluster.place import Place

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "covey.cli", "dev", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)


def done(*arguments: str) -> str:
    ended = dev(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def name() -> Iterator[str]:
    name = f"d{os.getpid()}"
    yield name
    dev("down", "--name", name)


def test_a_cluster_from_its_first_command_to_its_last(name: str) -> None:
    place = Place(name)
    done("up", "--name", name, "--workers", "1")
    shown = {row["name"]: row["state"] for row in json.loads(done("ls", "--name", name, "--format", "json"))}
    assert shown == {"m1": "running", "w1": "running", "registry": "running", "outside": "running"}

    exports = done("env", "--name", name)
    script = f"{exports}\n{sys.executable} -m covey.cli node ls -q | wc -l; echo $COVEY_DEV_REGISTRY"
    assert subprocess.check_output(["bash", "-c", script], text=True).split() == ["2", "10.77.0.2:5000"]
    assert "10.77.2.1" in done("exec", "--name", name, "w1", "--", "ip", "address", "show", "eth0")
    assert dev("exec", "--name", name, "w1", "--", "sh", "-c", "exit 7").returncode == 7

    done("up", "--name", name, "--workers", "2")  # it grows
    done("kill", "w2", "--name", name)
    states = {row["name"]: row["state"] for row in json.loads(done("ls", "--name", name, "--format", "json"))}
    assert states["w2"] == "off"
    done("start", "w2", "--name", name)
    done("cut", "w1", "--name", name)
    done("heal", "w1", "--name", name)
    refused = dev("up", "--name", name, "--workers", "1")
    assert refused.returncode == 1
    assert "it can only get more nodes" in refused.stderr

    done("down", "--name", name)
    assert not place.root.exists()
    assert not cgroups.exists(place.cluster_cgroup)
    assert not mounts.mounted_under(place.root)
    assert not [pid for pid in Path("/proc").glob("[0-9]*/cmdline") if str(place.root) in _text(pid)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
