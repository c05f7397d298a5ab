"""A node for real containers, alone in its cgroup and directories."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.container_bed import ContainerBed, container_bed

_number = count()


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[ContainerBed]:
    with container_bed(tmp_path, f"cvt{os.getpid()}r{next(_number)}") as made:
        yield made
