"""The kernel's bounds on neighbours, which all containers of a host share."""

from pathlib import Path

import pytest

from agent.network.io.neighbours import make_room
from covey import limits


def settings(root: Path, family: str, *bounds: int) -> Path:
    folder = root / family / "neigh/default"
    folder.mkdir(parents=True)
    for number, bound in enumerate(bounds, 1):
        (folder / f"gc_thresh{number}").write_text(f"{bound}\n")
    return folder


def bounds(folder: Path) -> list[int]:
    return [int((folder / f"gc_thresh{number}").read_text()) for number in (1, 2, 3)]


def test_small_bounds_are_raised_and_large_ones_stay(tmp_path: Path) -> None:
    most = limits.neighbours_max
    old = settings(tmp_path, "ipv4", 128, 512, 1024)
    new = settings(tmp_path, "ipv6", 128, 2 * most, 2 * most)
    assert make_room(tmp_path) == ""
    assert bounds(old) == [most // 8, most // 2, most]
    assert bounds(new) == [most // 8, 2 * most, 2 * most]


def test_what_is_not_shown_is_passed_over(tmp_path: Path) -> None:
    assert make_room(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_denied_is_named(tmp_path: Path) -> None:
    class Denied(type(tmp_path)):  # type: ignore[misc]
        def write_text(self, *_: object, **__: object) -> int:
            raise PermissionError(30, "Read-only file system")

    settings(tmp_path, "ipv4", 128, limits.neighbours_max, limits.neighbours_max)
    said = make_room(Denied(tmp_path))
    assert said == f"net.ipv4.neigh.default.gc_thresh1={limits.neighbours_max // 8} (Read-only file system)"


@pytest.mark.root
def test_this_kernel_takes_them() -> None:
    assert make_room() == ""
    assert make_room() == ""  # nothing to do the second time
    bound = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
    if not bound.exists():
        pytest.skip("not the host's first network namespace, which alone shows these")
    assert int(bound.read_text()) >= limits.neighbours_max
