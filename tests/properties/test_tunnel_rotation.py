"""Tunnels of several nodes in memory: whatever the order in which they hear and look, keys change without loss.

Each node is the real decisions (`keeping`, `wish`, `plan`) over a device that does what WireGuard does. A packet gets
through if the sender's route leads over a device that has the receiver's key, the receiver has the sender's in the device
of the same generation, and the address is the sender's there.
"""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tunnels import names
from agent.tunnels.keeping import Keeping, Key
from agent.tunnels.plan import carried_out, plan
from agent.tunnels.state import NOTHING, State
from agent.tunnels.wish import Own, wish
from covey import limits
from covey.model.objects import TunnelKey
from covey.model.tables import PeerRow


@dataclass
class SimNode:
    """One node: what it holds, what it has heard last, what stands."""

    id: str
    keeping: Keeping
    rows: dict[str, PeerRow] = field(default_factory=dict[str, PeerRow])
    stands: State = NOTHING
    said: tuple[TunnelKey, ...] = ()
    serial: int = 0

    @property
    def address(self) -> str:
        return f"fd00::{self.id}"

    def look(self, now_ms: int) -> None:
        """What the driver does in one turn."""
        if (lacking := self.keeping.lacks(self.rows.values())) is not None:
            self.serial += 1
            self.keeping.add(Key(lacking, b"", f"{self.id}/{lacking}/{self.serial}"))
        if self.rows:
            self.keeping.retire(self.rows, self.stands, now_ms)
        own = Own(self.id, self.address, "fd00::/48", 1500)
        want = wish(own, self.keeping.keys, self.rows, (5,) if self.rows else (), self.stands)
        steps = plan(self.stands, want, {})
        done = carried_out(self.stands, steps, want)
        assert carried_out(done, plan(done, want, {}), want) == done, "nothing is left to do"
        self.stands = done
        self.said = tuple(key.said() for key in self.keeping.keys)


class SimCluster:
    """Nodes, and the manager's table of them."""

    def __init__(self, count: int) -> None:
        self.nodes = {
            f"{number}": SimNode(f"{number}", Keeping(f"{number}")) for number in range(1, count + 1)
        }
        self.generation = 0
        self.now_ms = 0

    def hear(self, node: SimNode) -> None:
        """The node gets the table of now."""
        node.rows = {
            each.id: PeerRow(each.id, f"192.0.2.{each.id}", each.address, each.said, self.generation)
            for each in self.nodes.values()
        }

    def shake(self, one: SimNode, other: SimNode) -> None:
        """Let two nodes shake hands in every mesh in which they know each other."""
        for key in one.keeping.keys:
            theirs = next((each for each in other.keeping.keys if each.generation == key.generation), None)
            if theirs is None or not (self.knows(one, key, theirs) and self.knows(other, theirs, key)):
                continue
            for node, own, peer in ((one, key, theirs), (other, theirs, key)):
                self.change(node, own, peer, answered=True)

    def knows(self, node: SimNode, own: Key, peer: Key) -> bool:
        device = node.stands.devices.get(names.device(node.id, own.generation))
        return device is not None and device.public_key == own.public_key and peer.public_key in device.peers

    def change(
        self, node: SimNode, own: Key, peer: Key, *, answered: bool = False, received: int = 0
    ) -> None:
        name = names.device(node.id, own.generation)
        device = node.stands.devices[name]
        was = device.peers[peer.public_key]
        now = replace(was, answered=was.answered or answered, received_bytes=was.received_bytes + received)
        devices = {**node.stands.devices, name: replace(device, peers={**device.peers, peer.public_key: now})}
        node.stands = replace(node.stands, devices=devices)

    def send(self, one: SimNode, other: SimNode) -> bool:
        """Send a packet; tell whether it gets there. A first packet has the two shake hands."""
        name = one.stands.routes.get(other.address)
        for key in one.keeping.keys:
            if names.device(one.id, key.generation) != name:
                continue
            theirs = next((each for each in other.keeping.keys if each.generation == key.generation), None)
            if theirs is None or not (self.knows(one, key, theirs) and self.knows(other, theirs, key)):
                return False
            device = other.stands.devices[names.device(other.id, theirs.generation)]
            if device.peers[key.public_key].address != one.address:
                return False
            self.shake(one, other)
            self.change(other, theirs, key, received=100)
            return True
        return False

    def settle(self) -> None:
        """Let everybody hear and look until nothing changes any more."""
        for _ in range(8):
            for node in self.nodes.values():
                self.hear(node)
                node.look(self.now_ms)
            for one in self.nodes.values():
                for other in self.nodes.values():
                    if one is not other:
                        self.shake(one, other)

    def all_reach(self) -> bool:
        pairs = [
            (one, other) for one in self.nodes.values() for other in self.nodes.values() if one is not other
        ]
        return all(self.send(one, other) for one, other in pairs)


