"""What becomes of tunnels where the host denies a step: it is said, nothing is taken for done, it is tried again."""

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agent.network.fake import FakeNetworks
from agent.tunnels import names
from agent.tunnels.driver import NodeTunnels, Settings
from agent.tunnels.io import keys
from agent.tunnels.io.networks import TunnelledNetworks
from agent.tunnels.io.userspace import Userspace
from agent.tunnels.io.wireguard import TunnelFault, Unguarded
from agent.tunnels.seam import Encrypted
from covey import limits
from covey.io import netns
from covey.model.objects import ClusterVersion, Network, TunnelKey
from covey.model.specs import NetworkSpec
from covey.model.tables import NetworkTable, PeerRow
from tests.integration.tunnels.test_tunnels_bed import served_by
from tests.support.leftovers import prefix
from tests.support.network_bed import run_in

pytestmark = pytest.mark.root

_FOREVER_S = 3600.0
_OFTEN_S = 0.05
_BOUND_S = 15.0


class Denying(Userspace):
    """wireguard-go on a host that denies what it is told to."""

    denies = ""

    def create(self, name: str) -> None:
        self._ask("create", name)
        super().create(name)

    def remove(self, name: str) -> None:
        self._ask("remove", name)
        super().remove(name)

    def _ask(self, what: str, name: str) -> None:
        if what == self.denies:
            raise TunnelFault(f"this host denies to {what} {name}")


class Place:
    """A host with nothing but its loopback, which does for an underlay."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "host"
        self.keys = directory / "state" / "tunnels.json"
        self.node_id = f"{prefix()}{directory.name}"
        self.device = names.device(self.node_id, 0)
        self.make = Denying()
        self.back_ms = 0  # by how much its clock is set back

    def play(self, story: Callable[[NodeTunnels], Awaitable[None]], period_s: float = _FOREVER_S) -> None:
        """Have an agent's tunnels there as long as the story lasts."""

        async def main() -> None:
            tunnels = NodeTunnels(
                Settings("c", self.node_id, "127.0.0.1", self.keys, period_s=period_s),
                self.make,
                day_ms=lambda: time.time_ns() // 1_000_000 - self.back_ms,
            )
            try:
                async with asyncio.timeout(2 * _BOUND_S):
                    await story(tunnels)
            finally:
                await tunnels.close()

        netns.call_inside(self.path, lambda: asyncio.run(main()))

    def run(self, *command: str) -> str:
        return run_in(self.path, *command)

    def links(self) -> list[str]:
        return [each["ifname"] for each in json.loads(self.run("ip", "-j", "link"))]

    def guarded(self) -> bool:
        return "covey_tunnels" in self.run("nft", "list", "tables")

    def row(self, generation: int = 0, *said: TunnelKey) -> PeerRow:
        """What managers tell of this node itself."""
        return PeerRow(self.node_id, "127.0.0.1", "", said, generation)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    netns.create(place.path)
    place.run("ip", "link", "set", "lo", "up")
    try:
        yield place
    finally:
        for name in names.devices(place.node_id):
            pid = served_by(name)
            Userspace().remove(name)
            if pid:
                os.waitpid(pid, 0)  # this process was its agent
        netns.delete(place.path)


async def becomes(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_BOUND_S):
        while not condition():
            await asyncio.sleep(0.02)


def test_what_was_denied_is_not_taken_for_done(place: Place) -> None:
    network = Encrypted("n", 7, ClusterVersion(1, 1), (place.row(),))

    async def story(tunnels: NodeTunnels) -> None:
        place.make.denies = "create"
        for _ in range(2):
            with pytest.raises(TunnelFault, match="denies to create"):
                await tunnels.use(network)
        assert "denies to create" in tunnels.remarks()[0]
        place.make.denies = ""
        await tunnels.use(network)
        assert place.device in place.links()
        assert tunnels.remarks() == ()

    place.play(story)


def test_who_leaves_is_seen_off_though_it_was_denied_at_first(place: Place) -> None:
    network = Encrypted("n", 7, ClusterVersion(1, 1), (place.row(),))

    async def story(tunnels: NodeTunnels) -> None:
        await tunnels.use(network)
        place.make.denies = "remove"
        with suppress(TunnelFault):  # or it was tried again by then
            await tunnels.drop("n")
        await becomes(lambda: not place.guarded())
        assert place.device not in place.links()
        assert not served_by(place.device)
        assert tunnels.remarks() == ()

    place.play(story, _OFTEN_S)


def test_an_agent_that_begins_on_a_host_in_trouble_mends_it_and_has_its_keys(place: Place) -> None:
    """Peers that hear of no keys would cut off what stands and works."""
    kept = keys.make(0)
    keys.save(place.keys, (kept,))
    network = Encrypted("n", 7, ClusterVersion(1, 1), (place.row(),))

    async def story(tunnels: NodeTunnels) -> None:
        place.run("ip", "link", "set", "lo", "mtu", "1300")
        with pytest.raises(TunnelFault, match="takes 1300 bytes at most"):
            await tunnels.reconcile([network])
        assert place.guarded(), "nothing comes in meanwhile"
        assert await tunnels.keys() == (kept.said(),)
        place.run("ip", "link", "set", "lo", "mtu", "1500")
        await becomes(lambda: place.device in place.links())

    place.play(story, _OFTEN_S)


