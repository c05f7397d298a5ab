"""What large tables cost a node: whole at first, then a row at a time; and what a network and an endpoint cost."""

import statistics

import pytest

from tests.bench.figures import QUICK, rows
from tests.support.large_tables_bed import measured

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SIZES = (
    ((1_000, 1), (1_000, 20), (10_000, 1)) if QUICK else ((1_000, 1), (1_000, 20), (10_000, 1), (10_000, 20))
)


def test_tables() -> None:
    lines, columns = [], ["ms"]
    for size, tasks in SIZES:
        found = measured(size, tasks)
        assert found.findings == ()
        columns.append(f"{size:,} rows, {tasks} {'task' if tasks == 1 else 'tasks'} here")
        lines.append(
            [
                found.created,
                _median(found.attached),
                found.whole,
                found.whole_cpu,
                found.stood_still,
                _median(found.changed),
                _median(found.changed_cpu),
                found.published,
                _median(found.published_changed),
                found.audited,
            ]
        )
    names = (
        "first task on a network: network and endpoint",
        "each further task: namespace, two endpoints, way out",
        "an overlay's table, whole",
        "... of processor time",
        "... the agent's loop stood still at most",
        "one of its rows changed, median of 15",
        "... of processor time",
        "the ingress network's table, whole",
        "one of its rows changed, median of 15",
        "audit of everything",
    )
    cells = [[f"{value:,.1f}" for value in column] for column in lines]
    rows(
        "Large tables, 50 endpoints to a service: from the message to the kernel",
        columns,
        [[name, *(column[place] for column in cells)] for place, name in enumerate(names)],
    )


def _median(values: tuple[float, ...]) -> float:
    return statistics.median(values) if values else 0.0
