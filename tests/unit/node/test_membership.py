import os
from pathlib import Path
from random import Random

import pytest

from agent.session.description import describe
from covey.errors import Corrupt, FailedPrecondition
from covey.identity import NodeIdentity, new_key, store
from covey.model import node_config
from covey.model.specs import GenericResource, Resources
from covey.model.states import Availability
from node import lock, membership
from node.daemon import is_due
from node.founding import cluster_spec, found_cluster
from node.membership import Membership
from node.settings import Settings

NOW_NS = 1_700_000_000_000_000_000


def an_identity() -> NodeIdentity:
    spec = cluster_spec((), 0, 0)
    return found_cluster(spec, new_key(), "m1", Availability.ACTIVE, Random(7), NOW_NS).identity


def joined(state: Path) -> tuple[Membership, NodeIdentity]:
    identity = an_identity()
    record = Membership(cluster_id=identity.identity.cluster_id, managers=("10.0.0.1:2377",))
    state.mkdir(parents=True)
    membership.save(state, record)
    store.save(membership.identity_dir(state), identity)
    return record, identity


def test_a_member_is_one_from_the_certificate_on(tmp_path: Path) -> None:
    state = tmp_path / "state"
    record, identity = joined(state)
    assert membership.load(state) == (record, identity)
    (membership.identity_dir(state) / "certificate.pem").unlink()
    assert membership.load(state) is None


def test_what_was_forgotten_is_gone_and_images_and_volumes_stay(tmp_path: Path) -> None:
    state, run = tmp_path / "state", tmp_path / "run"
    joined(state)
    run.mkdir()
    for folder in ("manager", "agent", "images", "volumes"):
        (state / folder).mkdir()
        (state / folder / "content").touch()
    membership.begin_leave(state)
    membership.forget(state, run)
    assert not membership.is_leaving(state)
    assert sorted(path.name for path in state.iterdir()) == ["identity", "images", "volumes"]
    membership.forget(state, run)  # once more, after an interruption


def test_records_of_two_clusters_are_not_mixed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    joined(state)
    membership.save(state, Membership(cluster_id="another"))
    with pytest.raises(Corrupt, match="another"):
        membership.load(state)
    (state / "node.json").write_text("{")
    with pytest.raises(Corrupt, match=r"node\.json"):
        membership.load(state)


def test_the_processes_read_what_coveyd_writes(tmp_path: Path) -> None:
    settings = Settings(
        state_dir=str(tmp_path / "s"), run_dir=str(tmp_path), node_name="m1", memory="2g", cpus=0.5
    )
    identity = an_identity()
    record = Membership(cluster_id=identity.identity.cluster_id, advertise_address="10.0.0.1")
    config = membership.node_config(settings, record, identity)
    assert (config.memory_bytes, config.nano_cpus) == (2 * 1024**3, 500_000_000)
    path = membership.write_config(config)
    assert path.stat().st_mode & 0o777 == 0o600
    assert node_config.load(path) == config


def test_a_second_coveyd_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / "run", "run-dir")
    with pytest.raises(FailedPrecondition, match=r"process \d+.*--run-dir"):
        lock.acquire(tmp_path / "run", "run-dir")
    os.close(held)
    os.close(lock.acquire(tmp_path / "run", "run-dir"))


def test_a_certificate_is_renewed_within_its_lifetime() -> None:
    identity = an_identity()
    life = identity.not_after_ns - identity.not_before_ns
    assert not is_due(identity, 0.5, identity.not_before_ns + life // 2 - 1)
    assert is_due(identity, 0.5, identity.not_before_ns + life // 2)


def test_the_agent_is_told_what_the_host_offers_and_tells_the_managers(tmp_path: Path) -> None:
    member = joined(tmp_path / "state")
    settings = Settings(
        state_dir=str(tmp_path / "state"),
        run_dir=str(tmp_path),
        node_name="m1",
        generic_resource=("gpu=a", "ssd=3"),
        label=("rack=r7", "fast"),
    )
    config = node_config.load(membership.write_config(membership.node_config(settings, *member)))
    described = describe(config, "host", "amd64", 2, 1 << 30, "1")
    assert described.resources == Resources(
        nano_cpus=2 * 10**9,
        memory_bytes=1 << 30,
        generic=(GenericResource("gpu", "a", 1), GenericResource("ssd", count=3)),
    )
    assert described.engine_labels == {"rack": "r7", "fast": ""}
