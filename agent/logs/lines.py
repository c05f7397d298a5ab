"""Lines of a container's log: the format, long lines put together again, and which are wanted."""

from datetime import datetime
from typing import NamedTuple

from agent.session.messages import LogOptions
from covey import limits

_FRACTION_DIGITS = 9


class Record(NamedTuple):
    """One line as the container wrote it, without its newline. Sorts by time."""

    at_ns: int
    stderr: bool
    data: bytes


class Line(NamedTuple):
    """One line of the file. `full` says that the container's own line ends here."""

    at_ns: int
    stderr: bool
    full: bool
    data: bytes


def parse(line: bytes) -> Line | None:
    """Read `TIMESTAMP STREAM TAG TEXT`; None if it is not that (a line cut by a full disk)."""
    parts = line.split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    at_ns = _time_ns(parts[0].decode("ascii", "replace"))
    if at_ns is None:
        return None
    data = parts[3] if len(parts) == 4 else b""
    return Line(at_ns, parts[1] == b"stderr", not parts[2].startswith(b"P"), data)


def _time_ns(text: str) -> int | None:
    """Read an RFC 3339 time with up to nine digits of a second, which is more than datetime keeps."""
    head, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    try:
        whole = datetime.fromisoformat(head + rest[len(digits) :] if dot else head)
    except ValueError:
        return None
    if whole.tzinfo is None:
        return None
    return int(whole.timestamp()) * 10**9 + int(digits[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0") or 0)


class Joiner:
    """Puts the parts of long lines together, per stream, up to a bound: beyond it they stay apart."""

    def __init__(self) -> None:
        self._parts: dict[bool, tuple[int, bytearray]] = {}

    def feed(self, line: Line) -> Record | None:
        """Take the next line of the file; returns the record it completes."""
        held = self._parts.pop(line.stderr, None)
        if held is None and line.full:
            return Record(line.at_ns, line.stderr, line.data)
        at_ns, data = held or (line.at_ns, bytearray())
        data += line.data
        if line.full or len(data) >= limits.container_log_record_bytes_max:
            return Record(at_ns, line.stderr, bytes(data))
        self._parts[line.stderr] = (at_ns, data)
        return None


def wanted(record: Record, options: LogOptions) -> bool:
    """Tell whether a reader with these options is to see the record."""
    hidden = options.no_stderr if record.stderr else options.no_stdout
    return not hidden and record.at_ns >= options.since_ns
