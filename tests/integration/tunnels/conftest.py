"""Fixtures: hosts on an encrypted network, on the real kernel, with the real wireguard-go."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from covey.io import netns
from tests.support.tunnel_bed import TunnelBed


@pytest.fixture
def tunnels() -> Iterator[TunnelBed]:
    """Two hosts with a task each, which have told each other their keys."""
    directory = Path(tempfile.mkdtemp(prefix=f"cvt{os.getpid()}-"))
    bed = TunnelBed(directory)
    try:
        bed.build()
        for number, host in enumerate(bed.members, 1):
            bed.join(host, f"t{number}")
        bed.push()
        yield bed
    finally:
        bed.close()
        for each in sorted(directory.rglob("*")):
            if each.is_file():
                netns.delete(each)
        shutil.rmtree(directory)
