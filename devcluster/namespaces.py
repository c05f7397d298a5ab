"""A member's namespaces: programs run in its network, and a process that becomes part of it for good.

Making, finding and removing network namespaces is `covey.io.netns`'s; here is what only a dev cluster does.
"""

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from covey.errors import Unavailable
from covey.io import netns

_CLONE_NEWNET = 0x4000_0000
_CLONE_NEWUTS = 0x0400_0000
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(done: int, what: str) -> None:
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter(path: Path) -> None:
    """Move the calling process, which must have no other thread, into the namespace at `path` for good."""
    with path.open("rb") as handle:
        _checked(_libc.setns(handle.fileno(), _CLONE_NEWNET), f"setns {path}")


def own_hostname(name: str) -> None:
    """Give the calling process a hostname that only it and its children see."""
    _checked(_libc.unshare(_CLONE_NEWUTS), "unshare the hostname")
    encoded = name.encode()
    _checked(_libc.sethostname(encoded, len(encoded)), f"sethostname {name}")


def create(path: Path) -> None:
    """A new network namespace at `path`, its loopback up; what an earlier run left there goes first."""
    netns.delete(path)
    netns.create(path)
    run(path, ["ip", "link", "set", "lo", "up"])


def command(path: Path, argv: Sequence[str]) -> list[str]:
    """`argv`, made to run within the namespace at `path`."""
    return ["nsenter", f"--net={path}", "--", *argv]


def run(path: Path, argv: Sequence[str], given: str = "", timeout_s: float = 30.0) -> str:
    """Run a program to its end within the namespace at `path`; its output.

    Raises Unavailable with the program's own words when it fails or takes longer than `timeout_s`.
    """
    try:
        done = subprocess.run(
            command(path, argv), input=given, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{' '.join(argv)}: not done within {timeout_s:g} s") from error
    except FileNotFoundError as error:
        raise Unavailable(f"{error.filename} is not installed: run `make setup`") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        raise Unavailable(f"{' '.join(argv)}: exit code {done.returncode}: {words}")
    return done.stdout
