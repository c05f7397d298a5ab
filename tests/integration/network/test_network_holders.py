"""The eye that campaigns keep on kernels sees who has which address, and two that have one at once."""

import time
from pathlib import Path

import pytest

from covey.io import netns
from devcluster import namespaces
from devcluster.place import Place
from tests.support.holders import Holders, addresses

pytestmark = pytest.mark.root


def made(path: Path, *given: str) -> Path:
    netns.create(path)
    namespaces.run(path, ["ip", "link", "add", "eth0", "type", "bridge"])
    for each in given:
        namespaces.run(path, ["ip", "address", "add", each, "dev", "eth0"])
    return path


def test_addresses_are_those_that_others_reach(scratch: Path) -> None:
    path = made(scratch / "a", "10.1.2.3/24", "fd00::5/64")
    assert addresses(path) == {"10.1.2.3", "fd00::5"}
    assert addresses(scratch / "none") == set()


def test_two_that_have_one_address_at_once_are_seen(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devcluster.place.BASE", scratch)
    place = Place("eye")
    for node, task, own in (("m1", "t1", "10.1.2.1/24"), ("w1", "t2", "10.1.2.2/24")):
        made(place.run(node) / "netns" / task, "10.1.2.3/24", own)
        made(place.netns(node))
    with Holders(place, ["m1", "w1"]) as holders:
        deadline = time.monotonic() + 20
        while not holders.together and time.monotonic() < deadline:
            time.sleep(0.05)
    assert holders.together == {("10.1.2.3", "t1", "t2")}
    assert ("t1", "10.1.2.1") in holders.seen
