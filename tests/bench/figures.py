"""Figures and how they are printed: ours, the reference beside them, and the ratio."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

QUICK = os.environ.get("COVEY_BENCH_QUICK", "") not in ("", "0")
REPEATS = 1 if QUICK else 3
REFERENCE = "Docker Swarm on such a machine (reference)"

console = Console(width=150, highlight=False)


@dataclass(frozen=True)
class Figure:
    """One row. `reference` is a peer's figure that was not measured in this run."""

    what: str
    values: Sequence[float]
    unit: str = "s"
    cpu_s: Sequence[float] = ()
    reference: float | None = None
    reference_cpu_s: float | None = None
    note: str = ""


def show(title: str, figures: Sequence[Figure]) -> None:
    """Print figures as one table; columns that none of them fills are left out."""
    table = Table(title=title, title_justify="left", caption=_caption(figures), caption_justify="left")
    table.add_column("what")
    table.add_column("Covey", justify="right")
    with_cpu = any(each.cpu_s for each in figures)
    with_reference = any(each.reference is not None for each in figures)
    if with_cpu:
        table.add_column("CPU s", justify="right")
    if with_reference:
        table.add_column(REFERENCE, justify="right")
        table.add_column("Covey takes", justify="right")
    table.add_column("note")
    for each in figures:
        cells = [each.what, spread(each.values, each.unit)]
        if with_cpu:
            cells.append(spread(each.cpu_s, "") if each.cpu_s else "")
        if with_reference:
            cells += [_reference(each), _ratio(each)]
        table.add_row(*cells, each.note)
    console.print()
    console.print(table)


def rows(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]], caption: str = "") -> None:
    """Print a plain table; all columns but the first hold numbers."""
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for line in lines:
        table.add_row(*line)
    console.print()
    console.print(table)


def spread(values: Sequence[float], unit: str) -> str:
    """The median, and from where to where if there are several."""
    if not values:
        return "-"
    text = number(statistics.median(values))
    if len(values) > 1:
        text += f" ({number(min(values))} to {number(max(values))})"
    return f"{text} {unit}".rstrip()


def number(value: float) -> str:
    """Three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def _reference(figure: Figure) -> str:
    cpu = f", {number(figure.reference_cpu_s)} CPU s" if figure.reference_cpu_s is not None else ""
    wall = f"{number(figure.reference)} {figure.unit}" if figure.reference is not None else "-"
    return wall + cpu


def _ratio(figure: Figure) -> str:
    text = "-"
    if figure.reference is not None and figure.values:
        text = f"{statistics.median(figure.values) / figure.reference:.2f}x"
    if figure.reference_cpu_s is not None and figure.cpu_s:
        text += f", CPU {statistics.median(figure.cpu_s) / figure.reference_cpu_s:.2f}x"
    return text


def _caption(figures: Sequence[Figure]) -> str:
    words = []
    if any(len(each.values) > 1 for each in figures):
        words.append("Median (min to max).")
    if any(each.reference is not None for each in figures):
        words.append("The reference was measured elsewhere and is not part of this run.")
    return " ".join(words)


def machine() -> str:
    """One line on this machine, and on how busy it was when the run began."""
    memory_kib = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    load = os.getloadavg()
    return (
        f"{_system()}, Linux {platform.release()}, {os.cpu_count()} cores, {memory_kib / (1 << 20):.0f} GiB, "
        f"Python {platform.python_version()}; load before the run {load[0]:.1f} (1 min), {load[1]:.1f} (5 min)"
    )


def _system() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.system()
