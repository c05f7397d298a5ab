"""A node that is promoted and demoted: coveyd follows, killed between any two of its steps or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from covey.errors import FailedPrecondition, Unavailable
from covey.model.states import NodeRole
from covey.v1 import node_pb2, types_pb2
from covey.wire.services import NodeDaemon
from tests.support.coveyd_authority import Authority, an_authority
from tests.support.coveyd_host import Host

pytestmark = pytest.mark.root
WORKER, MANAGER = {"agent", "dns"}, {"agent", "dns", "manager"}


def to_be(authority: Authority, role: NodeRole) -> node_pb2.FollowMembershipRequest:
    name = types_pb2.NodeRole.Name(role)
    return node_pb2.FollowMembershipRequest(role=name, managers=authority.managers)


@contextmanager
def a_worker() -> Iterator[tuple[Authority, Host, str]]:
    with an_authority() as authority, Host(own_network=False) as host:
        host.start()
        request = node_pb2.JoinRequest(token=authority.token, address=authority.address)
        yield authority, host, host.ask(NodeDaemon.join, request).node_id


def restarted(host: Host) -> node_pb2.InfoResponse:
    host.end()
    host.start()
    return host.info()


def test_a_worker_is_promoted_and_demoted_again() -> None:
    with a_worker() as (authority, host, node_id):
        authority.make(node_id, NodeRole.MANAGER)
        host.ask(NodeDaemon.follow_membership, to_be(authority, NodeRole.MANAGER))
        assert host.info().role == NodeRole.MANAGER
        host.until(lambda: host.notes("manager") == ["start n1"])
        host.ask(NodeDaemon.follow_membership, to_be(authority, NodeRole.MANAGER))
        assert host.notes("agent") == ["start n1"], "the agent and its containers are not disturbed"
        assert host.notes("manager") == ["start n1"]
        kept = host.state / "manager" / "kept"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text("the cluster's keys")
        authority.make(node_id, NodeRole.WORKER)
        host.ask(NodeDaemon.follow_membership, to_be(authority, NodeRole.WORKER))
        assert host.info().role == NodeRole.WORKER
        assert host.running() == WORKER
        assert not kept.parent.exists(), "a worker does not keep what managers know"
        assert host.notes("agent") == ["start n1"]
        assert restarted(host).node_id == node_id
        host.until(lambda: host.running() == WORKER)


def test_what_managers_do_not_confirm_is_not_done() -> None:
    with a_worker() as (authority, host, _):
        refused = host.attempt(NodeDaemon.follow_membership, to_be(authority, NodeRole.MANAGER))
        assert isinstance(refused, Unavailable)
        assert "still calls this node a worker" in str(refused)
        assert host.info().role == NodeRole.WORKER
        assert host.running() == WORKER


def test_where_managers_are_is_remembered() -> None:
    with a_worker() as (authority, host, _):
        request = to_be(authority, NodeRole.WORKER)
        request.managers.append("10.9.9.9:2377")
        host.ask(NodeDaemon.follow_membership, request)
        assert list(host.info().managers) == [*authority.managers, "10.9.9.9:2377"]
        assert list(restarted(host).managers) == [*authority.managers, "10.9.9.9:2377"]
        host.until(lambda: host.running() == WORKER)


def test_a_host_in_no_cluster_follows_nobody() -> None:
    with Host() as host:
        host.start()
        refused = host.attempt(NodeDaemon.follow_membership, node_pb2.FollowMembershipRequest())
        assert isinstance(refused, FailedPrecondition)


def test_promotion_killed_anywhere() -> None:
    outcomes = set()
    for kill_at in count(1):
        with a_worker() as (authority, host, node_id):
            authority.make(node_id, NodeRole.MANAGER)
            host.end()
            host.start(kill_at=kill_at)
            error = host.attempt(NodeDaemon.follow_membership, to_be(authority, NodeRole.MANAGER))
            done = error is None
            assert done or isinstance(error, Unavailable), error
            outcomes.add(restarted(host).role)
            host.ask(NodeDaemon.follow_membership, to_be(authority, NodeRole.MANAGER))
            assert host.info().role == NodeRole.MANAGER
            host.until(lambda host=host: host.running() == MANAGER)
            assert host.info().node_id == node_id
        if done:
            break
    assert kill_at > 3, "some step was not hit"
    assert outcomes == {NodeRole.WORKER, NodeRole.MANAGER}


def test_demotion_killed_anywhere() -> None:
    outcomes = set()
    for kill_at in count(1):
        with a_worker() as (authority, host, node_id):
            authority.make(node_id, NodeRole.MANAGER)
            host.ask(NodeDaemon.follow_membership, to_be(authority, NodeRole.MANAGER))
            host.until(lambda host=host: host.running() == MANAGER)
            kept = host.state / "manager" / "snapshots"
            kept.mkdir(parents=True)
            (kept / "1").write_text("the cluster's keys")
            authority.make(node_id, NodeRole.WORKER)
            host.end()
            host.start(kill_at=kill_at)
            error = host.attempt(NodeDaemon.follow_membership, to_be(authority, NodeRole.WORKER))
            done = error is None
            assert done or isinstance(error, Unavailable), error
            role = restarted(host).role
            outcomes.add(role)
            if role == NodeRole.WORKER:
                host.until(lambda kept=kept: not kept.parent.exists())
            host.ask(NodeDaemon.follow_membership, to_be(authority, NodeRole.WORKER))
            host.until(lambda host=host: host.running() == WORKER)
            assert not kept.parent.exists()
        if done:
            break
    assert kill_at > 5, "some step was not hit"
    assert outcomes == {NodeRole.WORKER, NodeRole.MANAGER}
