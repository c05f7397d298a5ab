"""Requests lost, of a hundred thousand, while tasks are replaced, moved and removed."""

import os

import pytest

from devcluster import cluster
from devcluster.place import Place
from devcluster.record import Record
from tests.bench.figures import QUICK, console, machine, rows
from tests.support.load import COLUMNS, Load
from tests.support.load_scene import Scene
from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]

REQUESTS = 5_000 if QUICK else 100_000
_ROUNDS_MAX = 20
_PAUSE_MS = 30


def test_requests_lost() -> None:
    console.print(f"\n{machine()}")
    place, asked = Place(f"b{os.getpid()}"), Record(managers=1, workers=2)
    try:
        cluster.up(place, asked, lambda _step: None)
        scene = Scene(Stand(place, asked))
        scene.begin()
        loads: list[Load] = []
        for _ in range(_ROUNDS_MAX):
            loads.append(one_round(scene))
            if sum(phase.requests for load in loads for phase in load.phases()) >= REQUESTS:
                break
        for number, load in enumerate(loads, 1):
            rows(
                f"Requests lost: 50 connections at a time, no retries; round {number}", COLUMNS, load.lines()
            )
        phases = [phase for load in loads for phase in load.phases()]
        total, lost = sum(phase.requests for phase in phases), sum(phase.failed for phase in phases)

        rows("Requests lost in all", ("requests", "lost"), [(f"{total:,}", f"{lost:,}")])
        for source, each in [found for load in loads for found in load.failures()][:20]:
            console.print(f"lost, asked from {source}: {each}")
        console.print(f"tasks that were not withdrawn in time (a node was too slow): {hurried(place, asked)}")
    finally:
        cluster.down(place)


def hurried(place: Place, asked: Record) -> int:
    """How often an agent went on without the word that no node sends its task anything new."""
    return sum(place.log(node).read_text().count("may still send it requests") for node in asked.nodes)


def one_round(scene: Scene) -> Load:
    """Everything that stops tasks, once, with fifty connections at a time all along."""
    with scene.load(_PAUSE_MS) as load:
        for name, change in scene.changes.items():
            with load.phase(name):
                change()
    return load
