"""What the command says of managers, and how it backs up: a real control API, managers that only pretend."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from covey.v1 import control_pb2 as pb
from tests.support.cli_command import covey
from tests.support.cli_stand import CliStand, managers_line
from tests.support.leftovers import prefix


@pytest.fixture
def stand() -> Iterator[CliStand]:
    with TemporaryDirectory(prefix=f"{prefix()}-climgr-") as folder, CliStand(Path(folder)) as made:
        yield made


def test_status_of_managers_that_do_well(stand: CliStand) -> None:
    shown, _ = covey(stand, "cluster", "status")
    assert "Quorum: yes (2 of 2 managers answer)" in shown
    assert "Leader: m1 (m1.example:2377)" in shown
    assert [line.split()[-2:] for line in shown.splitlines() if ".example:" in line][1:] == [
        ["Leader", "0"],
        ["Reachable", "2"],
        ["Joining", "2"],
    ]
    (told,) = json.loads(covey(stand, "cluster", "status", "--format", "json")[0])
    assert (told["has_quorum"], told["term"], told["epoch"]) == (True, 3, 1)
    assert told["managers"][0]["reachability"] == "reachable"


def test_status_without_a_majority_ends_with_one_and_says_what_to_do(stand: CliStand) -> None:
    stand.status = pb.GetClusterStatusResponse(
        managers=[
            managers_line("m1"),
            managers_line("m2", answers=False),
            managers_line("m3", answers=False),
        ],
        answered_by="m1".ljust(25, "0"),
        leader_silent_ms=65_000,
        advice=["2 of 3 managers do not answer: m2, m3. Bring one of them back"],
    )
    shown, _ = covey(stand, "cluster", "status", code=1)
    assert "Quorum: no (1 of 3 managers answer)" in shown
    assert "Leader: none" in shown
    assert "last heard from a leader 1 minute ago" in shown
    assert "- 2 of 3 managers do not answer: m2, m3. Bring one of them back" in shown


def test_nodes_are_listed_with_how_they_manage(stand: CliStand) -> None:
    stand.status.managers[1].node_id = "w1".ljust(25, "0")
    del stand.status.managers[2]
    shown, _ = covey(stand, "node", "ls")
    assert [line.split()[-2] for line in shown.splitlines()[1:]] == ["Leader", "Reachable"]


def test_promotion_waits_until_the_node_votes_and_tells_each_stage(stand: CliStand) -> None:
    said, err = covey(stand, "node", "promote", "-d", "w1")
    assert "w1 is to be a manager" in said
    stand.status.managers[2].voter = True
    said, err = covey(stand, "node", "promote", "w1", "nosuch", code=1)
    assert "nosuch" in err
    said, _ = covey(stand, "node", "demote", "w1")
    assert "w1 is now a worker" in said
    assert "w1 is a worker already" in covey(stand, "node", "demote", "w1")[0]
    assert "last" in covey(stand, "node", "demote", "m1", code=1)[1]


def test_backup_is_whole_private_and_takes_the_place_of_an_older_one(stand: CliStand, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("an older one")
    said, _ = covey(stand, "cluster", "backup", str(file))
    assert "keys" in said
    assert file.read_bytes().startswith(b"COVEY-BACKUP 1\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]
    assert "is back" in covey(stand, "cluster", "restore", str(file))[0]
    _, err = covey(stand, "cluster", "backup", str(tmp_path / "nowhere" / "backup"), code=1)
    assert "cannot be written" in err


def test_a_forced_new_cluster_keeps_all_settings(stand: CliStand) -> None:
    said, _ = covey(stand, "init", "--force-new-cluster")
    assert "now the only manager" in said
    _, err = covey(stand, "init", "--force-new-cluster", "--data-path-port", "5000", code=2)
    assert "keeps all settings" in err


def test_an_address_is_changed(stand: CliStand) -> None:
    assert "192.0.2.1" in covey(stand, "node", "set-address", "--advertise-addr", "192.0.2.1")[0]
    assert "give --advertise-addr" in covey(stand, "node", "set-address", code=2)[1]
