"""Runs `tests.bench.large_tables` in a namespace of its own."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from covey.io import netns
from tests.bench.large_tables import OWN, Measured
from tests.support.network_bed import ROOT, run_in


def measured(rows: int, tasks: int) -> Measured:
    """The figures for a table of `rows` on a node with `tasks`."""
    with TemporaryDirectory(prefix=f"cvl{os.getpid()}-") as directory:
        path = Path(directory) / "host"
        netns.create(path)
        try:
            for words in (
                "link set lo up",
                "link add eth0 type veth peer name eth1",
                f"addr add {OWN}/24 dev eth0",
                "link set eth0 up",
                "link set eth1 up",
            ):
                run_in(path, "ip", *words.split())
            command = [sys.executable, "-m", "tests.bench.large_tables", directory, str(rows), str(tasks)]
            done = subprocess.run(
                ["nsenter", f"--net={path}", *command],
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
                cwd=ROOT,
            )
            assert done.returncode == 0, done.stderr
            return msgspec.json.decode(done.stdout.splitlines()[-1], type=Measured)
        finally:
            netns.delete(path)
