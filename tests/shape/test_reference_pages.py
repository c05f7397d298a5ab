"""The generated reference pages say what the code says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_reference_pages_are_current() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "reference" / "generate.py"))["pages"]
    stale = [path.name for path, text in pages() if not path.exists() or path.read_text() != text]
    assert not stale, "run `make docs`"
