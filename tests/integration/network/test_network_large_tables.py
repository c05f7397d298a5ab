"""The parts of the benchmark of large tables, with small ones: what they leave is what it should be."""

import pytest

from tests.support.large_tables_bed import measured

pytestmark = pytest.mark.root


def test_rows_that_come_and_go_leave_what_the_table_says() -> None:
    found = measured(300, 3)
    assert found.findings == ()
    assert len(found.attached) == 2
    assert len(found.changed) == len(found.published_changed) == 15
