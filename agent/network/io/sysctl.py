"""Kernel settings of a namespace: /proc/sys/net shows that of the thread that looks."""

from collections.abc import Iterable
from pathlib import Path

from covey.io import netns

_ROOT = Path("/proc/sys")


def read(place: Path | None, paths: Iterable[str]) -> dict[str, str]:
    """The settings' values, white space made single; those the kernel does not have are left out."""
    wanted = tuple(paths)

    def look() -> dict[str, str]:
        found = {}
        for each in wanted:
            file = _ROOT / each
            if file.exists():
                found[each] = " ".join(file.read_text().split())
        return found

    return netns.call_inside(place, look)


def write(place: Path | None, values: dict[str, str]) -> None:
    """Write settings; raises OSError if the kernel has no such setting or refuses the value."""

    def put() -> None:
        for each, value in values.items():
            (_ROOT / each).write_text(value)

    netns.call_inside(place, put)


def entries(path: str) -> list[str]:
    """What a folder of settings is divided into, such as links; in the process's own namespace."""
    folder = _ROOT / path
    return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


def present(path: str) -> bool:
    """Tell whether the kernel has this setting, in the process's own namespace."""
    return (_ROOT / path).exists()


def has_ipv6() -> bool:
    """Tell whether this kernel has IPv6: it may be built without, or told to do without when it was started."""
    return present("net/ipv6/conf")
