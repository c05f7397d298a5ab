"""How quick the log of three managers is: three processes, real disks, real certificates; and what it stands on."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import QUICK, rows
from tests.support.raft_ring import RaftRing

ENTRY_BYTES = 1024
IN_FLIGHT = (1, 10, 100, 500)
COUNTS = {1: 600, 10: 6_000, 100: 20_000, 500: 30_000}


@contextmanager
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="covey-bench-raft-", dir="/var/lib"))  # a real disk
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def count_of(at_once: int) -> int:
    return COUNTS[at_once] // (5 if QUICK else 1)


def bare(directory: Path, batch: int, count: int) -> float:
    """Appends a second of sqlite with nothing around it, `batch` to a transaction."""
    db = sqlite3.connect(directory / f"bare{batch}.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=wal")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE entry (place INTEGER PRIMARY KEY, data BLOB)")
    payload = bytes(ENTRY_BYTES)
    started = time.perf_counter()
    for first in range(0, count, batch):
        db.execute("BEGIN")
        db.executemany("INSERT INTO entry VALUES (?, ?)", ((first + n, payload) for n in range(batch)))
        db.execute("COMMIT")
    elapsed = time.perf_counter() - started
    db.close()
    return count / elapsed


def test_raft_speed() -> None:
    with folder() as directory:
        floor = {n: bare(directory, n, count_of(n)) for n in IN_FLIGHT}
        lines = []
        for size in (3, 1):
            ring = RaftRing(directory, size)
            try:
                leader = ring.form()
                for at_once in IN_FLIGHT:
                    leader.ask("load", at_once=at_once, count=count_of(at_once) // 10, size=ENTRY_BYTES)
                    told = leader.ask("load", at_once=at_once, count=count_of(at_once), size=ENTRY_BYTES)
                    lines.append(
                        (
                            f"{size} members, {at_once} in flight",
                            f"{told['per_s']:,.0f}",
                            f"{told['p50_ms']:.2f}",
                            f"{told['p99_ms']:.2f}",
                            f"{told['cpu_us']:.0f}",
                            f"{floor[at_once]:,.0f}",
                            f"{told['per_s'] / floor[at_once]:.2f}",
                        )
                    )
            finally:
                ring.close()
                for each in ring.members:
                    shutil.rmtree(each.directory, ignore_errors=True)
        columns = (
            "entries of 1 KiB",
            "per s",
            "p50 ms",
            "p99 ms",
            "leader's CPU us",
            "bare sqlite per s",
            "ratio",
        )
        rows("The log of the managers", columns, lines)
