"""Every scenario comes out as written down; when a change of it is meant, `rewrite.py` writes it anew."""

from pathlib import Path

import pytest

from tests.support.scenario import scenarios, written_anew


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    assert written_anew(path) == path.read_text()
