"""Killed at any moment, on a disk that fails, on a disk that is full: nothing acknowledged is lost."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from covey import errors
from covey.model.objects import Endpoint, Task
from tests.support.store_alone import open_alone
from tests.support.store_writer import CLUSTER

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[3]
WRITER = [sys.executable, str(ROOT / "tests/support/store_writer.py")]
KILLS = 6


def start(argv: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def acknowledged(output: bytes) -> set[int]:
    # The last line may be cut short by the kill.
    return {int(line.split()[1]) for line in output.split(b"\n")[:-1] if line.startswith(b"ack")}


async def found(state: Path) -> set[int]:
    store = await open_alone(state, CLUSTER)
    try:
        tasks = {int(task.id[1:]) for task in store.all(Task)}
        assert tasks == {int(endpoint.id[1:]) for endpoint in store.all(Endpoint)}
        assert tasks == set(range(len(tasks)))
        return tasks
    finally:
        await store.close()


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    dice = Random(int(os.environ.get("COVEY_TEST_SEED", "1")))
    survived = set[int]()
    for _ in range(KILLS):
        writer = start([*WRITER, str(tmp_path), "1000000", "--at-once", "8"])
        try:
            assert writer.stdout is not None
            while (line := writer.stdout.readline()) != b"ready\n":
                assert line, "the writer starts"
            time.sleep(dice.uniform(0.02, 0.3))
            writer.send_signal(signal.SIGKILL)
            output, complaint = writer.communicate(timeout=60)
        finally:
            writer.kill()
            writer.communicate()
        assert not complaint
        survived |= acknowledged(output)
        present = asyncio.run(found(tmp_path))
        assert survived <= present
    assert survived


def test_a_failed_fsync_stops_the_store(tmp_path: Path) -> None:
    fail = "inject=fdatasync,fsync:error=EIO:when=40+"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", fail]
    writer = start([*strace, *WRITER, str(tmp_path), "1000"])
    output, complaint = writer.communicate(timeout=60)
    assert writer.returncode == 3, complaint
    lines = output.splitlines()
    failed = next(place for place, line in enumerate(lines) if line.startswith(b"failed"))
    assert b"disk I/O error" in lines[failed]
    assert b"restart the manager" in lines[failed]
    assert failed == len(lines) - 1, "nothing is acknowledged after the failure"
    assert acknowledged(output) <= asyncio.run(found(tmp_path))


def test_a_full_disk_refuses_writes_and_harms_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "covey-test", str(disk)], check=True)
    try:
        asyncio.run(_fill(disk))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


async def _fill(disk: Path) -> None:
    def create(n: int) -> None:
        draft = store.draft()
        draft.put(Task(id=f"t{n:06}", service_id="x" * 50_000))
        draft.put(Endpoint(id=f"e{n:06}"))
        transactions.append(draft.transaction())

    transactions = []
    (disk / "ballast").write_bytes(bytes(2 << 20))
    store = await open_alone(disk, CLUSTER)
    committed = 0
    refusal: errors.CoveyError | None = None
    while refusal is None and committed < 1000:
        create(committed)
        try:
            await store.commit(transactions[-1])
            committed += 1
        except errors.Unavailable as error:
            refusal = error
    # The one that met the full disk waits for room, and then nobody knows; the next is refused at once.
    assert "nobody knows" in str(refusal)
    assert committed > 5
    with pytest.raises(errors.ResourceExhausted, match=r"no space left for .*log\.db; free some"):
        await store.commit(transactions[-1])
    assert len(list(store.all(Task))) == committed
    await store.save_snapshot()  # said in the journal, and no more
    assert not list((disk / "manager/snapshots").iterdir())
    await store.close()
    store = await open_alone(disk, CLUSTER)  # it starts on a full disk, too
    assert len(list(store.all(Task))) >= committed - 1  # the last one may wait for a leader's word
    (disk / "ballast").unlink()
    while not store.standing.leads:
        await store.standing_after(store.standing)
    await store.reach(store.standing.since)
    present = len(list(store.all(Task)))
    assert present in (committed, committed + 1)
    create(present)
    await store.commit(transactions[-1])
    await store.close()
    assert len(await found(disk)) == present + 1
