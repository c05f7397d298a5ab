"""Names and addresses of dev clusters, and what is kept of them on disk."""

from pathlib import Path

import pytest

from covey.errors import Corrupt, InvalidArgument, NotFound
from devcluster import place as places
from devcluster import record
from devcluster.place import Place, address_of, ipv6_of
from devcluster.record import Record


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(places, "BASE", tmp_path / "base")
    return Place("t")


@pytest.mark.parametrize("name", ["", "a" * 21, "Dev", "1st", "a/b", "..", "a-", "a b", "ä"])
def test_bad_names_are_refused_with_the_value(name: str) -> None:
    with pytest.raises(InvalidArgument, match="name for a cluster"):
        Place(name)


def test_socket_paths_fit_into_a_socket_address() -> None:
    longest = Place("a" * 20)
    assert len(str(longest.socket("w250"))) < 100


def test_addresses_differ_and_are_stable() -> None:
    assert address_of("m1") == "10.77.1.1"
    assert address_of("w250") == "10.77.2.250"
    members = ["registry", "outside", "m1", "m20", "w1", "w250"]
    assert len({address_of(member) for member in members}) == len(members)
    assert ipv6_of("m1") == "fd77::1:1"
    assert ipv6_of("w250") == "fd77::2:250"
    assert ipv6_of("outside") == "fd77::3"
    assert len({ipv6_of(member) for member in members}) == len(members)


@pytest.mark.parametrize("node", ["", "m", "m0", "x1", "w01", "w1 ", "W1"])
def test_no_such_node(node: str) -> None:
    with pytest.raises(NotFound, match="no node is called"):
        address_of(node)


@pytest.mark.parametrize("node", ["m21", "w251", "w999"])
def test_too_many_nodes(node: str) -> None:
    with pytest.raises(InvalidArgument, match="too many"):
        address_of(node)


def test_a_record_is_read_as_it_was_written(place: Place) -> None:
    asked = Record(1, 5, ("80", "9000-9001"), ("w1:gpu=a", "w5:ssd=3", "w1:gpu=b"))
    record.save(place, asked)
    assert record.load(place) == asked
    assert [found.name for found in places.places()] == ["t"]


def test_no_record(place: Place) -> None:
    with pytest.raises(NotFound, match="covey dev up --name t"):
        record.load(place)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}', '{"format": 1, "managers": "x"}']
)
def test_a_broken_record_names_the_file_and_the_way_out(place: Place, text: str) -> None:
    place.root.mkdir(parents=True)
    place.record.write_text(text)
    with pytest.raises(Corrupt, match=r"cluster\.json.*take the cluster down"):
        record.load(place)


def test_bad_sizes_are_refused() -> None:
    for managers, workers in ((0, 1), (21, 1), (1, -1), (1, 251)):
        with pytest.raises(InvalidArgument):
            Record(managers, workers)


def test_a_node_offers_what_was_asked_of_it() -> None:
    asked = Record(1, 2, generic=("w1:gpu=a", "w2:ssd=3", "w1:gpu=b:c"))
    assert [asked.generic_of(node) for node in asked.nodes] == [[], ["gpu=a", "gpu=b:c"], ["ssd=3"]]


@pytest.mark.parametrize("offer", ["gpu=1", "w3:gpu=1", "w1:gpu", "w1:=1"])
def test_bad_offers_are_refused(offer: str) -> None:
    with pytest.raises((InvalidArgument, NotFound), match=r"NODE:KIND|no node|gpu|kind"):
        Record(1, 2, generic=(offer,))


def test_the_lock_is_taken_anew_when_the_cluster_was_removed_meanwhile(place: Place) -> None:
    with record.locked(place):
        place.lock.unlink()
        place.root.rmdir()
    with record.locked(place):
        assert place.lock.exists()
