"""Some hundred runs of the simulation. `make sim` does tens of thousands."""

import logging
from collections.abc import Callable, Iterator

import pytest

from manager.store.tables import Tables
from manager.store.transaction import Commit
from tests.sim.__main__ import attempt, batch, profile_of
from tests.sim.world import World

Hear = Callable[[Commit, Tables], None]

_RUNS, _AT_ONCE = 180, 20


@pytest.fixture
def silence() -> Iterator[None]:
    """Machines that are met with every fault there is have much to say."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("first", range(1, _RUNS, _AT_ONCE))
def test_managers_keep_their_promises(first: int) -> None:
    assert batch(first, _AT_ONCE) == []


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_a_seed_gives_the_same_run_again(seed: int) -> None:
    runs = []
    for _ in range(2):
        world = World(seed, profile_of(seed))
        world.run()
        runs.append((world.clock.now_ms, world.writes, world.reads, dict(world.promises.applied)))
    assert runs[0] == runs[1]


_HAPPENINGS: dict[str, Callable[[World], bool]] = {
    "nodes are taken for dead": lambda world: bool(world.history.given_up),
    "tasks on them run on": lambda world: bool(world.history.given_up & world.runs.now.keys()),
    "tasks are followed from drained nodes": lambda world: bool(world.rollouts.followers),
    "leaders fall": lambda world: len(world.promises.leaders) > 2,
    "jobs complete": lambda world: bool(world.runs.completed),
    "services are rolled back": lambda world: any(r.restores for r in world.history.revisions.values()),
}


@pytest.mark.parametrize(
    ("profile", "happenings"),
    [
        ("rollout", {"nodes are taken for dead", "tasks on them run on", "services are rolled back"}),
        (
            "drain",
            {"nodes are taken for dead", "tasks on them run on", "tasks are followed from drained nodes"},
        ),
        ("jobs", {"nodes are taken for dead", "leaders fall", "jobs complete"}),
    ],
)
def test_what_runs_are_about_happens_in_them(profile: str, happenings: set[str]) -> None:
    lacking = set(happenings)
    for seed in range(1, 11):
        world = World(seed, profile)

        def listen(commit: Commit, tables: Tables, world: World = world, hear: Hear = world.heard) -> None:
            hear(commit, tables)
            lacking.difference_update([what for what in lacking if _HAPPENINGS[what](world)])

        world.heard = listen  # type: ignore[method-assign]
        world.run()
        if not lacking:
            return
    raise AssertionError(f"ten runs of {profile} pass in which it does not happen that {lacking}")


def test_a_failure_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(world: World) -> None:
        raise AssertionError("two leaders")

    monkeypatch.setattr(World, "run", run)
    assert "two leaders" in attempt(9)
    assert "python -m tests.sim 9 raft" in attempt(9)