def test_without_a_guard_nothing_is_begun(place: Place) -> None:
    network = Encrypted("n", 7, ClusterVersion(1, 1), (place.row(),))
    owner = subprocess.Popen(  # another program has a table of this name, and nobody else may change it
        ("nsenter", f"--net={place.path}", "nft", "-i"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert owner.stdin is not None

    async def story(tunnels: NodeTunnels) -> None:
        await becomes(place.guarded)
        for _ in range(2):
            with pytest.raises(Unguarded, match="keep plaintext out"):
                await tunnels.reconcile([network])
        assert place.device not in place.links()

    try:
        owner.stdin.write(b"add table inet covey_tunnels { flags owner; }\n")
        owner.stdin.flush()
        place.play(story)
    finally:
        owner.kill()
        owner.communicate()


def test_a_key_that_the_disk_denies_is_told_to_nobody(place: Place) -> None:
    network = Encrypted("n", 7, ClusterVersion(1, 1), (place.row(),))

    async def story(tunnels: NodeTunnels) -> None:
        await tunnels.use(network)
        (first,) = await tunnels.keys()
        place.keys.unlink()
        place.keys.mkdir()
        newer = replace_table(network, place.row(1))
        with pytest.raises(TunnelFault, match="keys of this node's tunnels cannot be changed"):
            await tunnels.use(newer)
        assert await tunnels.keys() == (first,)
        place.run("ip", "link", "del", place.device)
        await becomes(lambda: place.device in place.links())
        assert served_by(place.device), "what stands is looked after all the same"
        assert await tunnels.keys() == (first,)
        place.keys.rmdir()
        (_, second) = await tunnels.keys((first,))
        assert second.generation == 1
        assert [each.generation for each in keys.load(place.keys)] == [0, 1]

    place.play(story, _OFTEN_S)


def replace_table(network: Encrypted, *peers: PeerRow) -> Encrypted:
    version = ClusterVersion(network.version.epoch, network.version.index + 1)
    return replace(network, version=version, peers=peers)


def test_keys_are_told_though_nobody_waited_for_their_making(place: Place) -> None:
    """A task that is started may be given up at any moment."""
    network = Encrypted("n", 7, ClusterVersion(1, 1), (place.row(),))

    async def story(tunnels: NodeTunnels) -> None:
        hearing = asyncio.create_task(tunnels.keys(()))
        place.keys.parent.mkdir()
        os.mkfifo(place.keys)  # reading takes as long as we like
        starting = asyncio.create_task(tunnels.use(network))
        await asyncio.sleep(0.2)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        place.keys.write_bytes(b"")
        assert [each.generation for each in await asyncio.wait_for(hearing, _BOUND_S)] == [0]

    place.play(story, _OFTEN_S)


def test_a_taken_port_is_named_and_other_networks_go_on(place: Place) -> None:
    plain, secret = (
        Network(id="p", vni=8),
        Network(id="s", spec=NetworkSpec(options={"encrypted": ""}), vni=7),
    )

    def table(network: Network) -> NetworkTable:
        return NetworkTable(network.id, ClusterVersion(1, 1), peers=(place.row(),))

    async def story(tunnels: NodeTunnels) -> None:
        below = FakeNetworks()
        networks = TunnelledNetworks(below, tunnels)
        with netns.socket_inside(None, socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("", limits.tunnel_port))
            await networks.learn(secret)
            with pytest.raises(
                TunnelFault, match=rf"UDP port {limits.tunnel_port} is taken by python.*\(pid"
            ):
                await networks.apply(table(secret))
            await networks.learn(plain)
            await networks.apply(table(plain))
            assert below.tables.keys() == {"p"}
            await networks.forget("p")
            assert "is taken by python" in networks.remarks()[0]
        await becomes(lambda: networks.remarks() == ())
        await networks.apply(table(secret))
        assert below.tables.keys() == {"s"}

    place.play(story, _OFTEN_S)


HOURS_MS = 3 * 3_600_000


@pytest.mark.parametrize("running", [True, False])
def test_a_node_whose_clock_is_set_back_has_other_keys(place: Place, running: bool) -> None:
    """With the old ones nobody would shake hands with it until its clock is there again."""
    network = Encrypted("n", 7, ClusterVersion(1, 1), (place.row(3),))
    before: list[TunnelKey] = []

    async def begins(tunnels: NodeTunnels) -> None:
        await tunnels.reconcile([network])
        before.extend(await tunnels.keys(()))
        if running:
            place.back_ms = HOURS_MS
            await renewed(tunnels)

    async def renewed(tunnels: NodeTunnels) -> None:
        (key,) = await tunnels.keys(tuple(before))
        assert (key.generation, key.port) == (3, before[0].port)
        assert [each.public_key for each in keys.load(place.keys)] == [key.public_key]
        await becomes(lambda: tuned_by(place) == key.public_key)
        await asyncio.sleep(4 * _OFTEN_S)
        assert await tunnels.keys() == (key,), "once is enough"

    async def begins_again(tunnels: NodeTunnels) -> None:
        await tunnels.reconcile([network])
        await renewed(tunnels)

    place.play(begins, _OFTEN_S)
    if not running:
        place.back_ms = HOURS_MS
        place.play(begins_again, _OFTEN_S)


def tuned_by(place: Place) -> str:
    tuned = Userspace().read(names.device(place.node_id, 1))
    return tuned.public_key if tuned is not None else ""
