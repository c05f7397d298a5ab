"""The options of `covey init` that name an etcd cluster, and what is said where aetcd is missing."""

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from covey.cli.store_options import kept_in_etcd, store_options
from covey.client.daemon import StoreOptions
from covey.errors import FailedPrecondition
from manager.store.log.etcd.io.client import load_rpc


def parsed(*arguments: str) -> StoreOptions | str | None:
    """What a command is given; or the words it is refused with."""
    taken: list[StoreOptions | None] = []

    @click.command()
    @kept_in_etcd
    def command(**options: object) -> None:
        taken.append(store_options(options))
        assert not options

    done = CliRunner().invoke(command, list(arguments))
    return taken[0] if done.exit_code == 0 else done.output


def test_without_options_the_managers_keep_the_state() -> None:
    assert parsed() is None


def test_files_are_named_by_their_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("pem")
    (tmp_path / "password").write_text("s3cret")
    monkeypatch.chdir(tmp_path)
    files = ("--store-ca", "ca.pem", "--store-password-file", "password")
    found = parsed("--store", "etcd://h", "--store-user", "u", "--store-prefix", "/p", *files)
    assert found == StoreOptions(
        url="etcd://h",
        ca_file=str(tmp_path / "ca.pem"),
        username="u",
        password_file=str(tmp_path / "password"),
        prefix="/p",
    )
    assert "s3cret" not in repr(found)


def test_how_to_use_an_etcd_that_is_not_named_is_refused() -> None:
    assert "add --store etcd://" in str(parsed("--store-user", "u"))
    assert "does not exist" in str(parsed("--store", "etcd://h", "--store-ca", "/not/there"))


def test_a_missing_aetcd_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aetcd", "aetcd.rpc"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'covey\[etcd\]'"):
        load_rpc()
