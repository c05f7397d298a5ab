"""Services of several sizes that come and go: the measurement that one node and three have in common."""

from collections.abc import Mapping, Sequence

from tests.bench.figures import REPEATS, Figure
from tests.bench.floors import Floor, NetworkFloor
from tests.bench.stages import print_stages
from tests.bench.town import Started, Town


async def come_and_go(
    town: Town,
    sizes: Sequence[int],
    floors: tuple[Floor, NetworkFloor] | None,
    reference: Mapping[int, float],
    reference_cpu: Mapping[int, float],
    reference_removed: Mapping[int, float],
) -> tuple[list[Figure], list[Figure]]:
    """Create and remove services of these sizes; prints the parts of the largest one's start."""
    figures, removals = list[Figure](), list[Figure]()
    for size in sizes:
        runs, gone = list[Started](), list[float]()
        for turn in range(REPEATS):
            runs.append(await town.start(town.spec(f"s{size}-{turn}", size)))
            if size == max(sizes) and turn == 0:
                print_stages(town, runs[0], floors)
            gone.append(await town.remove(runs[-1]))
        replaced = sum(run.replaced for run in runs)
        figures.append(
            Figure(
                f"create {size} to all seen running",
                [run.seen_s for run in runs],
                cpu_s=[run.cpu.total for run in runs],
                reference=reference.get(size),
                reference_cpu_s=reference_cpu.get(size),
                note=f"{replaced} tasks had to be replaced" if replaced else "",
            )
        )
        removals.append(Figure(f"remove {size} to no trace", gone, reference=reference_removed.get(size)))
    return figures, removals
