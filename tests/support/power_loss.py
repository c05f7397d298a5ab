"""What a disk may hold after a power loss, rebuilt from a record of what a program asked of the kernel.

`record` runs a program under strace and notes each write, sync and change of names under one directory.
`Disk` plays the record: it knows what was made durable, and what was only in the page cache. `Disk.crash`
builds one of the states the power loss may leave: of what was not synced any part may be there, down to
single sectors, in any order; a name not synced in its directory may be the old one still, whatever it
points to. That is the least POSIX promises, and less than most file systems keep.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

CALLS = (
    "openat,creat,write,writev,pwritev,pwritev2,pwrite64,lseek,ftruncate,truncate,fallocate,copy_file_range,sendfile,"
    "fsync,fdatasync,sync_file_range,link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,mmap"
)
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(.*)$")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"^\((\d+)<((?:\\x[0-9a-f]{2})*)>")
_OPENED = re.compile(r"= (\d+)<((?:\\x[0-9a-f]{2})*)>$")


@dataclass(frozen=True)
class Event:
    """Something that happened, in the order in which it took effect; `path` is below the directory watched."""

    call: str  # create write truncate sync rename unlink mkdir output
    path: str = ""
    data: bytes = b""
    offset: int = 0
    to: str = ""


def record(argv: Sequence[str], root: Path, trace: Path, *, timeout_s: float) -> list[Event]:
    """Run a program to its end under strace; raises if it fails."""
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-xx", "-y", "-s", "16777216", "-e", f"trace={CALLS}"]
    done = subprocess.run(
        [*strace, "-o", str(trace), *argv], stdout=subprocess.PIPE, timeout=timeout_s, check=False
    )
    if done.returncode:
        raise AssertionError(f"{argv} ended with {done.returncode}: {done.stdout[-2000:]!r}")
    return list(parse(trace.read_text(), str(root)))


def parse(text: str, root: str) -> Iterator[Event]:
    """Read strace's output. A call counts from when it returned, but output from when it began."""
    begun: dict[tuple[str, str], str] = {}
    offsets: dict[int, int] = {}
    for line in text.splitlines():
        matched = _LINE.match(line)
        if not matched or line.endswith(("+++", "---")):
            continue
        thread, call, rest = matched.groups()
        if rest.endswith("<unfinished ...>"):
            begun[thread, call] = rest.removesuffix("<unfinished ...>").rstrip()
            if call == "write" and rest.startswith("(1<"):
                yield Event("output", data=_data(rest))
            continue
        if rest.startswith(" resumed>"):
            started = begun.pop((thread, call))
            if call == "write" and started.startswith("(1<"):
                continue
            rest = started + rest.removeprefix(" resumed>")
        if " = -1 " not in rest:
            yield from _events(call, rest, root, offsets)


def _hex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _data(rest: str) -> bytes:
    """Give what a call wrote."""
    written = _STRING.search(rest)
    assert written, "strace shows what was written"
    assert not written.group(2), "the whole of it"
    return _hex(written.group(1))


def _events(call: str, rest: str, root: str, offsets: dict[int, int]) -> Iterator[Event]:
    if call == "write" and rest.startswith("(1<"):
        yield Event("output", data=_data(rest))
        return
    descriptor = _DESCRIPTOR.match(rest)
    if descriptor:  # calls on an open file
        number, path = int(descriptor.group(1)), _hex(descriptor.group(2)).decode()
        if path == root or path.startswith(root + "/"):
            yield from _on_file(call, rest, number, path, offsets)
    elif call in {"openat", "creat"}:
        opened = _OPENED.search(rest)
        assert opened, rest
        number, path = int(opened.group(1)), _hex(opened.group(2)).decode()
        offsets[number] = 0
        if path.startswith(root + "/") and "O_CREAT" in rest:
            yield Event("create", path)
        if path.startswith(root + "/") and "O_TRUNC" in rest:
            yield Event("truncate", path)
    elif call == "mmap":
        shared = re.search(r"MAP_SHARED.*?, \d+<((?:\\x[0-9a-f]{2})*)>", rest)
        assert not shared or not _hex(shared.group(1)).decode().startswith(root + "/"), (
            "writes through mmap are not seen"
        )
    else:
        paths = [_hex(text).decode() for text, _ in _STRING.findall(rest)]
        if any(path.startswith(root + "/") for path in paths):
            assert all(path.startswith("/") for path in paths), "paths are absolute"
            yield _on_name(call, paths)


