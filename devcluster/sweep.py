"""Removing dev clusters without a trace. `make clean` runs it: `python3 -m devcluster.sweep`.

It works from what is on disk and in the kernel, with the standard library alone, so that a checkout whose
.venv is gone, or a cluster that was only half made, is cleaned just as well.
"""

import errno
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from covey.errors import CoveyError, Unavailable
from covey.io import netns

from . import cgroups, mounts, record
from .place import BASE, CHECKOUT, Place, checkout_digest, places


def clear(place: Place) -> None:
    """Remove all there is of a cluster (processes, mounts, namespaces, cgroups, folders) but its lock."""
    cgroups.kill(place.cluster_cgroup)
    for held in sorted(place.root.glob("netns/*")):
        netns.delete(held)
    mounts.unmount_under(place.root)
    _unlink_dead_sockets()
    cgroups.remove(place.cluster_cgroup)
    if left := mounts.mounted_under(place.root):
        raise Unavailable(f"{left[0]} is still mounted; unmount it before its folder can be removed")
    for entry in place.root.glob("*"):
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry != place.lock:
            entry.unlink()


def _unlink_dead_sockets() -> None:
    """Sockets of wireguard-go are the whole machine's, whatever node they are of: those go that nobody serves."""
    for path in Path("/run/wireguard").glob("covey_t*.sock"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            try:
                asked.connect(str(path))
            except OSError:
                path.unlink(missing_ok=True)


def remove(place: Place) -> None:
    """Remove all there is of a cluster. The caller holds the lock, which goes last."""
    clear(place)
    place.lock.unlink(missing_ok=True)
    for folder in (place.root, BASE):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise
            return  # the next `up` waits for the lock already; other clusters are there


def remnants() -> Iterator[Place]:
    """This checkout's clusters, those included of which only cgroups are left."""
    found = {place.name: place for place in places()}
    suffix = f"-{checkout_digest()}"
    for hierarchy in cgroups.hierarchies():
        for folder in hierarchy.root.glob(f"covey-dev-*{suffix}"):
            name = folder.name.removeprefix("covey-dev-").removesuffix(suffix)
            found.setdefault(name, Place(name))
    yield from (found[name] for name in sorted(found))


def main() -> int:
    """Remove every cluster of this checkout; the exit code."""
    clusters = list(remnants())
    if clusters and os.geteuid() != 0:
        sys.stderr.write(
            f"dev clusters are up ({', '.join(place.name for place in clusters)}): clean as root\n"
        )
        return 1
    for place in clusters:
        try:
            with record.locked(place):
                remove(place)
        except (CoveyError, OSError) as error:
            sys.stderr.write(f"dev cluster {place.name}: {error}\n")
            return 1
        sys.stdout.write(f"removed dev cluster {place.name}\n")
    shutil.rmtree(CHECKOUT / ".covey-dev", ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
