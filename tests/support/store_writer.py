"""A process that writes to a store and says on stdout what was acknowledged: `ready`, then `ack N` lines.

    python store_writer.py STATE COUNT [--at-once N] [--die-after N] [--plant FAULT]

What it finds at its start it acknowledges too: who reads it may act on it. Transaction N puts task N and
endpoint N, so that one without the other is half a transaction. Limits are made small, so that checkpoints,
snapshots and compaction happen all the time. `--plant` breaks a promise on purpose: a test that cannot find
that is no test.
"""

import argparse
import asyncio
import os
from pathlib import Path

from covey import errors, limits
from covey.model.objects import Endpoint, Task
from tests.support.disk_writer import plant
from tests.support.store_alone import open_alone

CLUSTER = "c1"


async def write(state: Path, count: int, at_once: int, die_after: int | None) -> None:
    """Commit from where the store stands, and acknowledge."""
    store = await open_alone(state, CLUSTER)
    first = len(list(store.all(Task)))
    for n in range(first):
        os.write(1, b"ack %d\n" % n)
    os.write(1, b"ready\n")
    todo = iter(range(first, first + count))

    async def one_after_another() -> None:
        for n in todo:
            draft = store.draft()
            payload = "x" * (n * 37 % 900 if n % 10 else 9000)
            draft.put(Task(id=f"t{n:06}", service_id=payload))
            draft.put(Endpoint(id=f"e{n:06}", task_id=f"t{n:06}"))
            await store.commit(draft.transaction())
            os.write(1, b"ack %d\n" % n)
            if n == die_after:
                os._exit(0)  # as kill -9 would, amid the others' writes

    try:
        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    except errors.CoveyError as error:
        os.write(1, f"failed {error}\n".encode())
        raise SystemExit(3) from None
    finally:
        await store.close()


def main() -> None:
    """Read the arguments, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--plant")
    arguments = parser.parse_args()
    limits.log_entries_between_snapshots = 25
    limits.log_entries_kept_for_followers = 5
    limits.log_checkpoint_bytes = 40_000
    if arguments.plant:
        plant(arguments.plant)
    asyncio.run(write(arguments.state, arguments.count, arguments.at_once, arguments.die_after))


if __name__ == "__main__":
    main()
