"""Load on a dev cluster's service from several places at once, counted phase by phase."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import msgspec

from devcluster import namespaces
from tests.support.load_generator import Failure, Phase, Report, Settings

_SCRIPT = Path(__file__).parent / "load_generator.py"
_END_S = 30.0


@dataclass
class _Generator:
    """One process that asks, in one network namespace."""

    source: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list[str])
    reading: threading.Thread | None = None

    def ask(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read(self, stream: IO[str]) -> None:
        """Take down what it says until it ends; in a thread, so that no pipe is ever full."""
        self.said.extend(stream)

    def end(self) -> Report:
        assert self.process.stdin is not None
        assert self.reading is not None
        self.process.stdin.close()
        self.reading.join(_END_S)
        assert self.process.wait(_END_S) == 0, f"the load from {self.source} broke off: {self.said[-20:]}"
        return msgspec.json.decode(self.said[-1], type=Report)


class Load:
    """Load while it is entered. `sources` are network namespaces by name, with what to ask from there."""

    def __init__(self, sources: Mapping[str, tuple[Path, Settings]]) -> None:
        self._sources = sources
        self._generators: list[_Generator] = []
        self._names: list[str] = []
        self.reports: dict[str, Report] = {}

    def __enter__(self) -> Self:
        for source, (path, settings) in self._sources.items():
            argv = [sys.executable, str(_SCRIPT), msgspec.json.encode(settings).decode()]
            process = subprocess.Popen(
                namespaces.command(path, argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": str(_SCRIPT.parents[2])},
            )
            assert process.stdout is not None
            generator = _Generator(source, process)
            generator.reading = threading.Thread(target=generator.read, args=(process.stdout,))
            generator.reading.start()
            self._generators.append(generator)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.reports = {each.source: each.end() for each in self._generators}
        finally:
            for each in self._generators:
                each.process.kill()
                each.process.wait()
                for stream in (each.process.stdin, each.process.stdout):
                    if stream is not None:
                        stream.close()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what is asked meanwhile under this name; what comes after it, apart."""
        self._enter(name)
        try:
            yield
        finally:
            self._enter(f"after {name}")

    def _enter(self, name: str) -> None:
        for each in self._generators:
            each.ask(f"phase {name}")
        self._names.append(name)

    def phases(self) -> list[Phase]:
        """Each phase over all sources, in their order; quantiles are the worst of any source."""
        found = []
        for name in dict.fromkeys(["start", *self._names]):
            parts = [each for report in self.reports.values() for each in report.phases if each.name == name]
            if parts:
                found.append(_together(name, parts))
        return found

    def failures(self, phases: Sequence[str] = ()) -> list[tuple[str, Failure]]:
        """What was not answered, with its source; of some phases, or of all."""
        return [
            (source, each)
            for source, report in self.reports.items()
            for each in report.failures
            if not phases or each.phase in phases
        ]

    def lines(self) -> list[tuple[str, ...]]:
        """The phases as a table's cells, the sum last."""
        phases = self.phases()
        return [_cells(each) for each in (*phases, _together("in all", phases))]

    def table(self) -> str:
        """The phases as text."""
        rows = [COLUMNS, *self.lines()]
        widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
        return "\n".join(
            "  ".join(
                [
                    row[0].ljust(widths[0]),
                    *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
                ]
            )
            for row in rows
        )


COLUMNS = ("phase", "seconds", "requests", "connections", "failed", "p50 ms", "p99 ms", "worst ms")


def _together(name: str, parts: Sequence[Phase]) -> Phase:
    return Phase(
        name,
        requests=sum(each.requests for each in parts),
        failed=sum(each.failed for each in parts),
        connections=sum(each.connections for each in parts),
        seconds=sum(each.seconds for each in parts)
        if name == "in all"
        else max(each.seconds for each in parts),
        p50_ms=max(each.p50_ms for each in parts),
        p99_ms=max(each.p99_ms for each in parts),
        worst_ms=max(each.worst_ms for each in parts),
        tasks=max(each.tasks for each in parts),
    )


def _cells(each: Phase) -> tuple[str, ...]:
    times = (f"{each.p50_ms:.1f}", f"{each.p99_ms:.0f}", f"{each.worst_ms:.0f}")
    return (
        each.name,
        f"{each.seconds:.1f}",
        f"{each.requests:,}",
        f"{each.connections:,}",
        f"{each.failed:,}",
        *times,
    )
