"""What containers left on this host, and what those that run lack: read in one go, judged without a look aside."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from agent.audit.look import Look
from covey.ids import LENGTH
from covey.model.audit import Finding

from . import cgroups
from .cgroups import Hierarchy

_ID = re.compile(
    rf"(?<![0-9a-z])[0-9a-z]{{{LENGTH}}}(?![0-9a-z])"
)  # a part of a longer one is somebody else's
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Living(Struct, frozen=True, gc=False):
    """A container that the runtime knows. `mounted`: whether its file system should be; None if that changes now.

    `execs` are the cgroups that commands run in now, `home` that below which they are made.
    """

    cgroup: str
    mounted: bool | None
    home: str
    execs: frozenset[str] = frozenset()


class Ground(Struct, frozen=True):
    """Where containers leave things, and the prefix of what commands in them leave."""

    containers: Path
    runtime_root: Path
    cgroup_parent: str
    trees: Sequence[Hierarchy]
    exec_tree: Hierarchy
    exec_prefix: str


class Left(Struct, frozen=True):
    """What is left of ids that nobody knows. `cgroups` are empty ones, by their paths."""

    ids: frozenset[str]
    mounted: frozenset[str]
    cgroups: frozenset[str]


def look(ground: Ground, living: Mapping[str, Living], is_known: Callable[[str], bool]) -> Look:
    """Say what is left, and what is missing."""
    findings: list[Finding] = []
    for id in _strangers(_names(ground.containers), living, is_known):
        findings.append(Finding("container", id, f"its files are left in {ground.containers / id}"))
    for id in _strangers(_names(ground.runtime_root), living, is_known):
        findings.append(Finding("container", id, f"its state is left in {ground.runtime_root / id}"))
    mounts = _mounts(ground)
    findings += _amiss_mounts(mounts, living, is_known)
    findings += _lacking(ground, living)
    boxes = list(_cgroups(ground, living, is_known))
    findings += [Finding("cgroup", path, _words(ground, path)) for _, path in boxes]
    for id, each in living.items():
        for path in cgroups.children(ground.exec_tree, each.home, ground.exec_prefix):
            if path not in each.execs:
                findings.append(Finding("exec", id, f"a command's cgroup is left at {path}"))
    return Look(3 * len(living) + sum(mounts.values()), tuple(findings))


def left(ground: Ground, living: Mapping[str, Living], is_known: Callable[[str], bool]) -> Left:
    """What may be removed: nothing that is known, nothing that still runs."""
    ids = [*_names(ground.containers), *_names(ground.runtime_root)]
    mounts = _mounts(ground)
    ended = [id for id, each in living.items() if each.mounted is False and mounts[id]]
    empty = [
        path for _, path in _cgroups(ground, living, is_known) if not cgroups.processes(ground.trees, path)
    ]
    return Left(frozenset(_strangers([*ids, *mounts], living, is_known)), frozenset(ended), frozenset(empty))


def _strangers(
    ids: Sequence[str], living: Mapping[str, Living], is_known: Callable[[str], bool]
) -> Iterator[str]:
    for id in sorted(set(ids)):
        if id not in living and not is_known(id):
            yield id


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return [each.name for each in folder.iterdir() if each.is_dir()]
    return []


def _mounts(ground: Ground) -> Counter[str]:
    """How often the file systems of containers are mounted, by id."""
    return Counter(id for id, _ in _mounted(ground))


def _mounted(ground: Ground) -> Iterator[tuple[str, str]]:
    """Whatever is mounted where containers have their files: the container's id, and the file system's options."""
    root = f"{os.path.realpath(ground.containers)}/"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split(" ")
        place = _plain(words[4])
        if place.startswith(root):
            yield place.removeprefix(root).split("/")[0], words[-1]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def _lacking(ground: Ground, living: Mapping[str, Living]) -> Iterator[Finding]:
    """Layers of images that containers stand on, and that are gone: what was not read yet cannot be read any more."""
    for id, options in _mounted(ground):
        if id not in living:
            continue
        for option in options.split(","):
            name, _, paths = option.partition("=")
            for layer in paths.split(":") if name in ("lowerdir", "lowerdir+") else ():
                path = _plain(layer)
                if path.startswith("/") and not path.startswith("/proc/") and not os.path.isdir(path):
                    remedy = "replace the task, and it is pulled again"
                    yield Finding("image", id, f"layer {path} of its image is gone: {remedy}")


def _amiss_mounts(
    mounts: Counter[str], living: Mapping[str, Living], is_known: Callable[[str], bool]
) -> Iterator[Finding]:
    for id in _strangers(list(mounts), living, is_known):
        yield Finding("mount", id, "its file system is still mounted, and the container is gone")
    for id, each in living.items():
        if each.mounted is False and mounts[id]:
            yield Finding("mount", id, "its file system is still mounted, and it has ended")
        elif each.mounted and not mounts[id]:
            yield Finding("mount", id, "it runs, and its file system is not mounted")
        elif each.mounted and mounts[id] > 1:
            yield Finding("mount", id, f"its file system is mounted {mounts[id]} times")


def _cgroups(
    ground: Ground, living: Mapping[str, Living], is_known: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """The cgroups below ours that are named like containers, and are nobody's."""
    ours, mine = {each.cgroup for each in living.values()}, cgroups.own()
    found: dict[str, str] = {}
    for tree in ground.trees:
        for path in cgroups.children(tree, ground.cgroup_parent, ""):
            named = _ID.search(path.rpartition("/")[2])
            if (
                named is not None
                and path not in ours
                and not any(cgroups.is_below(each, path) for each in mine)
            ):
                found[path] = named[0]
    for path, id in sorted(found.items()):
        if not is_known(id):
            yield id, path


def _words(ground: Ground, path: str) -> str:
    pids = sorted(cgroups.processes(ground.trees, path))
    if not pids:
        return "is left of a container that is gone"
    shown = ", ".join(map(str, pids[:5]))
    return f"belongs to no container, and {len(pids)} processes run in it (such as {shown}): end them by hand"
