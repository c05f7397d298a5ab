"""Fixtures: a directory of namespaces that clears itself, and the bed of three hosts."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from covey.io import netns
from tests.support.network_bed import Bed


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory for namespaces that are gone, whatever happens, at the end."""
    directory = Path(tempfile.mkdtemp(prefix=f"cvt{os.getpid()}-"))
    try:
        yield directory
    finally:
        for each in sorted(directory.rglob("*")):
            if each.is_file():
                netns.delete(each)
        shutil.rmtree(directory)


@pytest.fixture
def bed(scratch: Path) -> Iterator[Bed]:
    built = Bed(scratch)
    try:
        built.build()
        yield built
    finally:
        built.close()
