"""`python -m tests.sim SEED [PROFILE]` repeats one run, and with `--tell [SERVICE]` tells it in lines.

`python -m tests.sim --many COUNT [FIRST]` runs many.
"""

import logging
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from functools import partial

from tests.sim.telling import telling
from tests.sim.world import World

_BATCH = 25
PROFILES = ("cluster", "raft", "rollout", "members", "raft", "cluster", "drain", "hasty", "jobs", "raft")


def profile_of(seed: int) -> str:
    """The last digit tells: half of the runs are of whole clusters, which take longer."""
    return PROFILES[seed % 10]


def attempt(seed: int, profile: str = "") -> str:
    """Run one seed; what went wrong, or nothing."""
    world = World(seed, profile or profile_of(seed))
    try:
        world.run()
    except Exception as error:  # noqa: BLE001  whatever it is, the seed is what counts
        where = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"seed {seed} ({world.profile}) at {world.clock.now_ms:.0f} ms: {type(error).__name__}: {error}"
            f" [{where.filename.rpartition('/')[2]}:{where.lineno}]; python -m tests.sim {seed} {world.profile}"
        )
    return ""


def batch(first: int, count: int) -> list[str]:
    """Run some seeds one after the other."""
    return [failure for seed in range(first, first + count) if (failure := attempt(seed))]


def many(count: int, first: int) -> int:
    """Run many on all cores, and say how it goes; gives how many failed."""
    began, done, failures = time.monotonic(), 0, list[str]()
    with ProcessPoolExecutor(os.cpu_count(), initializer=partial(logging.disable, logging.CRITICAL)) as pool:
        runs = [
            pool.submit(batch, start, min(_BATCH, first + count - start))
            for start in range(first, first + count, _BATCH)
        ]
        for number, run in enumerate(as_completed(runs), 1):
            for failure in run.result():
                failures.append(failure)
                print(failure, flush=True)
            done = min(number * _BATCH, count)
            if number % 20 == 0:
                print(
                    f"{done} of {count} seeds, {len(failures)} failed, {time.monotonic() - began:.0f} s",
                    flush=True,
                )
    print(
        f"{count - len(failures)} of {count} seeds from {first} on ran clean, in {time.monotonic() - began:.0f} s"
    )
    return len(failures)


def main() -> int:
    """Run what the arguments say."""
    if sys.argv[1] == "--many":
        return min(1, many(int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1))
    seed = int(sys.argv[1])
    rest = sys.argv[2:]
    world = World(seed, rest.pop(0) if rest and rest[0] != "--tell" else profile_of(seed))
    began = time.monotonic()
    with telling(world, rest[1] if len(rest) > 1 else "") if "--tell" in rest else nullcontext():
        world.run()
    print(
        f"seed {seed} ({world.profile}) ran clean: {world.writes} writes, {world.reads} reads, "
        f"{len(world.promises.applied)} entries, {len(world.promises.leaders)} terms with a leader, "
        f"{world.clock.now_ms / 1000:.0f} s in {time.monotonic() - began:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
