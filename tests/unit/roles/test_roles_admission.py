"""Who may join the group, by which steps, and what the others are told."""

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from covey.errors import AlreadyExists, FailedPrecondition, InvalidArgument, PermissionDenied, Unavailable
from covey.model.objects import Node, NodeDescription
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole
from covey.v1 import raft_pb2
from covey.wire.service import Caller, Role
from manager.raft.entry import Member, Membership
from manager.roles import quorum
from manager.roles.admission import check_address, check_caller, check_id, check_unused, next_step
from manager.roles.fake import FakeGroup
from manager.roles.server import JoinServer
from manager.store.tables import Tables
from tests.support.cluster_objects import change

M, W = NodeRole.MANAGER, NodeRole.WORKER
CLUSTER = "cluster"


def address(number: int) -> str:
    return f"192.0.2.{number}:2377"


def member(number: int, *, voter: bool = True, node: str = "") -> Member:
    return Member(number, node or f"n{number}", address(number), voter)


def nodes() -> Tables:
    tables = Tables()
    change(
        tables,
        *(
            Node(id=id, role=role, spec=NodeSpec(role=wish), description=NodeDescription(hostname=f"h-{id}"))
            for id, role, wish in (("n1", M, M), ("n2", M, M), ("n3", M, M), ("w", W, W), ("going", M, W))
        ),
    )
    return tables


@pytest.mark.parametrize(
    "good", ["192.0.2.1:2377", "[2001:db8::1]:2377", "127.0.0.1:1", "10.0.0.1:65535", "[::1]:2377"]
)
def test_addresses_that_a_host_may_have(good: str) -> None:
    check_address(good)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "not an IP address"),
        ("manager.example:2377", "not an IP address"),
        ("192.0.2.1", "not an IP address"),
        ("192.0.2.1:", "no port"),
        ("192.0.2.1:0", "no port"),
        ("192.0.2.1:65536", "no port"),
        ("192.0.2.1:\u0661", "no port"),
        ("192.0.2.1:99999999999999999999", "no port"),
        ("0.0.0.0:2377", "no host's"),
        ("[::]:2377", "no host's"),
        ("224.0.0.1:2377", "no host's"),
    ],
)
def test_addresses_that_no_host_has(bad: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        check_address(bad)


def test_only_managers_are_let_in() -> None:
    assert check_caller(nodes(), "n1").id == "n1"
    for id, reason in (("stranger", "no member"), ("w", "covey node promote h-w")):
        with pytest.raises(PermissionDenied, match=reason):
            check_caller(nodes(), id)
    with pytest.raises(FailedPrecondition, match="being demoted"):
        check_caller(nodes(), "going")


def test_ids_are_used_once() -> None:
    membership = Membership((member(1), member(2)), removed=(7,))
    check_id(membership, 2, "n2")
    check_id(membership, 3, "n3")
    with pytest.raises(AlreadyExists, match=r"7 was removed.*empty log"):
        check_id(membership, 7, "n3")
    with pytest.raises(AlreadyExists, match="its disk was copied"):
        check_id(membership, 2, "n3")
    for id in (0, -1, 1 << 63):
        with pytest.raises(InvalidArgument):
            check_id(membership, id, "n3")


def test_an_address_where_another_manager_answers_is_refused() -> None:
    membership = Membership((member(1), member(2)))
    with pytest.raises(FailedPrecondition, match="which answers there"):
        check_unused(membership, "n3", address(2), {1, 2})
    check_unused(membership, "n3", address(2), {1})  # a new machine in a dead one's place
    check_unused(membership, "n2", address(2), {1, 2})


def test_a_new_member_is_a_learner_first_and_asking_again_changes_nothing() -> None:
    membership = Membership((member(1),))
    first = next_step(membership, member(2), {1}, 1)
    assert first is not None
    assert first.get(2) == member(2, voter=False)
    assert next_step(first, member(2), {1}, 1) is None


def test_a_new_address_keeps_id_and_vote() -> None:
    moved = replace(member(2), address=address(9), voter=False)
    wanted = next_step(Membership((member(1), member(2))), moved, {1, 2}, 1)
    assert wanted is not None
    assert wanted.get(2) == replace(member(2), address=address(9))


def test_a_node_that_lost_its_disk_gives_its_old_id_up_first() -> None:
    three = Membership((member(1), member(2), member(3)))
    back = member(9, voter=False, node="n3")
    without = next_step(three, back, {1, 2}, 1)
    assert without == quorum.without(three, 3)
    assert without is not None
    again = next_step(without, back, {1, 2}, 1)
    assert again is not None
    assert [each.id for each in again.members] == [1, 2, 9]
    with pytest.raises(Unavailable, match="no majority"):
        next_step(three, back, {1, 3}, 1)  # 3 counts for nothing: its disk is gone


# --- the RPC ---------------------------------------------------------------------------------------


async def reached(address: str, node_id: str) -> None:
    pass


async def unreachable(address: str, node_id: str) -> None:
    raise Unavailable(f"{address} cannot be reached from here")


def ask(group: FakeGroup, raft_id: int, node_id: str, at: str, **options: object) -> Membership:
    dial = options.get("dial", reached)
    server = JoinServer(nodes(), group, CLUSTER, dial)  # type: ignore[arg-type]
    request = raft_pb2.JoinRaftRequest(
        cluster_id=str(options.get("cluster", CLUSTER)), raft_id=raft_id, address=at
    )
    response = asyncio.run(server.join(request, Caller(Role.MANAGER, node_id, CLUSTER, "192.0.2.9")))
    return msgspec.msgpack.decode(response.membership, type=Membership)


def test_who_asks_is_dialled_back_and_let_in() -> None:
    group = FakeGroup(member(1), (member(2),))
    dialled: list[tuple[str, str]] = []

    async def dial(address: str, node_id: str) -> None:
        dialled.append((address, node_id))

    told = ask(group, 3, "n3", address(3), dial=dial)
    assert told == group.committed_membership
    assert told.get(3) == member(3, voter=False)
    assert ask(group, 3, "n3", address(3), dial=dial) == told
    assert dialled == [(address(3), "n3")], "asking again is harmless, and dials nobody"


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"cluster": "other"}, InvalidArgument, "another cluster"),
        ({"dial": unreachable}, Unavailable, "cannot be reached"),
    ],
)
def test_what_is_refused_changes_nothing(change: dict[str, object], kind: type, reason: str) -> None:
    group = FakeGroup(member(1), (member(2),))
    with pytest.raises(kind, match=reason):
        ask(group, 3, "n3", address(3), **change)
    assert group.history == []


