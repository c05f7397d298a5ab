"""A host without a signature policy gets one that is named to skopeo; a host with one keeps it."""

from pathlib import Path

import pytest

from agent.images.store import driver
from agent.images.store.driver import SkopeoImages


def test_a_missing_policy_is_replaced_by_an_open_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_SYSTEM_POLICY", tmp_path / "none.json")
    store = SkopeoImages(tmp_path / "images", tmp_path / "run")
    path = store._make_ready()
    assert "insecureAcceptAnything" in Path(path).read_text()


def test_the_hosts_policy_is_left_to_skopeo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy.json").write_text("{}")
    monkeypatch.setattr(driver, "_SYSTEM_POLICY", tmp_path / "policy.json")
    assert SkopeoImages(tmp_path / "images", tmp_path / "run")._make_ready() == ""
