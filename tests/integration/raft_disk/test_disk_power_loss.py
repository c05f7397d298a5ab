"""A power loss at any moment: what a member acknowledged is on its disk, and nothing is half there."""

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from covey import errors
from manager.raft.entry import Entry, EntryKind, HardState, Member
from manager.raft.io.disk import SqliteDisk
from manager.raft.io.recovery import rewrite_membership
from tests.support import format_one
from tests.support.disk_script import CLUSTER, View, look, place_of, script
from tests.support.power_loss import Disk, Event, record

pytestmark = pytest.mark.root

WRITER = Path(__file__).parents[2] / "support" / "disk_writer.py"
SEED = int(os.environ.get("COVEY_TEST_SEED", "1"))
STATES = int(os.environ.get("COVEY_TEST_POWER_LOSSES", "150"))
COUNT = 160
Check = Callable[[Path, int], Coroutine[None, None, None]]


@dataclass
class Loss:
    """A state after which a promise was found broken."""

    cut: int
    sort: str
    what: str


def recorded(tmp_path: Path, *runs: list[str]) -> list[Event]:
    """Run the writer, once or several times, one after another, and record what it asks of the kernel."""
    state = tmp_path / "state"
    state.mkdir()
    command = " && ".join(
        shlex.join([sys.executable, str(WRITER), str(state / "manager"), *run]) for run in runs
    )
    argv = ["env", f"PYTHONPATH={WRITER.parents[2]}", "sh", "-c", command]
    return record(argv, state, tmp_path / "trace", timeout_s=180)


def written(tmp_path: Path, seed: int, *arguments: str) -> list[Event]:
    run = [str(COUNT), "--seed", str(seed), *arguments]
    # Killed once, and started again: what the second one finds in the page cache may not be on the disk.
    return recorded(tmp_path, [*run, "--die-after", str(COUNT * 2 // 3)], run)


def cut(
    events: list[Event], tmp_path: Path, check: Check, states: int, *, stop_at_first: bool = False
) -> list[Loss]:
    """Lose power at random moments, open the disk on what is left, and compare."""
    dice, disk, acknowledged, losses = Random(SEED), Disk(tmp_path / "state"), -1, list[Loss]()
    cuts = sorted(dice.choices(range(1, len(events) + 1), k=states))
    played = 0
    for place in cuts:
        for event in events[played:place]:
            disk.play(event)
            if event.data.startswith(b"ack") and event.call == "output":
                acknowledged = max(acknowledged, int(event.data.split()[1]))
        played = place
        target = tmp_path / "after"
        target.mkdir()
        sort = disk.crash(dice, target)
        try:
            asyncio.run(check(target / "manager", acknowledged))
        except (AssertionError, errors.CoveyError) as error:
            losses.append(Loss(place, sort, str(error)))
            if stop_at_first:
                return losses
        finally:
            shutil.rmtree(target)
    assert acknowledged > 0, "something was acknowledged at all"
    return losses


def promises(views: list[View]) -> Check:
    async def check(directory: Path, acknowledged: int) -> None:
        async with asyncio.timeout(30):
            disk = await SqliteDisk.open(directory, CLUSTER)
            try:
                place = place_of(await look(disk), views)
                assert place >= 0, "what is there was there at no time"
                assert place >= acknowledged, f"{acknowledged} was acknowledged, and {place} is there"
                # What is found stays, also after more was written on top of it.
                term, index = views[place].hard_state.term + 5, disk._journal.state.last_index + 1
                await disk.write(HardState(term), [Entry(index, term, data=b"more")])
            finally:
                await disk.close()
            disk = await SqliteDisk.open(directory, CLUSTER)
            try:
                stored = await disk.load()
                assert stored.hard_state == HardState(term)
                assert stored.entries == (*views[place].entries, Entry(index, term, data=b"more"))
            finally:
                await disk.close()

    return check


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_survives_a_power_loss(tmp_path: Path, seed: int) -> None:
    events = written(tmp_path, seed)
    calls = {event.call for event in events}
    assert calls >= {"create", "write", "sync", "rename", "unlink", "truncate", "output"}, calls
    assert cut(events, tmp_path, promises(script(seed, COUNT)[1]), STATES) == []


@pytest.mark.parametrize(
    "fault",
    [
        "synchronous=OFF",
        "synchronous=NORMAL",
        "unsynced snapshots",
        "unsynced directories",
        "unsynced key",
        "installed before the log is empty",
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    events = written(tmp_path, 1, "--plant", fault)
    states = STATES * (10 if fault == "unsynced key" else 4)  # some moments are short
    assert cut(events, tmp_path, promises(script(1, COUNT)[1]), states, stop_at_first=True)


def test_an_upgrade_survives_a_power_loss(tmp_path: Path) -> None:
    """Format 1, then the upgrade: whatever the moment, every entry and the newest snapshot are there."""
    count = 40

    async def check(directory: Path, acknowledged: int) -> None:
        if acknowledged < 1:
            return  # nothing is promised yet
        disk = await SqliteDisk.open(directory, CLUSTER, None, Member(0, "node1", "10.0.0.1:2377"))
        try:
            seen = await look(disk)
            assert [entry.data for entry in seen.entries if entry.kind is EntryKind.DATA] == [
                format_one.data(place) for place in range(count // 3 + 1, count + 1)
            ]
            assert seen.mark.index == count * 2 // 3
            assert list(seen.chunks) == format_one.chunks(count * 2 // 3)
            assert seen.hard_state.commit == count + 1 == seen.entries[-1].index
        finally:
            await disk.close()

    events = recorded(tmp_path, [str(count), "--format-one"], [str(count), "--upgrade"])
    assert cut(events, tmp_path, check, STATES) == []


def test_a_recovery_survives_a_power_loss(tmp_path: Path) -> None:
    """Made the only member: before or after, and doing it again leads to the same."""
    _, views = script(1, 60)
    events = recorded(tmp_path, ["60"], ["60", "--recover"])
    final = views[-1]

    async def check(directory: Path, acknowledged: int) -> None:
        if acknowledged < 60:
            return
        alone = rewrite_membership(directory, CLUSTER, node_id="node1", address="10.0.0.1:2377")
        disk = await SqliteDisk.open(directory, CLUSTER)
        try:
            stored = await disk.load()
            assert stored.entries[:-1] == final.entries
            assert stored.entries[-1].term == stored.hard_state.term == final.hard_state.term + 1
            assert stored.hard_state.commit == stored.entries[-1].index
            assert [member.id for member in alone.members] == [stored.id] == [stored.hard_state.vote]
        finally:
            await disk.close()

    assert cut(events, tmp_path, check, STATES // 3) == []