def test_a_lost_disk_and_a_moved_manager_through_the_rpc() -> None:
    group = FakeGroup(member(1), (member(2), member(3)))
    group.peers[3].silent_ticks = quorum.SILENT_TICKS_MAX + 1
    told = ask(group, 9, "n3", address(3))
    assert [(each.id, each.voter) for each in told.members] == [(1, True), (2, True), (9, False)]
    assert told.removed == (3,)
    told = ask(group, 2, "n2", address(8))
    assert told.get(2) == replace(member(2), address=address(8))


def test_a_change_under_way_is_waited_for() -> None:
    group = FakeGroup(member(1), (member(2),))
    group.membership = quorum.with_member(group.membership, member(4, voter=False))

    async def story() -> Membership:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, group.settle)
        server = JoinServer(nodes(), group, CLUSTER, reached)
        request = raft_pb2.JoinRaftRequest(cluster_id=CLUSTER, raft_id=3, address=address(3))
        response = await server.join(request, Caller(Role.MANAGER, "n3", CLUSTER))
        return msgspec.msgpack.decode(response.membership, type=Membership)

    assert [each.id for each in asyncio.run(story()).members] == [1, 2, 3, 4]


def test_a_change_that_never_ends_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covey.limits.membership_change_timeout_s", 0.1)
    group = FakeGroup(member(1), (member(2),))
    group.membership = quorum.with_member(group.membership, member(4, voter=False))
    with pytest.raises(FailedPrecondition, match="under way"):
        ask(group, 3, "n3", address(3))