def _on_file(call: str, rest: str, number: int, path: str, offsets: dict[int, int]) -> Iterator[Event]:
    numbers = [int(text) for text in re.findall(r", (\d+)", rest)]
    match call:
        case "write":
            data = _data(rest)
            yield Event("write", path, data, offsets[number])
            offsets[number] += len(data)
        case "pwrite64":
            yield Event("write", path, _data(rest), numbers[-1])
        case "lseek":
            offsets[number] = int(rest.rpartition("= ")[2])
        case "ftruncate":
            yield Event("truncate", path, offset=numbers[-1])
        case "fsync" | "fdatasync":
            yield Event("sync", path)
        case "mmap":
            raise AssertionError("mmap has its descriptor elsewhere")
        case _:
            raise AssertionError(f"{call} on {path} is not understood: teach it to this module")


def _on_name(call: str, paths: list[str]) -> Event:
    match call:
        case "rename" | "renameat" | "renameat2":
            return Event("rename", paths[0], to=paths[1])
        case "unlink" | "unlinkat":
            return Event("unlink", paths[0])
        case "mkdir" | "mkdirat":
            return Event("mkdir", paths[0])
        case _:
            raise AssertionError(f"{call} of {paths} is not understood: teach it to this module")


@dataclass(eq=False)
class File:
    """A file, or a directory; names point to it. `pending` is what was not synced."""

    is_directory: bool = False
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)


class Disk:
    """What is durable under a directory, and what is not yet."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._names: dict[str, File] = {}  # as the program sees it
        self._durable: dict[str, File] = {}
        self._pending: list[tuple[Event, File]] = []  # changes of names

    def play(self, event: Event) -> None:
        """Let an event happen."""
        match event.call:
            case "create" | "mkdir":
                if event.path not in self._names:
                    self._names[event.path] = made = File(event.call == "mkdir")
                    self._pending.append((event, made))
            case "write" | "truncate":
                self._names[event.path].pending.append(event)
            case "rename":
                self._names[event.to] = moved = self._names.pop(event.path)
                self._pending.append((event, moved))
            case "unlink":
                self._pending.append((event, self._names.pop(event.path)))
            case "sync":
                self._sync(event.path)
            case "output":
                pass
            case _:
                raise AssertionError(event.call)

    def _sync(self, path: str) -> None:
        if path in self._names and not self._names[path].is_directory:
            file = self._names[path]
            for event in file.pending:
                _apply(file.durable, event)
            file.pending.clear()
            return
        here = [pending for pending in self._pending if os.path.dirname(pending[0].path) == path]
        for event, file in here:
            _rename(self._durable, event, file)
        self._pending = [pending for pending in self._pending if pending not in here]

    def crash(self, dice: Random, target: Path) -> str:
        """Write one possible state into the empty directory `target`; say which sort it is."""
        sort = dice.choice(["lost", "kept", "prefix", "scattered", "scattered"])
        names = dict(self._durable)
        kept = {"lost": 0, "kept": len(self._pending)}.get(sort, dice.randint(0, len(self._pending)))
        for event, file in self._pending[:kept]:
            _rename(names, event, file)
        for path in sorted(names):
            place = target / os.path.relpath(path, self._root)
            if not place.parent.is_dir():
                continue  # its directory was lost
            if names[path].is_directory:
                place.mkdir()
            else:
                place.write_bytes(_content(names[path], sort, dice))
        return sort


def _rename(names: dict[str, File], event: Event, file: File) -> None:
    match event.call:
        case "create" | "mkdir":
            names[event.path] = file
        case "unlink":
            names.pop(event.path, None)
        case "rename":
            names.pop(event.path, None)
            names[event.to] = file


def _apply(content: bytearray, event: Event) -> None:
    if event.call == "truncate":
        size = event.offset
        content[:] = content[:size].ljust(size, b"\0")
    else:
        end = event.offset + len(event.data)
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[event.offset : end] = event.data


def _content(file: File, sort: str, dice: Random) -> bytes:
    content = bytearray(file.durable)
    match sort:
        case "lost":
            pending = []
        case "kept":
            pending = file.pending
        case "prefix":
            pending = file.pending[: dice.randint(0, len(file.pending))]
            if pending:
                pending = [*pending[:-1], *list(_sectors(pending[-1], 512))[: dice.randint(0, 9)]]
        case _:
            sector, chance = dice.choice([512, 4096]), dice.choice([0.1, 0.5, 0.9])
            pieces = [piece for event in file.pending for piece in _sectors(event, sector)]
            pending = [piece for piece in pieces if dice.random() < chance]
    for event in pending:
        _apply(content, event)
    return bytes(content)


def _sectors(event: Event, size: int) -> Iterator[Event]:
    """Cut a write where sectors end; what is not a write happens whole or not at all."""
    if event.call != "write":
        yield event
        return
    start = event.offset
    end = start + len(event.data)
    while start < end:
        stop = min(end, (start // size + 1) * size)
        yield Event("write", event.path, event.data[start - event.offset : stop - event.offset], start)
        start = stop
