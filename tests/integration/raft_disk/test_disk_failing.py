"""Killed at any moment, on a disk that fails, on a disk that is full: nothing acknowledged is lost."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from covey import errors
from manager.raft.entry import Entry, EntryKind, HardState, Member, SnapshotMark
from manager.raft.io.disk import SqliteDisk
from tests.support import format_one
from tests.support.disk_script import CLUSTER, carry_out, look, place_of, script

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[3]
WRITER = [sys.executable, str(ROOT / "tests/support/disk_writer.py")]
KILLS = 6


def start(argv: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def acknowledged(output: bytes) -> int:
    # The last line may be cut short by the kill.
    return max(
        (int(line.split()[1]) for line in output.split(b"\n")[:-1] if line.startswith(b"ack")), default=-1
    )


async def found(directory: Path, seed: int, count: int) -> int:
    disk = await SqliteDisk.open(directory, CLUSTER)
    try:
        place = place_of(await look(disk), script(seed, count)[1])
        assert place >= 0, "what is there was there at no time"
        return place
    finally:
        await disk.close()


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    dice, count = Random(int(os.environ.get("COVEY_TEST_SEED", "1"))), 4000
    most = 0
    for _ in range(KILLS):
        writer = start([*WRITER, str(tmp_path), str(count), "--at-once", "8"])
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
        most = max(most, acknowledged(output))
        assert asyncio.run(found(tmp_path, 1, count)) >= most
    assert most > 0


def test_a_failed_fsync_stops_the_disk(tmp_path: Path) -> None:
    fail = "inject=fdatasync,fsync:error=EIO:when=40+"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", fail]
    writer = start([*strace, *WRITER, str(tmp_path), "500"])
    output, complaint = writer.communicate(timeout=60)
    assert writer.returncode == 3, complaint
    lines = output.splitlines()
    failed = next(place for place, line in enumerate(lines) if line.startswith(b"failed"))
    assert re.search(rb"disk I/O error|check the disk", lines[failed])
    assert failed == len(lines) - 1, "nothing is acknowledged after the failure"
    assert asyncio.run(found(tmp_path, 1, 500)) >= acknowledged(output)


EVERY = {"rename": 1, "unlink": 1, "fsync": 1, "fdatasync": 1, "pwrite64": 5, "ftruncate": 1}  # the nth call


def killed_at(call: str, nth: int, argv: Sequence[str]) -> tuple[bool, bytes]:
    """Run a program and kill it as it makes a system call for the nth time; say whether it came so far."""
    kill = f"inject={call}:signal=KILL:when={nth}"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", kill]
    writer = start([*strace, *argv])
    output, complaint = writer.communicate(timeout=60)
    assert writer.returncode in {0, -signal.SIGKILL, 128 + signal.SIGKILL}, complaint
    return writer.returncode != 0, output


@pytest.mark.parametrize("call", EVERY)
def test_an_upgrade_survives_a_kill_at_every_call(tmp_path: Path, call: str) -> None:
    format_one.write(tmp_path / "old", CLUSTER, 12)
    kills = 1
    while True:
        state = tmp_path / "state"
        shutil.copytree(tmp_path / "old", state)
        killed, _ = killed_at(call, kills, [*WRITER, str(state), "12", "--upgrade"])
        asyncio.run(_upgraded(state))
        shutil.rmtree(state)
        if not killed:
            break
        kills += EVERY[call]
    assert kills > 1, "it was killed at all"


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


async def _upgraded(state: Path) -> None:
    disk = await SqliteDisk.open(state, CLUSTER, None, Member(0, "node1", "10.0.0.1:2377"))
    try:
        seen = await look(disk)
        data = [entry.data for entry in seen.entries if entry.kind is EntryKind.DATA]
        assert data == [format_one.data(place) for place in range(5, 13)]
        assert (seen.mark.index, list(seen.chunks)) == (8, format_one.chunks(8))
    finally:
        await disk.close()
    assert files_in(state) == [f"{4:020}.snapshot", f"{8:020}.snapshot", "key", "log.db"]


@pytest.mark.parametrize("call", ["rename", "unlink", "fsync", "fdatasync"])
def test_an_installed_snapshot_survives_a_kill_at_every_call(tmp_path: Path, call: str) -> None:
    seed, count = 1, 40
    operations, views = script(seed, count)
    install = next(place for place, one in enumerate(operations) if one.kind == "install")

    async def prepare() -> None:
        disk = await SqliteDisk.open(tmp_path / "before", CLUSTER)
        for operation in operations[: install - 1]:  # what comes next is the staging
            await carry_out(disk, operation)
        await disk.close()

    asyncio.run(prepare())
    kills, seen = 0, set[int]()
    while True:
        state = tmp_path / "state"
        shutil.copytree(tmp_path / "before", state)
        killed, output = killed_at(
            call, kills + 1, [*WRITER, str(state), str(install + 1), "--seed", str(seed)]
        )
        place = asyncio.run(found(state, seed, count))
        assert acknowledged(output) <= place <= install + 1
        assert not list((state / "snapshots").glob("*.staged"))
        seen.add(place)
        shutil.rmtree(state)
        if not killed:
            break
        kills += 1
    assert kills >= 1, "it was killed at all"
    assert views[install] != views[install + 1]
    assert install + 1 in seen


def test_a_full_disk_refuses_writes_and_harms_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", f"covey-disk-{os.getpid()}", str(disk)], check=True
    )
    try:
        asyncio.run(_fill(disk))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


async def _fill(mount: Path) -> None:
    async def chunks():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield bytes(50_000)

    state = mount / "manager"
    (mount / "ballast").write_bytes(bytes(1 << 20))
    disk = await SqliteDisk.open(state, CLUSTER)
    last, refusal = 0, None
    while refusal is None and last < 1000:
        try:
            await disk.write(HardState(1, 0, last), [Entry(last + 1, 1, data=os.urandom(50_000))])
            last += 1
        except errors.ResourceExhausted as error:
            refusal = error
    assert re.search(r"no space left for .*log\.db; free some", str(refusal))
    assert last > 5
    written = (await disk.load()).entries
    assert len(written) == last
    for attempt in (
        disk.save_snapshot(SnapshotMark(last, 1), [bytes(50_000)] * 100),
        disk.stage_snapshot(SnapshotMark(last + 9, 1), chunks()),
    ):
        with pytest.raises(errors.ResourceExhausted, match=r"no space left for .*snapshots"):
            await attempt
    assert not list((state / "snapshots").iterdir())
    await disk.close()
    disk = await SqliteDisk.open(state, CLUSTER)  # it starts on a full disk, too
    assert (await disk.load()).entries == written
    (mount / "ballast").unlink()
    await disk.write(HardState(2), [Entry(last + 1, 2, data=bytes(50_000))])
    await disk.close()
    disk = await SqliteDisk.open(state, CLUSTER)
    stored = await disk.load()
    assert (stored.hard_state, stored.entries[:-1]) == (HardState(2), written)
    await disk.close()


def test_an_upgrade_without_room_changes_nothing(tmp_path: Path) -> None:
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", f"covey-disk-{os.getpid()}", str(mount)], check=True
    )
    try:
        format_one.write(mount / "manager", CLUSTER, 200)
        free = shutil.disk_usage(mount).free
        (mount / "ballast").write_bytes(bytes(max(0, free - 40_000)))
        me = Member(0, "node1", "10.0.0.1:2377")
        with pytest.raises(errors.ResourceExhausted, match="no space left"):
            asyncio.run(SqliteDisk.open(mount / "manager", CLUSTER, None, me))
        (mount / "ballast").unlink()

        async def upgraded() -> None:
            disk = await SqliteDisk.open(mount / "manager", CLUSTER, None, me)
            stored = await disk.load()
            await disk.close()
            data = [entry.data for entry in stored.entries if entry.kind is EntryKind.DATA]
            assert data == [format_one.data(place) for place in range(67, 201)]

        asyncio.run(upgraded())
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)
