"""Tables, ages and shortened texts."""

from collections.abc import Iterable, Sequence

SHORT_ID_CHARS = 12
_GAP = "   "
_ELLIPSIS = "…"
_ERROR_CHARS = 60
_NAMES = 8

_AGES = (
    (60, 1, "second"),
    (3_600, 60, "minute"),
    (48 * 3_600, 3_600, "hour"),
    (14 * 86_400, 86_400, "day"),
    (60 * 86_400, 7 * 86_400, "week"),
    (2 * 365 * 86_400, 30 * 86_400, "month"),
)
_YEAR_S = 365 * 86_400


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows under headers, left-aligned; no trailing spaces, so that the last column can be long."""
    lines = [tuple(headers), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return "\n".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def short(identifier: str, whole: bool = False) -> str:
    """Return the first 12 characters of an id, which any command takes too."""
    return identifier if whole else identifier[:SHORT_ID_CHARS]


def some(names: Sequence[str]) -> str:
    """Name things, as many as one cares to read, and count the others."""
    more = len(names) - _NAMES
    return ", ".join((*names[:_NAMES], *([f"and {more} more"] if more > 0 else []))) or "none"


def first_line(text: str, whole: bool = False) -> str:
    """Return an error as a table shows it: in quotes, on one line, cut unless `whole`."""
    if not text:
        return ""
    said = (
        " | ".join(line.strip() for line in text.splitlines() if line.strip())
        if whole
        else text.split("\n")[0]
    )
    if not whole and len(said) > _ERROR_CHARS:
        said = said[: _ERROR_CHARS - 1] + _ELLIPSIS
    return f'"{said}"'


def age(seconds: float) -> str:
    """Say how long something has lasted, in one unit: `5 seconds`, `about a minute`, `3 hours`."""
    whole = max(0, int(seconds))
    if whole < 1:
        return "less than a second"
    for bound, unit_s, name in _AGES:
        if whole < bound:
            count = whole // unit_s
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    count = whole // _YEAR_S
    return f"{count} year{'s' if count > 1 else ''}"


def ago(at_ns: int, now_ns: int) -> str:
    """Say when something was; empty if it never was."""
    return f"{age((now_ns - at_ns) / 1e9)} ago" if at_ns else ""
