"""msgspec raises `UnicodeDecodeError`, none of its own, for text that is not UTF-8: it is damage like any other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from covey.cli.parse.others import credentials
from covey.errors import Corrupt, InvalidArgument
from covey.model import bootstrap, node_config, recovery

PACKED = b"\x81\xaacluster_id\xa1\x80"
JSON = b'{"state_dir": "\x80"}'


@pytest.mark.parametrize(
    ("load", "data"),
    [
        (bootstrap.load, b"\x82\xa6format\x02\xa7cluster\x81\xa2id\xa1\x80"),
        (recovery.load, PACKED),
        (node_config.load, JSON),
    ],
)
def test_files_are_called_damaged(load: Callable[[Path], object], data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(Corrupt, match="file"):
        load(tmp_path / "file")


def test_a_docker_configuration_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="not a Docker configuration"):
        credentials(b'{"auths": {"r": {"auth": "\x80"}}}', "config.json", "r/image")
