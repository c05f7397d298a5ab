"""A node for real containers, alone in its cgroup and directories."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.container_bed import ContainerBed, container_bed
from tests.support.leftovers import prefix

_number = count()


@pytest.fixture
def bed() -> Iterator[ContainerBed]:
    name = f"{prefix()}r{next(_number)}"
    with TemporaryDirectory(prefix=f"{name}-") as folder, container_bed(Path(folder), name) as made:
        yield made
