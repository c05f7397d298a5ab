"""Network namespaces by path, on the real kernel."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from agent.network.io.places import Places
from covey.io import netns

pytestmark = pytest.mark.root


def own() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


@pytest.fixture
def path(tmp_path: Path):  # type: ignore[no-untyped-def]
    place = tmp_path / "netns" / "one"
    yield place
    netns.delete(place)


def test_a_namespace_is_made_entered_and_left(path: Path) -> None:
    before = own()
    netns.create(path)
    assert netns.exists(path)
    inside = netns.call_inside(path, own)
    assert inside == path.stat().st_ino
    assert inside != before
    assert own() == before
    assert netns.call_inside(None, own) == before


def test_a_socket_stays_where_it_was_opened(path: Path) -> None:
    netns.create(path)
    with (
        netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM) as inside,
        pytest.raises(OSError, match="unreachable"),
    ):
        inside.connect(("192.0.2.1", 9))  # a new namespace has no route at all


def test_an_error_inside_comes_out_and_the_thread_is_home_again(path: Path) -> None:
    netns.create(path)
    with pytest.raises(ZeroDivisionError):
        netns.call_inside(path, lambda: 1 // 0)
    home = netns.call_inside(path, own)
    assert home == path.stat().st_ino
    assert netns.call_inside(None, own) == own()


def test_a_taken_path_is_refused_and_left_alone(path: Path) -> None:
    netns.create(path)
    inode = path.stat().st_ino
    with pytest.raises(FileExistsError):
        netns.create(path)
    assert path.stat().st_ino == inode


def test_delete_is_idempotent_and_clears_what_a_reboot_left(path: Path) -> None:
    netns.create(path)
    netns.delete(path)
    netns.delete(path)
    assert not path.exists()
    path.touch()  # what remains of a bind mount once the mount is gone
    assert not netns.exists(path)
    netns.delete(path)
    assert not path.exists()


def test_no_name_is_given_to_the_namespace_we_are_in(path: Path) -> None:
    """Who tidies by name would tidy the host: a process that ended can have left its number to one of the host's."""
    netns.create(path)
    inode = path.stat().st_ino
    with pytest.raises(PermissionError, match="the host's own network namespace"):
        netns.bind(path, netns.process(os.getpid()))
    assert path.stat().st_ino == inode
    assert list(Places(path.parent).strayed({path.name: netns.process(os.getpid())})) == []


def test_a_process_is_not_taken_for_a_later_one_of_its_number(path: Path) -> None:
    """The later one may be in another container's namespace, which must never get the first one's name."""
    netns.create(path)
    other = path.with_name("other")
    netns.create(other)
    with subprocess.Popen(["nsenter", f"--net={other}", "sleep", "600"]) as later:
        try:
            here = netns.process(later.pid)
            while not netns.holds(other, here):
                pass
            gone = netns.Process(here.pid, here.began - 1)
            assert list(Places(path.parent).strayed({path.name: here})) == [path.name]
            assert list(Places(path.parent).strayed({path.name: gone})) == []
            with pytest.raises(ProcessLookupError):
                netns.bind(path, gone)
            Places(path.parent).find_again({path.name: gone})
            assert not netns.holds(path, here)
            Places(path.parent).find_again({path.name: here})
            assert netns.holds(path, here)
        finally:
            later.kill()
            netns.delete(other)
