"""Managers whose state is kept in etcd: as with Raft, no single death matters, and etcd's own is survived."""

import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator

import pytest

from covey.errors import CoveyError
from covey.model.states import NodeRole
from devcluster import cgroups, cluster, look, members, namespaces, nodes, record, registry
from devcluster.fabric import Fabric
from devcluster.place import OUTSIDE, REGISTRY, Place, address_of
from devcluster.record import Record
from tests.support.managers import Town

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

ENDPOINT = f"{address_of(REGISTRY)}:31379"  # a port that the fabric lets through


class EtcdTown(Town):
    """A dev cluster, and the etcd that keeps its state, beside the registry."""

    etcd: "subprocess.Popen[bytes] | None" = None

    def start_etcd(self) -> None:
        home = self.place.home(REGISTRY)
        url, peer = f"http://{ENDPOINT}", f"http://{address_of(REGISTRY)}:31380"
        argv = ["etcd", "--data-dir", str(home / "etcd"), "--log-level", "error", "--logger", "zap"]
        argv += ["--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peer]
        argv += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        with (home / "etcd.log").open("ab") as log:
            inside = namespaces.command(self.place.netns(REGISTRY), argv)
            self.etcd = subprocess.Popen(inside, stdout=log, stderr=log)
        group = f"{self.place.cluster_cgroup}/etcd"  # so that it ends with the cluster, whoever removes that
        cgroups.create(group)
        for tree in cgroups.hierarchies():
            (tree.root / group / "cgroup.procs").write_text(str(self.etcd.pid))

    def kill_etcd(self) -> None:
        if self.etcd is not None:
            self.etcd.kill()
            self.etcd.wait()


@pytest.fixture(scope="module")
def town() -> Iterator[EtcdTown]:
    place = Place(f"et{os.getpid()}"[:20])
    asked = Record(managers=2, workers=1)
    town = EtcdTown(place, asked)
    try:
        fabric = Fabric(place)
        fabric.build(asked.publish)
        fabric.plug(OUTSIDE)
        record.save(place, asked)
        registry.start(place)
        nodes.boot(place, "m1")
        nodes.wait_for_answer(place, "m1")
        refused = town.refused("init", "--store", f"etcd://{ENDPOINT}", node="m1")
        assert "etcd" in refused
        assert "does not answer" in refused
        town.start_etcd()
        first = address_of("m1")
        cluster.covey(place, "m1", "init", "--advertise-addr", first, "--store", f"etcd://{ENDPOINT}")
        cluster.up(place, asked, lambda _step: None)
        yield town
    finally:
        town.kill_etcd()
        cluster.down(place)


def led(town: EtcdTown) -> str:
    """Who leads; nothing while that is not known."""
    try:
        return look.leader(town.place)
    except CoveyError:
        return ""


def scaled(town: EtcdTown, replicas: int) -> None:
    town.covey("service", "scale", f"web={replicas}")
    town.until(f"{replicas} tasks", lambda: len(town.running("web")) == replicas)


def test_managers_share_a_state_in_etcd(town: EtcdTown) -> None:
    town.until_these_vote({"m1", "m2"})
    for node in ("m1", "m2"):
        told = town.status(node)
        assert told["store"] == "etcd"
        assert told["has_quorum"]
        kept = town.place.state(node) / "manager" / "store.msgpack"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert not (town.place.state(node) / "manager" / "log.db").exists()
    assert not (town.place.state("w1") / "manager").exists()
    town.covey("service", "create", "--name", "web", "--replicas", "2", f"{town.web}:1")
    town.until("2 tasks", lambda: len(town.running("web")) == 2)
    assert town.covey("service", "ls", "-q", node="m1") == town.covey("service", "ls", "-q", node="m2")


def test_the_other_one_leads_once_the_leader_is_dead(town: EtcdTown) -> None:
    before = town.leader()
    other = {"m1": "m2", "m2": "m1"}[before]
    began = time.monotonic()
    nodes.power_loss(town.place, before)
    town.until("the other one to lead", lambda: look.leader(town.place, other) == other)
    town.until("a write", lambda: bool(town.covey("service", "scale", "--detach", "web=3", node=other)))
    print(f"leader dead to next write: {time.monotonic() - began:.1f} s")
    nodes.boot(town.place, before)
    town.until("it to be back", lambda: before in look.ready(town.place, other))
    scaled(town, 3)


def test_a_paused_leader_is_deposed_and_comes_back_as_a_follower(town: EtcdTown) -> None:
    before = town.leader()
    other = {"m1": "m2", "m2": "m1"}[before]
    pids = members.processes_of_module(town.place, before, "manager")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        town.until("the other one to lead", lambda: look.leader(town.place, other) == other)
        town.covey("service", "scale", "--detach", "web=4", node=other)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    town.until("both to agree", lambda: look.leader(town.place, before) == other)
    town.until("4 tasks", lambda: len(town.running("web")) == 4)


def test_a_worker_is_promoted_and_the_leader_demoted(town: EtcdTown) -> None:
    assert "w1 is now a manager" in town.covey("node", "promote", "w1", bound_s=120)
    town.until("three managers", lambda: town.voters() == {"m1", "m2", "w1"})
    town.until("its store", lambda: (town.place.state("w1") / "manager" / "store.msgpack").exists())
    leader = town.leader()
    assert f"{leader} is now a worker" in town.covey("node", "demote", leader, bound_s=120)
    town.until("it to forget", lambda: not (town.place.state(leader) / "manager").exists())
    town.until("another leader", lambda: look.leader(town.place) not in ("", leader))
    assert look.roles(town.place)[leader] is NodeRole.WORKER
    scaled(town, 2)
    town.covey("node", "promote", leader, bound_s=120)
    town.until("it to be back", lambda: leader in town.voters())


def test_without_etcd_nothing_changes_and_with_it_all_goes_on(town: EtcdTown) -> None:
    node = town.leader()
    running = town.processes("web")
    town.kill_etcd()
    assert "etcd" in town.refused("node", "ls", node=node)
    assert "web" in town.covey("service", "ls", "--stale", node=node)
    town.refused("service", "scale", "--detach", "web=5", node=node)
    town.start_etcd()
    town.until("a leader", lambda: bool(led(town)))
    assert town.processes("web") == running
    town.covey("service", "scale", "--detach", "web=3")
    town.until("3 tasks", lambda: len(town.running("web")) == 3)
