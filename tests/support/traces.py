"""What the containers of a dev cluster's node have left on the host: found by looking, not by asking Covey."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcluster import cgroups, members, mounts, namespaces
from devcluster.place import Place

_GROUP_OF_MONITORS = "conmon"
_TASK_LINKS = ("covey_g", "covey_i", "covey_x", "covey_t")
_NODE_LINKS = ("covey_gw0", "covey_in0")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be taken for a later one of the same number."""

    pid: int
    started: int

    @property
    def lives(self) -> bool:
        """Whether it is still there, and no zombie."""
        return _look(self.pid) == self


def containers(place: Place, node: str) -> dict[str, Process]:
    """The first process of every container that lives on the node, by its task's id.

    An ended container's number may be another program's by now, so only processes of the node's tasks count.
    """
    found = {}
    alive = cgroups.processes(f"{place.cgroup(node)}/{members.tasks_group}")
    for written in sorted(place.state(node).glob("containers/*/pid")):
        try:
            process = _look(int(written.read_text()))
        except (FileNotFoundError, ValueError):
            continue  # just being made, or removed
        if process is not None and process.pid in alive:
            found[written.parent.name] = process
    return found


def all_containers(place: Place, nodes: list[str]) -> dict[str, Process]:
    """Those of several nodes."""
    return {id: process for node in nodes for id, process in containers(place, node).items()}


def _look(pid: int) -> Process | None:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if words[0] in "ZX" else Process(pid, int(words[19]))


def remains(place: Place, node: str) -> list[str]:
    """All that stands on the node because of tasks; nothing if it has none."""
    return sorted(_remains(place, node))


def _remains(place: Place, node: str) -> Iterator[str]:
    home, group = place.home(node), f"{place.cgroup(node)}/{members.tasks_group}"
    yield from (f"process {pid}" for pid in cgroups.processes(group))
    yield from (f"mount {point}" for point in mounts.mounted_under(home))
    groups = (
        path for tree in cgroups.hierarchies() for path in (tree.root / group).glob("*") if path.is_dir()
    )
    yield from sorted({f"cgroup {path.name}" for path in groups} - {f"cgroup {_GROUP_OF_MONITORS}"})
    for folder in ("state/containers", "run/netns", "run/runtime", "run/dns/resolvers"):
        yield from (f"file {path}" for path in (home / folder).glob("*"))
    for link in _links(place, node):
        if link not in _NODE_LINKS and link.startswith(_TASK_LINKS):
            yield f"link {link}"


def _links(place: Place, node: str) -> list[str]:
    shown = namespaces.run(place.netns(node), ["ip", "-json", "link", "show"])
    return [str(link["ifname"]) for link in json.loads(shown)]


def of_machine() -> dict[str, set[str]]:
    """What dev clusters, and containers in them, could leave on the whole machine."""
    listed = subprocess.run(["ip", "-json", "netns"], capture_output=True, text=True, timeout=30, check=True)
    return {
        "named namespaces": {str(each["name"]) for each in json.loads(listed.stdout or "[]")},
        "mounts": {line.split(" ")[4] for line in _lines("/proc/self/mountinfo") if "covey" in line},
        "cgroups": {
            str(path)
            for hierarchy in cgroups.hierarchies()
            for path in hierarchy.root.rglob("*covey*")
            if path.is_dir()
        },
        "files": {str(path) for path in Path("/var/lib/covey-dev").glob("*")},
        "links": {line.split(":")[0].strip() for line in _lines("/proc/net/dev")[2:]},
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
