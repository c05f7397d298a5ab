"""What a cluster costs: processor time by cgroup and by process, and memory."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from devcluster import cgroups, members
from devcluster.place import Place

OURS = {"node": "coveyd", "manager": "manager", "agent": "agent", "agent.dns": "dns"}
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cgroup_cpu_s(group: str) -> float:
    """The processor seconds that a cgroup's processes, also those that have ended, have used."""
    for hierarchy in cgroups.hierarchies():
        folder = hierarchy.root / group
        if "cpuacct" in hierarchy.controllers:
            return int((folder / "cpuacct.usage").read_text()) / 1e9
        if hierarchy.unified and (folder / "cpu.stat").exists() and not _has_v1():
            return int((folder / "cpu.stat").read_text().split("usage_usec ")[1].split()[0]) / 1e6
    raise AssertionError("no cgroup hierarchy counts processor time")


def _has_v1() -> bool:
    return any("cpuacct" in hierarchy.controllers for hierarchy in cgroups.hierarchies())


def processes(place: Place, nodes: Iterable[str]) -> dict[int, str]:
    """The nodes' own processes by what they are: coveyd, manager, agent, dns, conmon or other."""
    found = {}
    for node in nodes:
        for pid in members.processes_of_member(place, node):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[pid] = _kind(words)
    return found


def _kind(words: list[str]) -> str:
    if "-m" in words[:-1]:
        return OURS.get(words[words.index("-m") + 1], "other")
    return "conmon" if words[0].endswith("/conmon") else "other"


@dataclass(frozen=True)
class Cpu:
    """Processor seconds used by a cluster so far: all of it, and that of our own processes."""

    total: float
    ours: dict[str, float]

    def since(self, before: "Cpu") -> "Cpu":
        """What was used since `before`; a process that has ended meanwhile counts only in the total."""
        ours = {kind: used - before.ours.get(kind, 0.0) for kind, used in self.ours.items()}
        return Cpu(self.total - before.total, ours)

    @property
    def others(self) -> float:
        """conmon, runc, skopeo and the containers."""
        return self.total - sum(self.ours.values())


def cpu(place: Place, nodes: Iterable[str]) -> Cpu:
    """The processor time of `nodes` until now."""
    ours: dict[str, float] = defaultdict(float)
    names = list(nodes)
    for pid, kind in processes(place, names).items():
        if kind in OURS.values():
            ours[kind] += process_cpu_s(pid)
    return Cpu(sum(cgroup_cpu_s(place.cgroup(node)) for node in names), ours)


def process_cpu_s(pid: int) -> float:
    """The processor seconds that one process has used, its children not counted; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def pss_mb(place: Place, nodes: Iterable[str]) -> dict[str, float]:
    """The proportional share of memory of the nodes' own processes, in MB, by what they are."""
    shares: dict[str, float] = defaultdict(float)
    for pid, kind in processes(place, nodes).items():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        shares[kind] += int(text.split("\nPss:")[1].split()[0]) * 1024 / 1e6
    return shares
