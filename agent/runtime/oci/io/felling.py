"""Ending a tree of processes from its leaves, so that it leaves no zombies in the container.

Whoever loses its parent becomes a child of the container's first process, and many a first process waits for no
children. A zombie counts against the container's bound on processes (the kernel's pids controller) until somebody
has waited for it, so checks that now and then take too long would fill a container up. The parents in the tree do
wait: a shell for its commands. So children are killed first, and their parents get a moment to notice.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

from agent.runtime.oci import cgroups

_LEVELS_MAX = 8
_NOTICE_TRIES = 20
_NOTICE_PAUSE_S = 0.001


async def fell(tree: cgroups.Hierarchy, cgroup: str) -> None:
    """Kill everything in `cgroup`, children before their parents; gives up being gentle soon.

    Something may be left, or have come meanwhile: whoever needs certainty kills until nothing is there any more.
    """
    if not tree.v2:  # there forbidding forks stops the parents, too
        cgroups.forbid_forks(tree, cgroup)
    for _ in range(_LEVELS_MAX):
        pids = cgroups.processes((tree,), cgroup)
        leaves = pids - {_parent(pid) for pid in pids}
        if leaves == pids:
            break
        cgroups.kill_these(leaves)
        for _ in range(_NOTICE_TRIES):
            if not any(_is_there(pid) for pid in leaves):
                break
            await asyncio.sleep(_NOTICE_PAUSE_S)
    cgroups.kill((tree,), cgroup)


def _parent(pid: int) -> int:
    """The pid of a process's parent (proc(5)), 0 if it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
