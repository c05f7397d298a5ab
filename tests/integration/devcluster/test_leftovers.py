"""A run that was killed leaves nothing to the next one; a run that lives keeps what it has."""

import subprocess
import sys
from pathlib import Path

import pytest

from devcluster import cgroups, mounts
from tests.support import leftovers

pytestmark = pytest.mark.root

_KILLED = """
import os, signal, subprocess, tempfile
from pathlib import Path
from covey.io import netns
from devcluster import cgroups
from tests.support import leftovers
name = leftovers.prefix()
folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
netns.create(folder / "space")
cgroups.create(f"{name}r0")
pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exec sleep 600 >/dev/null 2>&1"], os.environ)
for tree in cgroups.hierarchies():
    (tree.root / f"{name}r0" / "cgroup.procs").write_text(str(pid))
works = ["sh", "-c", 'exec tail -f "$0" >/dev/null 2>&1', str(folder / "file")]
(folder / "file").touch()
program = os.posix_spawn("/bin/sh", works, os.environ)
print(folder, f"{name}r0", pid, program, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_remains_of_a_killed_run_are_removed() -> None:
    mine = f"{leftovers.prefix()}kept"
    cgroups.create(mine)
    try:
        root = Path(__file__).parents[3]
        done = subprocess.run(
            [sys.executable, "-c", _KILLED], capture_output=True, text=True, timeout=60, cwd=root, check=False
        )
        folder, group, pid, program = done.stdout.split()
        assert Path(f"/proc/{pid}").exists(), done.stderr
        assert mounts.mounted_under(Path(folder))
        found = leftovers.sweep()
        assert {f"control group {group}", f"process {program}", folder} <= set(found)
        assert not Path(f"/proc/{program}/exe").exists()
        assert not Path(folder).exists()
        assert not mounts.mounted_under(Path(folder))
        assert not cgroups.exists(group)
        assert cgroups.exists(mine)
        assert not {f"control group {group}", f"process {program}", folder} & set(leftovers.sweep())
    finally:
        cgroups.remove(mine)
