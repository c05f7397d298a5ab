"""What a manager says of the cluster: as the leader, behind one, and left alone."""

import asyncio
from collections.abc import Callable, Mapping

from covey.errors import CoveyError, PermissionDenied, Unavailable
from covey.model.objects import AuditSummary, Cluster, Node, NodeDescription
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole
from covey.v1 import control_pb2 as pb
from covey.v1 import objects_pb2
from covey.wire.service import Caller, Role
from manager.raft.entry import Member
from manager.roles import quorum
from manager.roles.fake import FakeGroup
from manager.status import StatusServer
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import FakeLog

M = NodeRole.MANAGER
MEMBERS = tuple(Member(i, f"n{i}", f"10.0.0.{i}:2377") for i in (1, 2, 3))
UNREACHABLE, REACHABLE, UNKNOWN = (
    pb.REACHABILITY_UNREACHABLE,
    pb.REACHABILITY_REACHABLE,
    pb.REACHABILITY_UNKNOWN,
)

Answers = Mapping[str, pb.GetClusterStatusResponse | CoveyError]


def fill(draft: Draft) -> None:
    draft.put(Cluster(id="c", epoch=5))
    for i in (1, 2, 3):
        description = NodeDescription(hostname=f"m{i}")
        draft.put(Node(id=f"n{i}", role=M, spec=NodeSpec(role=M), description=description))


def ask(
    log: FakeLog,
    group: FakeGroup | None,
    answers: Answers,
    *,
    local: bool = False,
    asked: Callable[[str], None] = lambda _: None,
) -> pb.GetClusterStatusResponse:
    async def ask_other(address: str, only_local: bool) -> pb.GetClusterStatusResponse:
        assert only_local, "whoever is asked asks nobody else, or managers might ask each other for ever"
        asked(address)
        answer = answers.get(address, Unavailable(f"{address}: nobody"))
        if isinstance(answer, CoveyError):
            raise answer
        return answer

    async def story() -> pb.GetClusterStatusResponse:
        store = await Store.start(log)
        try:
            server = StatusServer(
                store, "n1", group, ask_other, lambda: 1234, audit=lambda: AuditSummary(at_ns=7, compared=3)
            )
            return await server.status(pb.GetClusterStatusRequest(local=local), Caller(Role.LOCAL))
        finally:
            await store.close()

    return asyncio.run(story())


def filled_log() -> FakeLog:
    async def story() -> FakeLog:
        log = FakeLog(node_id="n1", address="10.0.0.1:2377")
        store = await Store.start(log)
        await store.update(fill)
        await store.close()
        return FakeLog(log.disk, node_id="n1", address="10.0.0.1:2377")

    return asyncio.run(story())


def leaderless_log() -> FakeLog:
    log = filled_log()
    log.part()
    return log


def reachability(told: pb.GetClusterStatusResponse) -> list[int]:
    return [manager.reachability for manager in told.managers]


def test_the_leader_answers_from_its_own_view() -> None:
    group = FakeGroup(MEMBERS[0], MEMBERS[1:])
    group.peers[2].match = group.commit - 7
    group.peers[3].silent_ticks = quorum.SILENT_TICKS_MAX + 1
    told = ask(filled_log(), group, {}, asked=lambda address: None)
    assert [manager.hostname for manager in told.managers] == ["m1", "m2", "m3"]
    assert [manager.leader for manager in told.managers] == [True, False, False]
    assert reachability(told) == [REACHABLE, REACHABLE, UNREACHABLE]
    assert [manager.behind_entries for manager in told.managers] == [0, 7, 0]
    assert [manager.raft_id for manager in told.managers] == [1, 2, 3]
    assert told.managers[2].silent_ms >= 1_500
    assert (told.answered_by, told.has_quorum, told.epoch, told.store) == ("n1", True, 5, "raft")
    assert told.leader_silent_ms == 0
    assert (told.audit.at_ns, told.audit.compared) == (7, 3)
    assert "m3 (10.0.0.3:2377)" in told.advice[0]


def test_left_alone_it_asks_each_of_the_others() -> None:
    group = FakeGroup(MEMBERS[0], MEMBERS[1:])
    group.leader = 0
    asked: list[str] = []
    told = ask(leaderless_log(), group, {}, asked=asked.append)
    assert sorted(asked) == ["10.0.0.2:2377", "10.0.0.3:2377"]
    assert reachability(told) == [REACHABLE, UNREACHABLE, UNREACHABLE]
    assert not told.has_quorum
    assert told.leader_silent_ms == 1234
    assert not told.HasField("audit"), "nobody leads who would know"
    assert "2 of 3 managers do not answer" in told.advice[0]


def test_one_that_refuses_us_is_there_all_the_same() -> None:
    group = FakeGroup(MEMBERS[0], MEMBERS[1:])
    group.leader = 0
    answers = {"10.0.0.2:2377": PermissionDenied("not you")}
    told = ask(leaderless_log(), group, answers)
    assert reachability(told) == [REACHABLE, REACHABLE, UNREACHABLE]
    assert told.has_quorum
    assert "election" in told.advice[0]


def test_asked_for_its_own_knowledge_it_asks_nobody() -> None:
    group = FakeGroup(MEMBERS[0], MEMBERS[1:])
    group.leader = 0
    asked: list[str] = []
    told = ask(leaderless_log(), group, {}, local=True, asked=asked.append)
    assert asked == []
    assert reachability(told) == [REACHABLE, UNKNOWN, UNKNOWN]


def test_behind_a_leader_it_takes_the_leaders_word() -> None:
    log = filled_log()

    async def story() -> None:
        log.follow("n2", "10.0.0.2:2377")
        store = await Store.start(log)
        group = FakeGroup(MEMBERS[0], MEMBERS[1:])
        group.leader = 2
        word = pb.GetClusterStatusResponse(
            answered_by="n2",
            managers=[
                pb.ManagerStatus(node_id="n1", voter=True, reachability=REACHABLE, raft_id=1),
                pb.ManagerStatus(node_id="n2", voter=True, leader=True, reachability=REACHABLE, raft_id=2),
                pb.ManagerStatus(
                    node_id="n3", voter=True, reachability=UNREACHABLE, silent_ms=9_000, raft_id=3
                ),
            ],
            audit=objects_pb2.AuditSummary(at_ns=5, compared=9),
        )

        async def ask_other(address: str, local: bool) -> pb.GetClusterStatusResponse:
            assert (address, local) == ("10.0.0.2:2377", True)
            return word

        server = StatusServer(store, "n1", group, ask_other, lambda: 50, audit=lambda: AuditSummary(at_ns=1))
        told = await server.status(pb.GetClusterStatusRequest(), Caller(Role.LOCAL))
        assert told.answered_by == "n1"
        assert list(told.managers) == [
            *word.managers[:2],
            word.managers[2],
        ]
        assert "n3 for 9 s does not answer" in told.advice[0]
        assert (told.audit.at_ns, told.audit.compared) == (5, 9), "whoever leads audits"
        await store.close()

    asyncio.run(story())


def test_a_node_that_has_not_joined_the_group_is_shown() -> None:
    told = ask(filled_log(), FakeGroup(MEMBERS[0], MEMBERS[1:2]), {})
    assert [(manager.raft_id, manager.voter) for manager in told.managers] == [
        (1, True),
        (2, True),
        (0, False),
    ]
    assert told.has_quorum


def test_without_a_group_the_nodes_are_the_managers() -> None:
    told = ask(filled_log(), None, {})
    assert told.store == "etcd"
    assert told.has_quorum
    assert reachability(told) == [REACHABLE, UNKNOWN, UNKNOWN]
    assert not told.advice
