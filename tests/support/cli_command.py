"""The `covey` command as a process, for tests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.cli_stand import CliStand

ROOT = Path(__file__).parents[2]
BOUND_S = 60


def start(stand: CliStand | None, *words: str, **environment: str) -> "subprocess.Popen[str]":
    host = stand.host if stand else "unix:///nonexistent/covey.sock"
    return subprocess.Popen(
        # A run that began in the background has its programs ignore interrupts.
        ["env", "--default-signal=INT", sys.executable, "-m", "covey.cli", *words],
        cwd=ROOT,
        env={**os.environ, "COVEY_HOST": host, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def covey(stand: CliStand | None, *words: str, code: int = 0, **environment: str) -> tuple[str, str]:
    process = start(stand, *words, **environment)
    out, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == code, f"{words}: {process.returncode}\n{out}\n{err}"
    return out, err


def listed(stand: CliStand, *words: str) -> list[dict[str, Any]]:
    found = json.loads(covey(stand, *words, "--format", "json")[0])
    assert isinstance(found, list)
    return found
