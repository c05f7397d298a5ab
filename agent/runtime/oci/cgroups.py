"""Where a container's cgroups are, in each of the three layouts Linux hosts have, and how to empty them.

v1 has one hierarchy per controller, v2 a single one, and a hybrid host has v1's with a v2 tree that holds
no (or few) controllers. A container has the same path in every hierarchy, below the node's parent, so that
killing everything under the parent kills the node (cgroups(7); kernel
`Documentation/admin-guide/cgroup-v2.rst`).
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from signal import SIGKILL

from msgspec import Struct


class Layout(StrEnum):
    """Which cgroup hierarchies the host has mounted."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


class Hierarchy(Struct, frozen=True, gc=False):
    """One mounted cgroup tree. `v2` has no controllers listed."""

    mount: str
    v2: bool
    controllers: tuple[str, ...] = ()


_V1_NOT_CONTROLLERS = frozenset({"rw", "ro"})


def hierarchies(mountinfo: str) -> tuple[Hierarchy, ...]:
    """The cgroup mounts in the text of /proc/self/mountinfo (proc(5)), each once, whole trees only."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if len(fields) < 5 or len(kinds) < 3 or kinds[0] not in ("cgroup", "cgroup2") or fields[3] != "/":
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        v2 = kinds[0] == "cgroup2"
        options = () if v2 else tuple(o for o in kinds[2].split(",") if o not in _V1_NOT_CONTROLLERS)
        found.setdefault(mount, Hierarchy(mount, v2, options))
    return tuple(found.values())


def layout(trees: Sequence[Hierarchy]) -> Layout:
    """Which of the three layouts `trees` make."""
    if all(tree.v2 for tree in trees):
        return Layout.V2
    return Layout.HYBRID if any(tree.v2 for tree in trees) else Layout.V1


def members(text: str) -> frozenset[str]:
    """The cgroup paths a process is in, from the text of its /proc/PID/cgroup."""
    return frozenset(line.split(":", 2)[2] for line in text.splitlines() if line.count(":") >= 2)


def own() -> frozenset[str]:
    """The cgroup paths this process is in."""
    return members(Path("/proc/self/cgroup").read_text())


def is_below(path: str, parent: str) -> bool:
    """Tell whether cgroup `path` is `parent` or inside it."""
    return f"{path}/".startswith(parent.rstrip("/") + "/")


def location(cgroup: str) -> str:
    """Where a runtime specification's `cgroupsPath` is: a path, or systemd's `slice:prefix:name`.

    Each dash in a slice's name is a level (systemd.slice(5)): `a-b.slice` is `/a.slice/a-b.slice`.
    """
    if ":" not in cgroup:
        return cgroup
    group, prefix, name = cgroup.split(":", 2)
    parts = group.removesuffix(".slice").split("-")
    levels = ["-".join(parts[: n + 1]) + ".slice" for n in range(len(parts))]
    return "/" + "/".join((*levels, f"{prefix}-{name}.scope"))


def parent_of(cgroup: str) -> str:
    """The path of the cgroup that the containers' own are in, from one of theirs in a runtime specification."""
    return location(cgroup).rpartition("/")[0]


def processes(trees: Sequence[Hierarchy], path: str) -> set[int]:
    """The pids in cgroup `path` and below, in any hierarchy."""
    pids: set[int] = set()
    for folder in _folders(trees, path):
        with suppress(OSError):
            pids.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    return pids


def oom_kills(trees: Sequence[Hierarchy], path: str) -> int:
    """How many processes of cgroup `path` the kernel has killed because its memory limit was reached."""
    for tree in trees:
        if tree.v2 or "memory" in tree.controllers:
            counters = _place(tree, path) / ("memory.events" if tree.v2 else "memory.oom_control")
            with suppress(OSError):
                fields = dict(line.split()[:2] for line in counters.read_text().splitlines())
                if "oom_kill" in fields:
                    return int(fields["oom_kill"])
    return 0


