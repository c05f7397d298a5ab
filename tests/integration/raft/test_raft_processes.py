"""Three members in three processes, killed, paused and started again: nothing acknowledged is lost."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.raft_ring import Failed, RaftRing, wait

pytestmark = pytest.mark.root

SEED = int(os.environ.get("COVEY_TEST_SEED", "1"))
KILLS = int(os.environ.get("COVEY_TEST_KILLS", "4"))


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[RaftRing]:
    made = RaftRing(tmp_path)
    try:
        made.form()
        yield made
    finally:
        made.close()


def all_agree(ring: RaftRing) -> list[str]:
    """Wait until all members have applied the same, and give it."""
    leader = ring.leader()
    applied = leader.ask("look")["applied"]
    for member in ring.members:
        wait(lambda member=member: member.ask("look")["applied"] >= applied)  # type: ignore[misc]
    logs = [member.ask("log") for member in ring.members]
    assert logs[0] == logs[1] == logs[2]
    told: list[str] = logs[0]
    return told


def test_leaders_are_killed_while_they_write(ring: RaftRing) -> None:
    dice, acknowledged, written = Random(SEED), [], 0
    for _ in range(KILLS):
        leader = ring.leader()
        for _ in range(dice.randrange(5, 40)):
            data = b"%08d" % written
            written += 1
            leader.ask("propose", data=data.hex())
            acknowledged.append(data.hex())
        for n in range(20):  # killed amid these
            leader.order("propose", data=(b"u%07d" % n).hex())
        time.sleep(dice.uniform(0, 0.02))
        leader.kill()
        second = ring.leader()
        kept = second.ask("log")
        assert [data for data in kept if not bytes.fromhex(data).startswith(b"u")] == acknowledged
        leader.start()
    final = all_agree(ring)
    assert [data for data in final if not bytes.fromhex(data).startswith(b"u")] == acknowledged


def test_a_paused_leader_is_replaced_and_gives_way_when_it_wakes(ring: RaftRing) -> None:
    leader = ring.leader()
    leader.ask("propose", data="01")
    leader.send_signal(signal.SIGSTOP)
    others = [member for member in ring.members if member is not leader]
    wait(lambda: any(member.ask("look")["leads"] for member in others))
    second = next(member for member in others if member.ask("look")["leads"])
    second.ask("propose", data="02")
    leader.send_signal(signal.SIGCONT)
    with pytest.raises(Failed, match=r"NotLeader|Unavailable"):
        leader.ask("propose", data="03")
    wait(lambda: leader.ask("look")["applied"] >= second.ask("look")["applied"])
    leader.ask("read")
    assert all_agree(ring) == ["01", "02"]


def test_all_members_are_killed_at_once_and_come_back(ring: RaftRing) -> None:
    leader = ring.leader()
    for n in range(50):
        leader.ask("propose", data=(b"%04d" % n).hex())
    for member in ring.members:
        member.send_signal(signal.SIGKILL)
    for member in ring.members:
        member.kill()
        member.start()
    ring.leader()
    assert all_agree(ring) == [(b"%04d" % n).hex() for n in range(50)]


def test_a_follower_that_was_held_up_disturbs_nobody(ring: RaftRing) -> None:
    leader = ring.leader()
    term = leader.ask("look")["term"]
    follower = next(member for member in ring.members if member is not leader)
    for _ in range(3):
        follower.ask("stall", seconds=1.7)
    assert leader.ask("look")["leads"]
    assert leader.ask("look")["term"] == term
    leader.ask("propose", data="01")
    assert all_agree(ring) == ["01"]


def test_a_rolling_restart_hands_leadership_on_and_loses_nothing(ring: RaftRing) -> None:
    acknowledged: list[str] = []

    def write(count: int) -> None:
        for _ in range(count):
            data = (b"%06d" % len(acknowledged)).hex()
            ring.leader().ask("propose", data=data)
            acknowledged.append(data)

    for member in ring.members:
        write(10)
        led, term = member.ask("look")["leads"], ring.leader().ask("look")["term"]
        member.stop()
        others = [other for other in ring.members if other is not member]
        seen = [other.ask("look") for other in others]
        if led:  # somebody was asked to lead, and nobody had to miss the old leader first
            assert any(each["term"] > term for each in seen)
        write(10)
        member.start()
    assert all_agree(ring) == acknowledged
