"""The search for garbage, and what it leaves alone."""

import gc

import pytest

from covey import limits
from manager.collector import spare_the_old


def test_what_survived_a_long_search_is_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    before = gc.get_freeze_count()
    monkeypatch.setattr(limits, "garbage_search_ms", 10_000)
    undo = spare_the_old()
    try:
        gc.collect()
        assert gc.get_freeze_count() == before
        monkeypatch.setattr(limits, "garbage_search_ms", 0)
        gc.collect()
        assert gc.get_freeze_count() > before
    finally:
        undo()
    assert gc.get_freeze_count() == 0