MOVES = st.lists(
    st.tuples(st.sampled_from(("hear", "look", "shake", "both")), st.integers(0, 3), st.integers(0, 3)),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), MOVES)
def test_no_packet_is_lost_while_keys_change(count: int, moves: list[tuple[str, int, int]]) -> None:
    cluster = SimCluster(count)
    cluster.settle()
    assert cluster.all_reach()
    cluster.generation += 1
    nodes = list(cluster.nodes.values())
    for what, one, other in moves:
        node, peer = nodes[one % count], nodes[other % count]
        if what in ("hear", "both"):
            cluster.hear(node)
        if what in ("look", "both"):
            node.look(cluster.now_ms)
        if what == "shake" and node is not peer:
            cluster.shake(node, peer)
        cluster.now_ms += 1000
        assert cluster.all_reach(), (what, node.id, peer.id)
    cluster.settle()
    assert cluster.all_reach()
    for _ in range(3):
        cluster.now_ms += int(limits.tunnel_overlap_s * 1000)
        for node in nodes:
            node.look(cluster.now_ms)
        assert cluster.all_reach()
    for node in nodes:
        assert [key.generation for key in node.keeping.keys] == [1], "the old keys are gone"
        assert len(node.stands.devices) == 1


@given(st.integers(1, 5), st.integers(0, 2))
def test_who_was_away_for_some_rotations_comes_back(rotations: int, away: int) -> None:
    cluster = SimCluster(3)
    cluster.settle()
    nodes = list(cluster.nodes.values())
    others = [node for number, node in enumerate(nodes) if number != away]
    for _ in range(rotations):
        cluster.generation += 1
        for _ in range(8):
            for node in others:
                cluster.hear(node)
                node.look(cluster.now_ms)
            assert cluster.send(others[0], others[1])
            assert cluster.send(others[1], others[0])
            cluster.now_ms += int(limits.tunnel_overlap_s * 1000)
    cluster.settle()
    assert cluster.all_reach()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), max_size=12))
def test_a_plan_that_is_interrupted_is_taken_up(cuts: list[tuple[int, int]]) -> None:
    """Steps are carried out up to anywhere; the next look goes on from what stands."""
    cluster = SimCluster(3)
    cluster.settle()
    nodes = list(cluster.nodes.values())
    cluster.generation += 1
    for number, most in cuts:
        node = nodes[number]
        cluster.hear(node)
        if (lacking := node.keeping.lacks(node.rows.values())) is not None:
            node.serial += 1
            node.keeping.add(Key(lacking, b"", f"{node.id}/{lacking}/{node.serial}"))
        own = Own(node.id, node.address, "fd00::/48", 1500)
        want = wish(own, node.keeping.keys, node.rows, (5,), node.stands)
        node.stands = carried_out(node.stands, plan(node.stands, want, {})[:most], want)
        node.said = tuple(key.said() for key in node.keeping.keys)
    cluster.settle()
    assert cluster.all_reach()
