"""Every scenario comes out as written down; when a change of it is meant, `rewrite.py` writes it anew."""

from pathlib import Path

import pytest

from tests.support.scenario import rewritten, scenarios


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    assert rewritten(path.read_text()) == path.read_text()
