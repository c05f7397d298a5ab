"""Some hundred runs of the simulation. `make sim` does tens of thousands."""

import pytest

from tests.sim.__main__ import attempt, batch, profile_of
from tests.sim.world import World

_RUNS, _AT_ONCE = 300, 20


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


def test_a_failure_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(world: World) -> None:
        raise AssertionError("two leaders")

    monkeypatch.setattr(World, "run", run)
    assert "two leaders" in attempt(9)
    assert "python -m tests.sim 9 raft" in attempt(9)