def kill(trees: Sequence[Hierarchy], path: str) -> bool:
    """Send SIGKILL to everything in cgroup `path` and below; returns whether anything was there."""
    pids = processes(trees, path)
    kill_these(pids)
    return bool(pids)


def kill_these(pids: Iterable[int]) -> None:
    """Send SIGKILL to processes just found in a cgroup."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)


def remove(trees: Sequence[Hierarchy], path: str) -> list[str]:
    """Remove the empty cgroup `path` and what is below it; returns what is still in use."""
    left: list[str] = []
    for folder in _folders(trees, path):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            left.append(str(folder))
    return left


def join(trees: Sequence[Hierarchy], path: str, pid: int) -> None:
    """Move a process into `path` of one tree: v2's if there is one, else that of the pids controller.

    One is enough to find it again, and each move waits for a grace period of the kernel.
    """
    tree = next((t for t in trees if t.v2), None) or next((t for t in trees if "pids" in t.controllers), None)
    if tree is not None:
        folder = _place(tree, path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text(str(pid))


def tree_of_execs(trees: Sequence[Hierarchy]) -> Hierarchy:
    """The hierarchy in which commands run in a container get cgroups of their own, below the container's.

    Moving a process waits for a grace period of the kernel in each hierarchy, and one is enough to find the
    processes by. A v1 host's pids controller can forbid forks, too.
    """
    if layout(trees) is Layout.V2:
        return trees[0]
    real = [tree for tree in trees if tree.controllers and not tree.controllers[0].startswith("name=")]
    return next((tree for tree in real if "pids" in tree.controllers), real[0])


def home_of_execs(tree: Hierarchy, path: str) -> str:
    """The cgroup below which a command's is made: the container's, `path`, or what its runtime takes for that.

    On v2 under systemd crun puts a container into `container` below its scope (crun(1), run.oci.systemd.subgroup).
    """
    inner = f"{path}/container"
    return inner if tree.v2 and _place(tree, inner).is_dir() else path


def make(tree: Hierarchy, path: str) -> None:
    """Make the cgroup `path`, whose parent is there."""
    _place(tree, path).mkdir()


def children(tree: Hierarchy, path: str, prefix: str) -> list[str]:
    """The cgroups right below `path` whose names begin with `prefix`."""
    with suppress(FileNotFoundError):
        names = sorted(
            each.name
            for each in _place(tree, path).iterdir()
            if each.name.startswith(prefix) and each.is_dir()
        )
        return [f"{path}/{name}" for name in names]
    return []


def forbid_forks(tree: Hierarchy, path: str) -> None:
    """Let nothing new come to be in cgroup `path`: what is in it can then be killed faster than it forks.

    On v2 that is done by stopping it (a stopped process can be killed there), on v1 by the pids controller.
    """
    name, value = ("cgroup.freeze", "1") if tree.v2 else ("pids.max", "0")
    with suppress(OSError):
        (_place(tree, path) / name).write_text(value)


def pids_bound(trees: Sequence[Hierarchy], path: str, spare: int = 0) -> int:
    """How many processes cgroup `path` may have, if it has as many, but for `spare` ones; else 0."""
    for tree in trees:
        with suppress(OSError, ValueError):  # no such controller in this tree, or `max`: no bound
            most = int((_place(tree, path) / "pids.max").read_text())
            if int((_place(tree, path) / "pids.current").read_text()) + spare >= most:
                return most
    return 0


def _folders(trees: Sequence[Hierarchy], path: str) -> Iterator[Path]:
    """The directories of `path` in all hierarchies, children before their parents."""
    for tree in trees:
        top = _place(tree, path)
        if top.is_dir():
            for folder, _, _ in os.walk(top, topdown=False):
                yield Path(folder)


def _place(tree: Hierarchy, path: str) -> Path:
    return Path(tree.mount) / path.lstrip("/")
