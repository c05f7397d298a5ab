"""Reading log files: what is there, and what is appended, across rotations. Blocking; for a thread."""

import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from agent.session.messages import LogOptions
from covey import limits

from .lines import Joiner, Record, parse, wanted


class LogFiles:
    """One container's log, held open at a moment: `history` up to it, `appended` from it on.

    Files are held by descriptor, so that a rotation in between neither hides nor repeats a line.
    """

    def __init__(self, path: Path, options: LogOptions) -> None:
        self._path = path
        self._options = options
        self._joiner = Joiner()
        self._rest = b""
        self._current = _open(path)
        self._end = os.fstat(self._current).st_size if self._current >= 0 else 0
        self._offset = self._end
        self._older = [
            fd for n in range(limits.container_log_files, 0, -1) if (fd := _open_older(path, n)) >= 0
        ]
        if self._current >= 0:
            self._older = [fd for fd in self._older if not _same(fd, self._current)]

    def close(self) -> None:
        """Let go of the files."""
        for fd in [*self._older, self._current]:
            if fd >= 0:
                os.close(fd)
        self._older, self._current = [], -1

    def history(self) -> Iterator[Record]:
        """What is wanted of what was there when this was made, oldest first."""
        ranges = [(fd, os.fstat(fd).st_size) for fd in self._older]
        if self._current >= 0:
            ranges.append((self._current, self._end))
        tail = self._options.tail
        if tail is None or tail < 0:
            yield from self._records(ranges, 0)
        elif tail > 0:
            yield from self._tail(ranges, tail)

    def _tail(self, ranges: list[tuple[int, int]], tail: int) -> Iterator[Record]:
        """The last `tail` records: looks at ever more of the end until there are enough."""
        total = sum(size for _, size in ranges)
        window = limits.container_log_read_bytes
        while True:
            skipped = max(0, total - window)
            newest = deque(self._records(ranges, skipped), maxlen=min(tail, sys.maxsize - 1) + 1)
            if skipped == 0 or len(newest) > tail:  # one more than asked for: the first may be half a line
                yield from list(newest)[-tail:]
                return
            window *= 4

    def _records(self, ranges: list[tuple[int, int]], skip: int) -> Iterator[Record]:
        joiner, rest, cut = Joiner(), b"", skip > 0
        for fd, size in ranges:
            offset = min(skip, size)
            skip -= offset
            while offset < size:
                block = os.pread(fd, min(limits.container_log_read_bytes, size - offset), offset)
                if not block:
                    break
                offset += len(block)
                *lines, rest = (rest + block).split(b"\n")
                if cut and lines:
                    del lines[0]
                    cut = False
                yield from self._wanted(lines, joiner)
        # What the current file's end cut off is finished by `appended`.
        self._joiner, self._rest = joiner, rest

    def _wanted(self, lines: list[bytes], joiner: Joiner) -> Iterator[Record]:
        for line in lines:
            parsed = parse(line)
            record = joiner.feed(parsed) if parsed is not None else None
            if record is not None and wanted(record, self._options):
                yield record

    def appended(self) -> list[Record]:
        """What was appended since, as far as whole lines go; a bounded amount at a time."""
        if self._current < 0:
            self._current, self._offset = _open(self._path), 0
            if self._current < 0:
                return []
        rotated = not _is_at(self._path, self._current)
        block = os.pread(self._current, limits.container_log_read_bytes, self._offset)
        self._offset += len(block)
        if rotated and not block:  # asked in this order, nothing written before the rotation is missed
            os.close(self._current)
            self._current, self._offset = -1, 0
            return []
        *lines, self._rest = (self._rest + block).split(b"\n")
        return list(self._wanted(lines, self._joiner))


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def _open_older(path: Path, number: int) -> int:
    return _open(path.with_name(f"{path.name}.{number}"))


def _same(one: int, other: int) -> bool:
    return os.path.sameopenfile(one, other)


def _is_at(path: Path, fd: int) -> bool:
    """Tell whether `path` still names the open file; a path that names nothing just now counts as yes."""
    try:
        here, there = os.stat(path), os.fstat(fd)
    except FileNotFoundError:
        return True
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
