"""Cgroup places, users, conmon's complaints, open paths: the OCI runtime's small parts."""

import os
from pathlib import Path

import pytest

from agent.runtime.oci import cgroups, logs
from agent.runtime.oci.bundle import Bundle, Phase, Record
from agent.runtime.oci.cgroups import Hierarchy, Layout
from agent.runtime.oci.host import process_start
from agent.runtime.oci.inside import directory_inside, read_inside
from agent.runtime.oci.io.conmon import explain
from agent.runtime.oci.users import Identity, resolve
from covey.errors import InvalidArgument, Unavailable

HYBRID = """\
30 24 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu\\040acct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
34 30 0:28 /docker/x /mnt/part rw - cgroup cgroup rw,memory
"""


def test_cgroup_mounts_are_read_from_mountinfo() -> None:
    trees = cgroups.hierarchies(HYBRID)
    assert trees == (
        Hierarchy("/sys/fs/cgroup/cpu acct", v2=False, controllers=("cpu", "cpuacct")),
        Hierarchy("/sys/fs/cgroup/memory", v2=False, controllers=("memory",)),
        Hierarchy("/sys/fs/cgroup/unified", v2=True),
    )
    assert cgroups.layout(trees) is Layout.HYBRID
    assert cgroups.layout(trees[:2]) is Layout.V1
    assert cgroups.layout(trees[2:]) is Layout.V2


def test_where_a_process_is() -> None:
    paths = cgroups.members("9:name=systemd:/\n4:memory:/covey/m1\n0::/covey/m1/agent:x\n")
    assert paths == {"/", "/covey/m1", "/covey/m1/agent:x"}
    assert cgroups.is_below("/covey/m1/agent", "/covey/m1")
    assert cgroups.is_below("/covey/m1", "/covey/m1/")
    assert not cgroups.is_below("/covey/m10", "/covey/m1")


def test_systemd_names_become_paths() -> None:
    assert cgroups.location("/covey/a") == "/covey/a"
    assert cgroups.location("covey.slice:covey:a1") == "/covey.slice/covey-a1.scope"
    assert cgroups.location("a-b.slice:covey:x") == "/a.slice/a-b.slice/covey-x.scope"


def test_oom_kills_in_both_layouts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert cgroups.oom_kills([Hierarchy(str(tmp_path), v2=True)], "/a") == 0
    (tmp_path / "a/memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert cgroups.oom_kills([Hierarchy(str(tmp_path), v2=True)], "/a") == 2
    (tmp_path / "a/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert cgroups.oom_kills([Hierarchy(str(tmp_path), v2=False, controllers=("memory",))], "/a") == 3


PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/data:/bin/sh\n2000:x:5:5::/five:\nbroken\n"
GROUP = "root:x:0:\napp:x:1001:\nmore:x:2000:other,app\nnobody:x:9:\n"


@pytest.mark.parametrize(
    ("user", "groups", "expected"),
    [
        ("", (), Identity(0, 0, (), "/root")),
        ("app", (), Identity(1000, 1001, (2000,), "/data")),
        ("1000", (), Identity(1000, 1001, (2000,), "/data")),
        ("2000", (), Identity(5, 5, (), "/five")),
        ("77", (), Identity(77, 0, (), "/")),
        (":9", (), Identity(0, 9, (), "/root")),
        ("app:nobody", (), Identity(1000, 9, (), "/data")),
        ("77:88", ("more", "3"), Identity(77, 88, (3, 2000), "/")),
    ],
)
def test_users(user: str, groups: tuple[str, ...], expected: Identity) -> None:
    assert resolve(user, groups, PASSWD, GROUP) == expected


@pytest.mark.parametrize(
    ("user", "named"), [("joe", "joe"), ("app:joe", "joe"), ("4294967296", "4294967296"), ("-1", "-1")]
)
def test_unknown_users_are_named(user: str, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        resolve(user, (), PASSWD, GROUP)


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        (
            'time="x" level=error msg="runc create failed: unable to start container process: exec: \\"no\\": '
            'executable file not found in $PATH"\n',
            InvalidArgument,
            'container a cannot be created: exec: "no": executable file not found in $PATH',
        ),
        ("executable file `no` not found in $PATH: No such file or directory", InvalidArgument, "`no`"),
        ('level=error msg="write x: no space left on device"', Unavailable, "no space left"),
        ("", Unavailable, "without a word"),
    ],
)
def test_complaints_of_the_runtime(said: str, kind: type, text: str) -> None:
    error = explain("a", said)
    assert type(error) is kind
    assert text in str(error)


def test_paths_inside_a_root_stay_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (tmp_path / "passwd").write_text("of the host")
    (root / "etc/passwd").symlink_to("../../../../passwd")
    assert read_inside(root, "/etc/passwd", 100) == "", "there is no /passwd in the root"
    (root / "passwd").write_text("of the image")
    assert read_inside(root, "/etc/passwd", 6) == "of the"
    os.mkfifo(root / "fifo")
    assert read_inside(root, "fifo", 100) == "", "nobody is waited for"
    assert read_inside(root, "etc", 100) == ""
    (root / "up").symlink_to("/..")
    with directory_inside(root, "up") as found:
        assert found is not None
        assert {each.name for each in found.iterdir()} == {"etc", "passwd", "fifo", "up"}
    with directory_inside(root, "nothing") as found:
        assert found is None


def test_a_pid_is_known_by_its_start() -> None:
    assert process_start(os.getpid()) > 0
    assert process_start(1 << 30) == 0


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        (3, {"log": "4..", "log.1": "4..", "log.2": "3..", "log.3": "2.."}),
        (1, {"log": "4..", "log.1": "4.."}),
    ],
)
def test_replaced_logs_live_on_within_their_bound(tmp_path: Path, files: int, kept: dict[str, str]) -> None:
    bundle = Bundle(tmp_path)
    record = Record("a", Phase.RUNNING, "", "", log_bytes_max=3, log_files=files)
    assert not logs.hold(bundle, record)
    for number in range(5):
        fresh = tmp_path / "fresh"  # conmon writes a new file and renames it over the old one
        fresh.write_text("")
        fresh.rename(bundle.log)
        assert logs.is_replaced(bundle)
        assert not logs.hold(bundle, record)
        assert not logs.is_replaced(bundle)
        bundle.log.write_text(f"{number}..")
        assert logs.hold(bundle, record)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == kept


def test_a_broken_record_is_no_record(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path)
    assert bundle.read_record() is None
    record = Record("a", Phase.CREATED, "boot", "/c/a", pid=5)
    bundle.write_record(record)
    assert bundle.read_record() == record
    bundle.record.write_bytes(b"{")
    assert bundle.read_record() is None
