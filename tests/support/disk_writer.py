"""A process that works a script off on a member's disk and says on stdout what was acknowledged.

    python disk_writer.py DIRECTORY COUNT [--seed N] [--at-once N] [--die-after N] [--plant FAULT]
    python disk_writer.py DIRECTORY COUNT --format-one | --upgrade | --recover

`ack N` says that operation N is done; what it finds at its start it acknowledges too: who reads it may act on
it. Limits are made small, so that checkpoints happen all the time. `--plant` breaks a promise on purpose: a
test that cannot find that is no test.
"""

import argparse
import asyncio
import os
from pathlib import Path
from types import SimpleNamespace

from covey import errors, limits
from manager.raft.entry import Member
from manager.raft.io import database, files, journal, keys, snapshots
from manager.raft.io.disk import SqliteDisk
from manager.raft.io.recovery import rewrite_membership
from manager.raft.io.state import open_files
from tests.support import format_one
from tests.support.disk_script import CLUSTER, carry_out, look, place_of, script


def plant(fault: str) -> None:
    """Break a promise."""
    if fault in {"synchronous=OFF", "synchronous=NORMAL"}:
        original = journal.Journal._open

        def opened(self: journal.Journal, cluster_id: str) -> None:
            original(self, cluster_id)
            self.database.execute(f"PRAGMA {fault}")

        journal.Journal._open = opened  # type: ignore[method-assign]
    elif fault == "unsynced snapshots":
        snapshots.os = SimpleNamespace(**{**vars(os), "fsync": lambda descriptor: None})  # type: ignore[attr-defined]
    elif fault == "unsynced key":
        original_write = files.write_file

        def write_file(path: Path, data: bytes) -> None:
            files.os = SimpleNamespace(**{**vars(os), "fsync": lambda descriptor: None})  # type: ignore[attr-defined]
            original_write(path, data)
            files.os = os  # type: ignore[attr-defined]

        keys.write_file = write_file  # type: ignore[attr-defined]
    elif fault == "unsynced directories":
        for module in (files, database, snapshots):
            module.sync_directory = lambda path: None  # type: ignore[attr-defined]
    elif fault == "installed before the log is empty":
        reset = journal.Journal.reset
        journal.Journal.reset = lambda self, mark, hard_state: None  # type: ignore[method-assign]
        promote = snapshots.Snapshots.promote

        def promoted(self: snapshots.Snapshots, index: int) -> None:
            mark = self.staged()
            promote(self, index)
            assert mark is not None
            reset(opened_journal[0], mark, None)

        opened_journal: list[journal.Journal] = []
        init = journal.Journal._open

        def remember(self: journal.Journal, cluster_id: str) -> None:
            init(self, cluster_id)
            opened_journal[:] = [self]

        journal.Journal._open = remember  # type: ignore[method-assign]
        snapshots.Snapshots.promote = promoted  # type: ignore[method-assign]
    else:
        raise SystemExit(f"no fault is called {fault}")


async def work(directory: Path, count: int, seed: int, at_once: int, die_after: int | None) -> None:
    """Go on with the script from where the disk stands, and acknowledge."""
    operations, views = script(seed, count)
    disk = await SqliteDisk.open(directory, CLUSTER)
    place = place_of(await look(disk), views)
    assert place >= 0, "the disk holds what the script led to"
    os.write(1, b"ack %d\nready\n" % place)
    if place < count and operations[place].kind == "install":
        place -= 1  # what was staged does not outlive the process
    try:
        while place < count:
            # Writes may be under way together; all else is waited for, as a member does.
            group = 1
            while group < at_once and place + group < count and operations[place + group].kind == "write":
                group += 1
            if operations[place].kind != "write":
                group = 1
            asked = [asyncio.create_task(carry_out(disk, operations[place + n])) for n in range(group)]
            for task in asked:
                await task
                place += 1
                os.write(1, b"ack %d\n" % place)
                if place == die_after:
                    os._exit(0)  # as kill -9 would, amid other writes
    except errors.CoveyError as error:
        os.write(1, f"failed {error}\n".encode())
        raise SystemExit(3) from None
    finally:
        await disk.close()


def main() -> None:
    """Read the arguments, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--plant")
    parser.add_argument("--format-one", action="store_true")
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--recover", action="store_true")
    arguments = parser.parse_args()
    limits.log_checkpoint_bytes = 40_000
    limits.log_group_bytes_max = 100_000
    if arguments.plant:
        plant(arguments.plant)
    if arguments.format_one:
        format_one.write(arguments.directory, CLUSTER, arguments.count)
        os.write(1, b"ack 1\n")
    elif arguments.upgrade:
        open_files(arguments.directory, CLUSTER, None, Member(0, "node1", "10.0.0.1:2377")).close()
        os.write(1, b"ack 2\n")
    elif arguments.recover:
        rewrite_membership(arguments.directory, CLUSTER, node_id="node1", address="10.0.0.1:2377")
        os.write(1, b"ack 61\n")
    else:
        seed, at_once = arguments.seed, arguments.at_once
        asyncio.run(work(arguments.directory, arguments.count, seed, at_once, arguments.die_after))


if __name__ == "__main__":
    main()
