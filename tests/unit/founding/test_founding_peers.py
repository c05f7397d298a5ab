"""Managers that ask others: to be let in, to be known at a new address, and whether all went on without them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import CoveyError, FailedPrecondition, Unavailable
from covey.v1 import control_pb2 as pb
from manager.founding.aside import put_aside
from manager.founding.client import Candidate
from manager.founding.driver import keep_address, require_current, watch_epoch
from manager.founding.outdated import outdated
from manager.raft.entry import Member
from manager.raft.seam import Removed
from manager.roles import quorum
from manager.roles.fake import FakeGroup

MEMBERS = tuple(Member(i, f"n{i}", f"192.0.2.{i}:2377") for i in (1, 2, 3))


def told(epoch: int, *raft_ids: int) -> pb.GetClusterStatusResponse:
    managers = [pb.ManagerStatus(raft_id=id) for id in raft_ids]
    return pb.GetClusterStatusResponse(epoch=epoch, managers=managers)


class Others:
    """What the managers at some addresses answer."""

    def __init__(self, answers: Mapping[int, pb.GetClusterStatusResponse | CoveyError]) -> None:
        self.answers = {f"192.0.2.{number}:2377": answer for number, answer in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, address: str) -> pb.GetClusterStatusResponse:
        self.asked.append(address)
        answer = self.answers.get(address, Unavailable(f"{address}: nobody"))
        if isinstance(answer, CoveyError):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("epoch", "theirs", "is_outdated"),
    [
        (1, told(1, 2, 3), False),  # a group of our own time that has not heard of us yet
        (1, told(9, 1, 2), False),  # we lag, and they know us
        (1, told(9, 2, 7), True),
        (9, told(1, 2, 3), False),  # it is they who were left behind
        (0, told(1), True),
    ],
)
def test_who_was_left_behind(epoch: int, theirs: pb.GetClusterStatusResponse, is_outdated: bool) -> None:
    reason = outdated(1, epoch, "192.0.2.2:2377", theirs)
    assert (reason is not None) is is_outdated
    if reason is not None:
        assert f"192.0.2.2:2377 is in epoch {theirs.epoch}, and here it is {epoch}" in reason
        assert "promote it there" in reason


def test_a_manager_left_behind_does_not_start() -> None:
    others = Others({2: told(9, 2)})
    with pytest.raises(FailedPrecondition, match="went on without this manager"):
        asyncio.run(require_current(FakeGroup(MEMBERS[0], MEMBERS[1:]), lambda: 1, others))
    assert sorted(others.asked) == ["192.0.2.2:2377", "192.0.2.3:2377"]


def test_who_finds_nobody_or_its_own_group_starts() -> None:
    group = FakeGroup(MEMBERS[0], MEMBERS[1:])
    for others in (Others({}), Others({2: told(1, 1, 2, 3), 3: told(1, 1, 2, 3)})):
        asyncio.run(require_current(group, lambda: 1, others))
    alone = Others({})
    asyncio.run(require_current(FakeGroup(MEMBERS[0]), lambda: 1, alone))
    assert alone.asked == []


def test_a_leader_asks_those_it_does_not_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "epoch_look_s", 0.01)
    group = FakeGroup(MEMBERS[0], MEMBERS[1:])
    others = Others({})

    async def story() -> None:
        watching = asyncio.create_task(watch_epoch(group, lambda: 1, others))
        await asyncio.sleep(0.1)
        assert others.asked == [], "it hears them all"
        group.peers[3].silent_ticks = quorum.SILENT_TICKS_MAX + 1
        while not others.asked:
            await asyncio.sleep(0.01)
        assert set(others.asked) == {"192.0.2.3:2377"}
        assert not watching.done(), "nobody there is no reason to stop"
        others.answers["192.0.2.3:2377"] = told(9, 3)
        with pytest.raises(FailedPrecondition, match="epoch 9"):
            async with asyncio.timeout(10):
                await watching

    asyncio.run(story())


# --- being known ----------------------------------------------------------------------------------


OWN = Candidate("c", 2, MEMBERS[1].address)


class Askable:
    """Managers that are asked to let one in; `answers` are by address, what is missing does not answer."""

    def __init__(self, group: FakeGroup, answers: Mapping[str, CoveyError | None]) -> None:
        self.group, self.answers, self.asked = group, answers, list[str]()

    async def __call__(self, address: str) -> None:
        self.asked.append(address)
        answer = self.answers.get(address, Unavailable(f"{address}: nobody"))
        if answer is not None:
            raise answer
        self.group.leader = 1
        member = self.group.membership.get(OWN.raft_id)
        assert member is not None
        moved = replace(member, address=OWN.address)
        self.group.membership = quorum.with_member(self.group.membership, moved)


def follower(leader: int, address: str = OWN.address) -> FakeGroup:
    group = FakeGroup(replace(MEMBERS[1], address=address), (MEMBERS[0], MEMBERS[2]))
    group.leader = leader
    return group


def keep(group: FakeGroup, ask: Askable, managers: tuple[str, ...] = ()) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await keep_address(group, OWN, lambda: managers, ask)

    asyncio.run(within())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("join_backoff_ms_min", "join_backoff_ms_max", "member_silent_ms_max"):
        monkeypatch.setattr(limits, name, 10)


@pytest.mark.usefixtures("quick")
def test_a_member_that_hears_a_leader_asks_nobody() -> None:
    group = follower(leader=1)
    ask = Askable(group, {})
    keep(group, ask)
    assert ask.asked == []


@pytest.mark.usefixtures("quick")
def test_a_new_address_is_told_until_somebody_takes_it() -> None:
    group = follower(leader=1, address="192.0.2.77:2377")
    ask = Askable(group, {"192.0.2.9:2377": None})
    keep(group, ask, ("192.0.2.9:2377",))
    assert ask.asked == [OWN.address, "192.0.2.1:2377", "192.0.2.3:2377", "192.0.2.9:2377"]
    assert group.membership.get(2) == MEMBERS[1]


@pytest.mark.usefixtures("quick")
def test_a_member_that_hears_nobody_asks_whether_it_is_one() -> None:
    group = follower(leader=0)
    with pytest.raises(Removed, match="used up"):
        keep(group, Askable(group, {"192.0.2.3:2377": Removed("member 2 is used up")}))
    ask = Askable(group, {"192.0.2.3:2377": None})
    keep(group, ask)
    assert ask.asked[-1] == "192.0.2.3:2377"


def test_what_a_removed_member_kept_is_put_aside(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "manager").mkdir()
        (tmp_path / "manager" / "log.db").write_text(f"log {number}")
        aside = put_aside(tmp_path)
        assert not (tmp_path / "manager").exists()
        assert (aside / "log.db").read_text() == f"log {number}", "the latest is kept, and only that"
