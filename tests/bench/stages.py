"""Where the time of a start goes: the moment of each step of each task, read off what the steps left behind."""

from collections.abc import Sequence

from tests.bench.costs import Cpu
from tests.bench.figures import number, rows
from tests.bench.floors import Floor, NetworkFloor
from tests.bench.town import Started, Town, median


def print_stages(town: Town, started: Started, floors: tuple[Floor, NetworkFloor] | None) -> None:
    """Print the parts of a start: when each began for the first task and ended for the last, and the floor."""
    network, bundle, made, ran = _file_times(town, started)
    created, preparing = started.created_s, started.preparing_s
    alone = _floor_words(floors)
    lines = [
        _part("schedule: call to tasks planned and durable", [0.0], created, [], ""),
        _part("dispatch: planned to the agent's start", created, preparing, [], ""),
        _part("image: the agent's start to the first namespace", preparing, [min(network)], [], ""),
        _part("network: first namespace to last", network, network, [], alone[0]),
        _part("runtime create: files written to process made", bundle, made, _steps(bundle, made), ""),
        _part("runtime start: process made to command run", made, ran, _steps(made, ran), ""),
        _part("runtime, both", bundle, ran, [], alone[1]),
        _part("report: last command run to last task seen running", [max(ran)], [started.seen_s], [], ""),
    ]
    caption = (
        "Seconds after the API call. Parts overlap: each task goes its own way through them. `median` is from "
        "one end of a step to the other for a task, waiting for its turn included."
    )
    columns = ("part", "first begins", "last ends", "lasts", "median", "alone (floor)")
    rows(f"Where the time goes: {len(started.tasks)} tasks", columns, lines, caption)
    _print_cpu(started.cpu)


def _file_times(town: Town, started: Started) -> list[list[float]]:
    """Per step, one for each task: the namespace was made, the files written, the process made, the command run."""
    times: list[list[float]] = [[], [], [], []]
    for task in started.tasks:
        node = town.names[task.node_id]
        folder = town.container(node, task.id)
        paths = (town.netns(node, task.id), folder / "config.json", folder / "pid", folder / "record.json")
        for which, path in enumerate(paths):
            times[which].append((path.stat().st_mtime_ns - started.began_ns) / 1e9)
    return times


def _steps(begins: Sequence[float], ends: Sequence[float]) -> list[float]:
    return [end - begin for begin, end in zip(begins, ends, strict=True)]


def _part(
    what: str, begins: Sequence[float], ends: Sequence[float], steps: Sequence[float], floor: str
) -> list[str]:
    begin, end = min(begins), max(ends)
    middle = number(median(steps)) if steps else ""
    return [what, number(begin), number(end), number(max(0.0, end - begin)), middle, floor]


def _floor_words(floors: tuple[Floor, NetworkFloor] | None) -> tuple[str, str]:
    if floors is None:
        return "", ""
    runtime, network = floors
    return (
        f"{number(network.attach.wall_s)}; with tables {number(network.interleaved.wall_s)}",
        f"{number(runtime.wall_s)} ({number(runtime.cpu_s)} CPU s)",
    )


def _print_cpu(cpu: Cpu) -> None:
    lines = [
        [kind, number(used), f"{100 * used / cpu.total:.0f} %"] for kind, used in sorted(cpu.ours.items())
    ]
    lines.append(["conmon, runc, containers", number(cpu.others), f"{100 * cpu.others / cpu.total:.0f} %"])
    lines.append(["all", number(cpu.total), ""])
    rows("Whose processor time it was", ("process", "CPU s", "part"), lines)
