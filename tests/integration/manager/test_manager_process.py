"""The manager as a process: its first start, its later ones, and what it says when it cannot start."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom

import msgspec
import pytest

from covey.client.cluster import connect
from covey.client.host import Host
from covey.errors import CoveyError
from covey.identity import new_key
from covey.identity import store as identity_store
from covey.model import bootstrap
from covey.model.node_config import NodeConfig
from covey.model.objects import Cluster
from covey.model.specs import ClusterSpec, ContainerSpec, ServiceSpec, TaskSpec
from covey.model.states import Availability, NodeRole
from node import founding

pytestmark = pytest.mark.root

BOUND_S = 30.0
ROOT = Path(__file__).parents[3]
# A network of its own, so that the ports a manager needs are free.
_OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


class Manager:
    """One manager's state, and its process."""

    def __init__(self, home: Path, listen: str) -> None:
        self.home, self.run = home, home / "run"
        self.run.mkdir(mode=0o700)
        made = founding.found_cluster(
            ClusterSpec(), new_key(), "m1", Availability.ACTIVE, SystemRandom(), time.time_ns()
        )
        self.first = bootstrap.encode(made.bootstrap)
        self.cluster_id = made.bootstrap.cluster.id
        self.config = NodeConfig(
            state_dir=str(home / "state"),
            run_dir=str(self.run),
            node_id=made.identity.identity.node_id,
            cluster_id=self.cluster_id,
            role=NodeRole.MANAGER,
            listen_address=listen,
            advertise_address="2001:db8::1",
        )
        identity_store.save(self.config.identity_dir, made.identity)
        (home / "node.json").write_bytes(msgspec.json.encode(self.config))
        self.bootstrap = bootstrap.path_in(self.config.state)
        self.write_first_content()
        self.process: subprocess.Popen[bytes] | None = None

    def write_first_content(self) -> None:
        self.bootstrap.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.bootstrap.write_bytes(self.first)

    def start(self) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-m", "manager", "--config", str(self.home / "node.json")]
        with (self.home / "log").open("wb") as log:
            self.process = subprocess.Popen([*_OWN_NETWORK, *program], cwd=ROOT, stderr=log)
        return self.process

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(BOUND_S)

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def cluster(self) -> Cluster:
        """Ask until it answers."""
        deadline = time.monotonic() + BOUND_S
        while True:
            try:
                return asyncio.run(self._cluster())
            except CoveyError:
                assert time.monotonic() < deadline, self.log
                time.sleep(0.1)

    async def _cluster(self) -> Cluster:
        async with connect(Host(self.run / "covey.sock")) as manager:
            return await manager.cluster()

    def create(self, name: str) -> None:
        async def work() -> None:
            async with connect(Host(self.run / "covey.sock")) as manager:
                spec = ServiceSpec(name=name, task=TaskSpec(ContainerSpec(image="img")))
                await manager.create_service(spec, resolve_image=False)

        asyncio.run(work())

    def services(self) -> list[str]:
        async def work() -> list[str]:
            async with connect(Host(self.run / "covey.sock")) as manager:
                return [item.service.name for item in await manager.services()]

        return asyncio.run(work())


@pytest.fixture(params=["0.0.0.0", "::1"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    home = Path(tempfile.mkdtemp(prefix=f"cvt{os.getpid()}-"))
    made = Manager(home, request.param)
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(home)


def test_what_was_acknowledged_is_there_after_a_kill(manager: Manager) -> None:
    manager.start()
    shown = manager.cluster()
    assert (shown.id, shown.root_ca.key_pem, shown.join_secrets.worker) == (manager.cluster_id, "", "")
    host = manager.config.listen_address
    control = f"[{host}]:2377" if ":" in host else f"{host}:2377"
    assert f"serving on {control}, " in manager.log
    assert not manager.bootstrap.exists()
    manager.create("web")
    manager.kill()
    manager.write_first_content()  # as if it had been killed before it removed the file
    process = manager.start()
    assert manager.cluster().id == manager.cluster_id
    assert manager.services() == ["web"]
    assert not manager.bootstrap.exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(BOUND_S) == 0, manager.log


def test_a_manager_that_lost_its_state_says_so(manager: Manager) -> None:
    manager.bootstrap.unlink()
    assert manager.start().wait(BOUND_S) == 1
    assert f"knows nothing of cluster {manager.cluster_id}, and this node knows no other" in manager.log
    assert "Traceback" not in manager.log


def test_a_damaged_beginning_is_named(manager: Manager) -> None:
    manager.bootstrap.write_bytes(manager.first[:100])
    assert manager.start().wait(BOUND_S) == 1
    assert f"{manager.bootstrap}: not the first content of a cluster" in manager.log
    assert "Traceback" not in manager.log
