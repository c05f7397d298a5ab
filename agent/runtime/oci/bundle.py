"""The files of one container under `STATE/containers/ID`, and the record it is taken over from."""

import os
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct


class Phase(StrEnum):
    """How far a container has come; recorded before each step that another process acts on."""

    CREATING = "creating"
    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"


class Record(Struct, frozen=True, gc=False):
    """What is needed to find a container's processes again.

    A pid counts only together with its start time (`*_start`, clock ticks since boot) and the boot it was
    seen in.
    """

    id: str
    phase: Phase
    boot_id: str
    cgroup: str
    pid: int = 0
    pid_start: int = 0
    conmon_pid: int = 0
    conmon_start: int = 0
    stop_signal: str = ""
    log_bytes_max: int = 0
    log_files: int = 1


class Bundle(Struct, frozen=True, gc=False):
    """Where the parts of one container are."""

    directory: Path

    @property
    def id(self) -> str:
        """The container's id, which is the directory's name."""
        return self.directory.name

    @property
    def rootfs(self) -> Path:
        """Where the overlay is mounted."""
        return self.directory / "rootfs"

    @property
    def upper(self) -> Path:
        """What the container writes."""
        return self.directory / "upper"

    @property
    def work(self) -> Path:
        """Overlayfs's own."""
        return self.directory / "work"

    @property
    def config(self) -> Path:
        """The OCI runtime specification."""
        return self.directory / "config.json"

    @property
    def record(self) -> Path:
        """The take-over record."""
        return self.directory / "record.json"

    @property
    def log(self) -> Path:
        """What the container writes to stdout and stderr, by conmon."""
        return self.directory / "log"

    @property
    def control(self) -> Path:
        """The fifo conmon takes orders from."""
        return self.directory / "ctl"

    @property
    def conmon_pid(self) -> Path:
        """Conmon's pid file."""
        return self.directory / "conmon.pid"

    @property
    def pid(self) -> Path:
        """The container's pid file."""
        return self.directory / "pid"

    @property
    def exit_dir(self) -> Path:
        """Where conmon leaves the exit code, in a file named by the id."""
        return self.directory / "exit"

    @property
    def exit_code(self) -> Path:
        """The file with the exit code, written whole or not at all."""
        return self.exit_dir / self.id

    @property
    def oom(self) -> Path:
        """Exists once the kernel has killed for lack of memory."""
        return self.directory / "oom"

    def file(self, name: str) -> Path:
        """A file that is bound into the container (`hosts`, `resolv.conf`, `hostname`)."""
        return self.directory / name

    def write_record(self, record: Record) -> None:
        """Replace the record, whole or not at all; not synced, as after a power loss nothing runs."""
        fresh = self.directory / "record.json.new"
        fresh.write_bytes(msgspec.json.encode(record))
        os.replace(fresh, self.record)

    def read_record(self) -> Record | None:
        """The record, or None if there is none that can be read (the agent or the power failed early)."""
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def read_pid(self, path: Path) -> int:
        """The number in a pid file, or 0."""
        try:
            return int(path.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def read_exit_code(self) -> int | None:
        """What conmon wrote when the container ended, or None if it has not."""
        try:
            return int(self.exit_code.read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
