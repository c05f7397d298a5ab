"""One dev cluster for the whole run."""

import os
from collections.abc import Iterator

import pytest

from devcluster import cluster
from devcluster.place import Place
from devcluster.record import Record
from tests.support import traces
from tests.support.stand import Stand


@pytest.fixture(scope="session")
def session_stand() -> Iterator[Stand]:
    place = Place(f"e{os.getpid()}")
    asked = Record(managers=1, workers=2)
    before = traces.of_machine()
    try:
        cluster.up(place, asked, lambda _step: None)
        yield Stand(place, asked)
    finally:
        cluster.down(place)
    left = [each for kind, after in traces.of_machine().items() for each in after - before[kind]]
    assert not [each for each in left if place.tag in each], "nothing is left"


@pytest.fixture
def stand(session_stand: Stand) -> Iterator[Stand]:
    """The cluster, whole and empty."""
    session_stand.power_on()
    yield session_stand
    session_stand.power_on()
    session_stand.sweep()
    try:
        session_stand.until("nothing of any task to be left", lambda: not session_stand.remains())
    except pytest.fail.Exception:
        pytest.fail(
            "\n".join(("left of tasks that are gone:", *session_stand.remains(), session_stand.words()))
        )
