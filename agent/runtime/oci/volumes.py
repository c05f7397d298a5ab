"""Named volumes: directories under `STATE/volumes` that outlive the containers that use them.

As with Docker, a volume that is empty when a container first gets it is filled with what the image has at
that place, ownership and modes included; so an image's data directory works as its author meant.
"""

import os
import re
import shutil
import threading
from collections import defaultdict
from pathlib import Path

from covey.errors import InvalidArgument

from .inside import directory_inside

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


class Volumes:
    """The volumes of one node. Safe to use from several threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def named(self, name: str) -> Path:
        """Where the data of volume `name` is."""
        if not _NAME.fullmatch(name):
            raise InvalidArgument(f"volume name {name!r} must be letters, digits, '_', '.' and '-'")
        return self._directory / name / "data"

    def prepare(self, name: str, rootfs: Path, target: str, *, copy: bool) -> Path:
        """Make volume `name` if it is new, fill it from the image if it is empty; returns its data."""
        data = self.named(name)
        with self._locks[name]:
            self.fill(data, rootfs, target, copy=copy)
        return data

    def fill(self, data: Path, rootfs: Path, target: str, *, copy: bool) -> None:
        """Make `data`, and copy the image's `target` into it unless it holds something or `copy` is false.

        Copied beside it first and then renamed: a half-filled volume would stay half-filled for ever. A
        directory that is there already stays the same one, as other containers may have it mounted.
        """
        data.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        if data.exists() and (not copy or any(data.iterdir())):
            return
        fresh = data.with_name("filling")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o755)
        with directory_inside(rootfs, target) as source:
            if copy and source is not None:
                _copy_tree(source, fresh, {})
        if not data.exists():
            fresh.rename(data)
            return
        _copy_owner(fresh.stat(), fresh, data)
        for each in list(fresh.iterdir()):
            each.rename(data / each.name)
        fresh.rmdir()


def _copy_tree(source: Path, target: Path, links: dict[tuple[int, int], Path]) -> None:
    """Copy a directory's content and the directory's own owner, mode and times. Links are never followed.

    `links` remembers files with several names, so that they stay one file. Sockets and devices are left out.
    """
    with os.scandir(source) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            copy = target / entry.name
            known = links.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
            if entry.is_symlink():
                copy.symlink_to(os.readlink(entry.path))
                os.chown(copy, status.st_uid, status.st_gid, follow_symlinks=False)
            elif entry.is_dir(follow_symlinks=False):
                copy.mkdir()
                _copy_tree(Path(entry.path), copy, links)
            elif entry.is_file(follow_symlinks=False) and known:
                os.link(known, copy)
            elif entry.is_file(follow_symlinks=False):
                shutil.copyfile(entry.path, copy)
                _copy_owner(status, Path(entry.path), copy)
                links[status.st_dev, status.st_ino] = copy
    # Through the link /proc/self/fd/N, if that is what `source` is.
    _copy_owner(os.stat(source), source, target)


def _copy_owner(status: os.stat_result, source: Path, copy: Path) -> None:
    os.chown(copy, status.st_uid, status.st_gid)
    shutil.copystat(source, copy)
