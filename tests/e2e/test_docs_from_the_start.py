"""The commands of the docs' pages that make a cluster and remove it, typed one page after another."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import cluster
from devcluster.place import Place
from tests.support.pages import WITH_THEIR_OWN, look_at, typed

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place(f"t{os.getpid()}")
    yield place
    if place.root.exists():
        cluster.down(place)


@pytest.mark.parametrize("page", WITH_THEIR_OWN, ids=lambda page: page.name)
def test_the_commands_of_a_page(page: Path, place: Place) -> None:
    look_at(page, typed(page, place))
    assert not place.root.exists(), "it ends with what removes its cluster"
