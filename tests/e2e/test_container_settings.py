"""What a service's settings come to inside its containers: the whole way (the runtime's tests look closer)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.nodes import kill_process
from tests.support import traces
from tests.support.prober import inside
from tests.support.stand import Stand
from tests.support.traces import Process

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SCRIPT = "trap 'echo told to end; sleep 1; echo ending; exit 0' USR1; echo up; while :; do sleep 0.1; done"
OPTIONS = (
    "--user", "1000:1001", "--group", "44", "--env", "A=1", "--env", "B=x=y", "--workdir", "/tmp",
    "--hostname", "chosen", "--read-only", "--limit-memory", "32m", "--limit-cpu", "0.5", "--limit-pids", "20",
    "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--no-new-privileges", "--ulimit", "nofile=100:200",
    "--sysctl", "net.ipv4.ip_local_port_range=2000 3000", "--host", "other:192.0.2.9",
    "--dns-search", "example.org", "--stop-signal", "SIGUSR1", "--stop-grace-period", "5s",
    "--mount", "type=tmpfs,target=/tmp,tmpfs-size=4m,tmpfs-mode=1777",
    "--mount", "type=volume,source=kept,target=/kept",
)  # fmt: skip


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "bound"
    folder.mkdir()
    (folder / "file").write_text("of the host\n")
    yield folder
    assert (folder / "file").read_text() == "of the host\n"


def container(stand: Stand) -> Process:
    (task,) = stand.running("web")
    return traces.containers(stand.place, task.node)[task.id]


def environment(process: Process) -> dict[str, str]:
    pairs = Path(f"/proc/{process.pid}/environ").read_text().rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def status(process: Process) -> dict[str, str]:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def limits(process: Process) -> list[str]:
    return Path(f"/proc/{process.pid}/limits").read_text().splitlines()


def group_value(process: Process, first: str, second: str) -> str:
    """A setting of the container's cgroup: `first` on version 1, `second` on version 2."""
    controller = first.partition(".")[0]
    for line in Path(f"/proc/{process.pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}/{first}").read_text().strip()
        if not controllers and Path(f"/sys/fs/cgroup{path}/{second}").exists():
            return Path(f"/sys/fs/cgroup{path}/{second}").read_text().strip()
    raise AssertionError(f"{first} is in no hierarchy")


def test_what_was_set_is_so_inside(stand: Stand, bound: Path) -> None:
    stand.covey(
        "service", "create", "--name", "web", "--constraint", "node.hostname==w1", *OPTIONS,
        "--mount", f"type=bind,source={bound},target=/bound,readonly", stand.tools, "sh", "-c", SCRIPT,
    )  # fmt: skip
    process = container(stand)
    (task,) = stand.running("web")

    variables = environment(process)
    assert (variables["A"], variables["B"]) == ("1", "x=y")
    assert variables["COVEY_SERVICE_NAME"] == "web"
    assert variables["COVEY_TASK_NAME"] == f"web.1.{task.id}"
    assert variables["COVEY_NODE_NAME"] == "w1"

    facts = status(process)
    assert set(facts["Uid"].split()) == {"1000"}
    assert set(facts["Gid"].split()) == {"1001"}
    assert set(facts["Groups"].split()) == {"44", "1001"}
    assert (facts["CapBnd"], facts["CapEff"]) == ("0000000000000400", "0000000000000000")
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    (files,) = [line for line in limits(process) if line.startswith("Max open files")]
    assert files.split()[3:5] == ["100", "200"]
    assert Path(f"/proc/{process.pid}/cwd").readlink() == Path("/tmp")
    assert group_value(process, "memory.limit_in_bytes", "memory.max") == str(32 << 20)
    assert group_value(process, "pids.max", "pids.max") == "20"
    assert group_value(process, "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"

    assert inside(process, "hostname") == "chosen"
    assert inside(process, "cat", "/proc/sys/net/ipv4/ip_local_port_range").split() == ["2000", "3000"]
    assert "192.0.2.9\tother" in inside(process, "cat", "/etc/hosts")
    resolver = inside(process, "cat", "/etc/resolv.conf")
    assert "nameserver 127.0.0.11" in resolver
    assert "search example.org" in resolver
    assert inside(process, "cat", "/bound/file") == "of the host"
    for path in ("/bound/new", "/etc/new"):
        assert "Read-only file system" in inside(process, "touch", path)
    assert "No space left" in inside(process, "dd", "if=/dev/zero", "of=/tmp/much", "bs=1M", "count=8")
    assert inside(process, "touch", "/kept/file") == ""

    # A new container on the same node finds the volume as it was left; the old one is asked as it wished.
    stand.covey("service", "update", "--env-add", "A=2", "web")
    assert inside(container(stand), "ls", "/kept") == "file"
    assert environment(container(stand))["A"] == "2"
    assert not process.lives

    def said() -> list[str]:
        return [line.split("|", 1)[1].strip() for line in stand.covey("service", "logs", "web").splitlines()]

    stand.until("both to say that they are up", lambda: said().count("up") == 2)
    stand.until("the first one's last word", lambda: "ending" in said())
    assert said().index("told to end") < said().index("ending")


def test_who_does_not_end_is_killed_after_its_grace_also_by_another_agent(stand: Stand) -> None:
    stubborn = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    options = ("--stop-grace-period", "3s", "--constraint", "node.hostname==w1")
    stand.covey("service", "create", "--name", "web", *options, stand.tools, *stubborn)
    process = container(stand)
    stand.covey("service", "rm", "web")
    kill_process(stand.place, "w1", "agent")
    stand.until("the container's end", lambda: not process.lives)
