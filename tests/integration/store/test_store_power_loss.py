"""A power loss at any moment: what was acknowledged is there, and nothing is half there."""

import asyncio
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from covey import errors
from covey.model.objects import Endpoint, Task
from tests.support.power_loss import Disk, Event, record
from tests.support.store_alone import open_alone
from tests.support.store_writer import CLUSTER

pytestmark = pytest.mark.root

WRITER = Path(__file__).parents[2] / "support" / "store_writer.py"
SEED = int(os.environ.get("COVEY_TEST_SEED", "1"))
STATES = int(os.environ.get("COVEY_TEST_POWER_LOSSES", "150"))


@dataclass
class Loss:
    """A state after which a promise was found broken."""

    cut: int
    sort: str
    what: str


def write(tmp_path: Path, *arguments: str) -> list[Event]:
    state = tmp_path / "state"
    state.mkdir()
    writer = shlex.join([sys.executable, str(WRITER), str(state), "80", *arguments])
    # Killed once, and started again: what the second one finds in the page cache may not be on the disk.
    argv = ["env", f"PYTHONPATH={WRITER.parents[2]}", "sh", "-c", f"{writer} --die-after 60 && {writer}"]
    return record(argv, state, tmp_path / "trace", timeout_s=120)


def cut(events: list[Event], tmp_path: Path, states: int, *, stop_at_first: bool = False) -> list[Loss]:
    """Lose power at random moments, start the store from what is left, and compare."""
    dice, disk, acknowledged, losses = Random(SEED), Disk(tmp_path / "state"), set[int](), list[Loss]()
    cuts = sorted(dice.choices(range(1, len(events) + 1), k=states))
    played = 0
    for place in cuts:
        for event in events[played:place]:
            disk.play(event)
            if event.data.startswith(b"ack") and event.call == "output":
                acknowledged.add(int(event.data.split()[1]))
        played = place
        target = tmp_path / "after"
        target.mkdir()
        sort = disk.crash(dice, target)
        try:
            asyncio.run(check(target, acknowledged))
        except (AssertionError, errors.CoveyError) as error:
            losses.append(Loss(place, sort, str(error)))
            if stop_at_first:
                return losses
        finally:
            shutil.rmtree(target)
    assert acknowledged, "something was acknowledged at all"
    return losses


async def check(state: Path, acknowledged: set[int]) -> None:
    async with asyncio.timeout(30):
        for extra in range(2):  # what is found stays, also after more was written on top of it
            store = await open_alone(state, CLUSTER)
            try:
                tasks = {int(task.id[1:]) for task in store.all(Task)}
                endpoints = {int(endpoint.id[1:]) for endpoint in store.all(Endpoint)}
                assert tasks == endpoints, f"half applied: {tasks ^ endpoints}"
                assert tasks == set(range(len(tasks))), "a hole in the order"
                assert acknowledged <= tasks, f"acknowledged and lost: {acknowledged - tasks}"
                if not extra:
                    acknowledged = {*tasks, len(tasks)}
                    number = f"{len(tasks):06}"
                    draft = store.draft()
                    draft.put(Task(id="t" + number))
                    draft.put(Endpoint(id="e" + number))
                    await store.commit(draft.transaction())
            finally:
                await store.close()


def test_what_was_acknowledged_survives_a_power_loss(tmp_path: Path) -> None:
    events = write(tmp_path)
    calls = {event.call for event in events}
    assert calls >= {"create", "write", "sync", "rename", "unlink", "truncate", "output"}, calls
    assert cut(events, tmp_path, STATES) == []


@pytest.mark.parametrize(
    "fault", ["synchronous=OFF", "synchronous=NORMAL", "unsynced snapshots", "unsynced directories"]
)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    assert cut(write(tmp_path, "--plant", fault), tmp_path, STATES, stop_at_first=True)
