"""`covey system audit --local` where coveyd cannot have its node audited: each case says what helps."""

import json
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from covey import limits
from covey.cli.app import REFUSED, UNREACHABLE, USAGE, outcome
from covey.v1 import node_pb2
from covey.wire.services import NodeDaemon
from tests.support.coveyd_host import Host

pytestmark = pytest.mark.root
NOT_EVERYBODY = 2


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as made:
        yield made


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> "Said":
    return Said(capsys)


class Said:
    """What the command says, on either stream."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, host: Host, *options: str) -> tuple[int, str]:
        code = outcome(["-H", f"unix://{host.run}/covey.sock", "system", "audit", "--local", *options])
        told = self._captured.readouterr()
        return code, told.out + told.err


def test_without_a_coveyd(host: Host, said: Said) -> None:
    code, words = said(host)
    assert code == UNREACHABLE
    assert "no coveyd listens" in words
    assert "start it" in words


def test_as_somebody_else_than_root(host: Host, said: Said) -> None:
    host.start()
    os.seteuid(65534)
    try:
        code, words = said(host)
    finally:
        os.seteuid(0)
    assert code == REFUSED
    assert "is root's alone: run covey as root" in words
    assert (host.run / "covey.sock").stat().st_mode & 0o777 == 0o600


def test_with_a_node_named(host: Host, said: Said) -> None:
    code, words = said(host, "--node", "w1")
    assert code == USAGE
    assert "leave out --node w1" in words


def test_on_a_host_that_is_in_no_cluster(host: Host, said: Said) -> None:
    host.start()
    code, words = said(host)
    assert code == REFUSED
    assert "in no cluster, so there is nothing to audit" in words
    assert "covey join" in words


def test_while_the_agent_ends_again_and_again(host: Host, said: Said) -> None:
    host.start()
    host.does("agent", "crash")
    host.init()
    host.until(lambda: not host.process("agent").running and host.process("agent").restarts > 1)
    code, words = said(host)
    assert code == NOT_EVERYBODY
    assert "Not answered: n1: its agent does not run (ended with code 3)" in words
    assert "starts it again by itself" in words


def test_while_the_agent_does_not_listen_yet(host: Host, said: Said) -> None:
    host.start()
    host.init()
    host.until(lambda: host.process("agent").running)
    code, words = said(host)
    assert code == NOT_EVERYBODY
    assert "Not answered: n1: its agent does not listen at " in words
    assert "ask again in a moment" in words
    code, words = said(host, "--format", "json")
    assert code == NOT_EVERYBODY
    (told,) = json.loads(words)
    assert (told["local"], told["managers"], told["nodes"][0]["hostname"]) == (True, None, "n1")


def test_while_this_host_is_just_becoming_a_node(said: Said) -> None:
    """Nobody hears the join, so it waits as long as it may."""
    with Host(own_network=False) as host, socket.create_server(("127.0.0.1", 0)) as nobody:
        host.start()
        control = nobody.getsockname()[1] - 1
        token = f"COVEY-1-{'0' * 50}-{'0' * 25}"
        request = node_pb2.JoinRequest(token=token, address=f"127.0.0.1:{control}")
        joining = threading.Thread(target=lambda: host.attempt(NodeDaemon.join, request))
        joining.start()
        host.until(lambda: host.info().under_way == "a join")
        code, words = said(host)
        assert code == REFUSED
        assert "a join is under way on this host; wait for it to end" in words
        nobody.close()
        joining.join()


def test_an_agent_that_hangs_is_waited_for_no_longer_than_said(
    host: Host, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "audit_wait_s", 1)
    host.start()
    host.does("agent", "hang")
    host.init()
    host.until(lambda: (host.run / "agent.sock").exists())
    code, words = said(host)
    assert code == NOT_EVERYBODY
    assert "Not answered: n1: " in words
    assert "agent.sock did not answer in time" in words
    assert "look at its agent's log" in words
