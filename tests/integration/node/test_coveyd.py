"""coveyd as a process, with little children: it keeps them running, ends them, and never has two of a kind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from covey.errors import FailedPrecondition, InvalidArgument, Unavailable
from covey.v1 import node_pb2
from covey.wire.services import NodeDaemon
from tests.support.coveyd_host import ADDRESS, Host

pytestmark = pytest.mark.root
ALL = {"agent", "dns", "manager"}


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as made:
        yield made


def test_a_host_is_in_no_cluster_then_a_manager_then_in_none_again(host: Host) -> None:
    host.start()
    assert host.info().node_id == ""
    made = host.init()
    assert made.worker_token.startswith("COVEY-1-")
    info = host.info()
    assert (info.node_id, info.cluster_id) == (made.node_id, made.cluster_id)
    assert list(info.managers) == [f"{ADDRESS}:2377"]
    host.until(lambda: host.running() == ALL and host.notes("agent") == ["start n1"])
    assert (host.state / "manager" / "bootstrap.msgpack").stat().st_mode & 0o777 == 0o600

    again = host.attempt(NodeDaemon.init, node_pb2.InitRequest(advertise_address=ADDRESS))
    assert isinstance(again, FailedPrecondition)
    assert "already" in str(again)
    without_force = host.attempt(NodeDaemon.leave, node_pb2.LeaveRequest())
    assert isinstance(without_force, Unavailable), "its manager does not answer, so the others cannot be told"
    assert "--force" in str(without_force)
    assert host.running() == ALL

    host.ask(NodeDaemon.leave, node_pb2.LeaveRequest(force=True))
    assert host.info().node_id == ""
    assert host.running() == set()
    assert host.notes("agent") == ["start n1", "end", "stop-tasks"]
    assert not (host.state / "manager").exists()
    assert host.init().cluster_id != made.cluster_id


def test_bad_requests_are_refused_before_anything_is_written(host: Host) -> None:
    host.start()
    refused = [
        host.attempt(NodeDaemon.init, node_pb2.InitRequest(advertise_address="nowhere")),
        host.attempt(NodeDaemon.init, node_pb2.InitRequest(advertise_address="203.0.113.9")),
        host.attempt(NodeDaemon.init, node_pb2.InitRequest(advertise_address=ADDRESS, address_pools=["x"])),
        host.attempt(NodeDaemon.join, node_pb2.JoinRequest(token="x", address="10.0.0.1")),
        host.attempt(NodeDaemon.join, node_pb2.JoinRequest(token="x", availability=7)),
    ]
    assert [type(error) for error in refused] == [InvalidArgument] * 5
    assert isinstance(host.attempt(NodeDaemon.leave, node_pb2.LeaveRequest()), FailedPrecondition)
    assert not (host.state / "node.json").exists()
    assert not (host.state / "identity" / "certificate.pem").exists()


def test_sigterm_ends_the_children_and_a_new_coveyd_starts_them_again(host: Host) -> None:
    host.start()
    made = host.init()
    host.until(lambda: host.notes("agent") == ["start n1"])
    assert host.end() == 0
    assert host.notes("agent") == ["start n1", "end"]
    assert not (host.run / "covey.sock").exists()
    host.start()
    assert host.info().node_id == made.node_id
    host.until(lambda: host.running() == ALL)


def test_sigterm_leaves_who_answers_containers_names_until_nobody_needs_it(host: Host) -> None:
    host.start()
    host.init()
    host.until(lambda: host.running() == ALL)
    pid = host.process("dns").pid
    served = host.run / "dns" / "resolvers"
    served.mkdir(parents=True)
    (served / "t1.msgpack").touch()
    assert host.end() == 0
    assert host.notes("agent") == ["start n1", "end"]
    assert host.notes("dns") == ["start n1"]
    assert Path(f"/proc/{pid}").exists()
    (served / "t1.msgpack").unlink()
    host.start()  # now as any other process of an earlier coveyd
    host.until(lambda: host.running() == ALL)
    host.until(lambda: host.notes("dns") == ["start n1", "end", "start n1"])
    assert host.process("dns").pid != pid


def test_a_child_that_dies_is_started_again_and_info_says_so(host: Host) -> None:
    host.start()
    host.init()
    host.until(lambda: host.running() == ALL)
    os.kill(host.process("agent").pid, signal.SIGKILL)
    host.until(lambda: host.process("agent").restarts == 1 and host.process("agent").running)
    assert host.process("agent").last_error == "was ended by SIGKILL"
    assert (host.process("dns").restarts, host.process("dns").last_error) == (0, "")


def test_a_manager_that_does_not_start_is_told_with_its_reason(host: Host) -> None:
    host.start("manager_ready_ms=1500")
    host.does("manager", "crash")
    error = host.attempt(NodeDaemon.init, node_pb2.InitRequest(advertise_address=ADDRESS))
    assert isinstance(error, Unavailable)
    assert "ended with code 3" in str(error)


def test_killed_it_leaves_no_second_agent_behind(host: Host) -> None:
    host.start("child_stop_ms=1000")
    host.init()
    host.until(lambda: host.running() == ALL)
    host.does("dns", "deaf")
    os.kill(host.process("dns").pid, signal.SIGKILL)
    host.until(lambda: host.process("dns").restarts == 1 and host.process("dns").running)
    for round_ in range(3):
        host.kill()
        host.start("child_stop_ms=1000")
        expected = ["start n1", *["end", "start n1"] * (round_ + 1)]
        host.until(lambda expected=expected: host.notes("agent") == expected)
    assert "two" not in [note for name in ALL for note in host.notes(name)]


def test_killed_at_once_after_a_start_it_leaves_no_second_agent_behind(host: Host) -> None:
    """No moment between the start of a child and the knowledge of it can be hit: there is none."""
    host.start()
    host.init()
    for _ in range(5):
        host.kill()
        host.start(wait=False)
    host.until(lambda: host.call(NodeDaemon.info, node_pb2.InfoRequest()) is not None)
    host.until(lambda: host.running() == ALL)
    assert "two" not in [note for name in ALL for note in host.notes(name)]


def test_a_child_that_does_not_listen_is_killed_after_a_bounded_wait(host: Host) -> None:
    host.start("child_stop_ms=300")
    host.does("agent", "deaf")
    host.init()
    host.until(lambda: host.notes("agent") == ["start n1"])
    assert host.end() == 0
    assert "is killed" in host.log()


def test_sighup_reads_the_settings_again(host: Host) -> None:
    host.start()
    host.init()
    host.until(lambda: host.notes("agent") == ["start n1"])
    (host.run / "node_name").write_text("other")
    assert host.daemon is not None
    host.daemon.send_signal(signal.SIGHUP)
    host.until(lambda: host.notes("agent") == ["start n1", "end", "start other"])
    host.until(lambda: host.running() == ALL)
    assert host.process("agent").restarts == 0
    assert host.info().node_name == "other"


def test_tasks_that_cannot_be_stopped_keep_the_node_in_the_cluster_unless_forced(host: Host) -> None:
    host.start()
    host.init()
    host.until(lambda: host.running() == ALL)
    host.does("agent", "fail")
    error = host.attempt(NodeDaemon.leave, node_pb2.LeaveRequest(force=True))
    assert error is None
    assert "a task hangs" in host.log()
    assert host.info().node_id == ""


def test_a_second_coveyd_is_refused_with_a_sentence(host: Host) -> None:
    host.start()
    for state, run in ((host.state, host.home / "other"), (host.home / "other", host.run)):
        second = subprocess.run(
            [
                sys.executable,
                "-m",
                "node",
                "--state-dir",
                str(state),
                "--run-dir",
                str(run),
                "--node-name",
                "n2",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[3],
        )
        assert second.returncode == 1
        assert "another coveyd" in second.stderr
        assert len(second.stderr.splitlines()) == 1


def test_a_damaged_identity_is_named_and_nothing_is_overwritten(host: Host) -> None:
    host.start()
    host.init()
    host.until(lambda: host.running() == ALL)
    host.end()
    (host.state / "identity" / "key.pem").write_text("torn")
    host.start()
    assert host.info().node_id == ""
    assert str(host.state / "identity") in host.log()
    assert host.attempt(NodeDaemon.init, node_pb2.InitRequest(advertise_address=ADDRESS)) is not None
    assert (host.state / "identity" / "key.pem").read_text() == "torn"
    host.ask(NodeDaemon.leave, node_pb2.LeaveRequest(force=True))
    assert host.init().node_id


def test_stop_tasks_refuses_beside_a_running_coveyd_and_else_stops_them(host: Host) -> None:
    host.start()
    arguments = [
        sys.executable, "-m", "node", "--stop-tasks", "--state-dir", str(host.state), "--run-dir", str(host.run),
        "--node-name", "n1",
    ]  # fmt: skip
    root = Path(__file__).parents[3]
    beside = subprocess.run(arguments, capture_output=True, text=True, timeout=60, cwd=root)
    assert beside.returncode == 1
    assert "another coveyd" in beside.stderr
    host.end()
    outside = subprocess.run(arguments, capture_output=True, text=True, timeout=60, cwd=root)
    assert outside.returncode == 0, outside.stderr
