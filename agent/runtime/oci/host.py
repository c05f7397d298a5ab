"""What this host is like, found out once: the runtime to use, the cgroup layout, what limits may be set."""

import os
import platform
import resource
from pathlib import Path

from msgspec import Struct

from covey.errors import Unavailable
from covey.io.architecture import architecture
from covey.io.process import find_program, require_program

from .cgroups import Hierarchy, Layout, hierarchies, layout

_CAP_SYS_RESOURCE = 24


class Host(Struct, frozen=True):
    """Facts about the host. `rlimit_hard` holds the most each resource may be raised to; absent means any."""

    runtime: str
    conmon: str
    trees: tuple[Hierarchy, ...]
    layout: Layout
    systemd: bool
    architecture: str
    kernel: tuple[int, int]
    boot_id: str
    swap_limit: bool = True
    rlimit_hard: dict[str, int] = {}
    init: str = ""

    def describe(self) -> str:
        """One line for the log: what was chosen, and on what grounds."""
        driver = "systemd" if self.systemd else "cgroupfs"
        return f"runtime {self.runtime}, cgroups {self.layout} by {driver}, {self.conmon}"


def choose_runtime(found: Layout, crun: str | None, runc: str | None) -> str:
    """Which OCI runtime to use: crun is quicker, but refuses hybrid cgroups; runc runs everywhere."""
    preferred = (crun, runc) if found is Layout.V2 else (runc, None if found is Layout.HYBRID else crun)
    for path in preferred:
        if path:
            return path
    raise Unavailable(
        f"no OCI runtime for this node's cgroups ({found}) is installed; install the package "
        + ("crun or runc" if found is not Layout.HYBRID else "runc (crun refuses hybrid cgroups)")
    )


def probe() -> Host:
    """Look at this host; `Unavailable` names the package that is missing."""
    trees = hierarchies(Path("/proc/self/mountinfo").read_text())
    if not trees:
        raise Unavailable("no cgroup hierarchy is mounted on this node; mount /sys/fs/cgroup")
    found = layout(trees)
    major, minor = platform.release().split(".")[:2]
    return Host(
        runtime=choose_runtime(found, find_program("crun"), find_program("runc")),
        conmon=require_program("conmon", "conmon"),
        trees=trees,
        layout=found,
        systemd=Path("/run/systemd/system").is_dir(),
        architecture=architecture(),
        kernel=(int(major), int("".join(c for c in minor if c.isdigit()) or 0)),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        swap_limit=_can_limit_swap(trees),
        rlimit_hard=_rlimits_hard(),
        init=next((p for p in map(find_program, ("catatonit", "docker-init", "tini")) if p), ""),
    )


def _can_limit_swap(trees: tuple[Hierarchy, ...]) -> bool:
    """On v1 swap is counted only if the kernel was booted so; on v2 a limit does no harm."""
    memory = [tree for tree in trees if "memory" in tree.controllers]
    return not memory or os.path.exists(f"{memory[0].mount}/memory.memsw.limit_in_bytes")


def _rlimits_hard() -> dict[str, int]:
    """The hard limits we cannot exceed: all of them, unless we have CAP_SYS_RESOURCE (capabilities(7)).

    Nobody may open more files than the kernel's own bound (getrlimit(2)).
    """
    status = Path("/proc/self/status").read_text()
    effective = int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)
    if effective >> _CAP_SYS_RESOURCE & 1:
        return {"RLIMIT_NOFILE": int(Path("/proc/sys/fs/nr_open").read_text())}
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    hard = {name: resource.getrlimit(getattr(resource, name))[1] for name in names}
    return {name: value for name, value in hard.items() if value != resource.RLIM_INFINITY}


def process_start(pid: int) -> int:
    """When a process began, in clock ticks since boot: with the boot id it tells a pid from its successor.

    Returns 0 if there is no such process (proc(5), field 22 of /proc/PID/stat).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in ("Z", "X") else int(fields[19])
