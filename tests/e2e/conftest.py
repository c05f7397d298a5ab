"""One dev cluster for the whole run."""

import os
from collections.abc import Iterator

import pytest

from devcluster import cluster
from devcluster.place import Place
from devcluster.record import Record
from tests.support.stand import Stand


@pytest.fixture(scope="session")
def session_stand() -> Iterator[Stand]:
    place = Place(f"e{os.getpid()}")
    asked = Record(managers=1, workers=2)
    try:
        cluster.up(place, asked, lambda _step: None)
        yield Stand(place, asked)
    finally:
        cluster.down(place)


@pytest.fixture
def stand(session_stand: Stand) -> Iterator[Stand]:
    """The cluster, whole and empty."""
    session_stand.power_on()
    yield session_stand
    session_stand.power_on()
    session_stand.sweep()
