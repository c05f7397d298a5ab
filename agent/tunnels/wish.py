"""What should stand of a node's tunnels: from its keys, its peers, and who has answered so far. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from covey import limits
from covey.model.address import join_host_port
from covey.model.objects import TunnelKey
from covey.model.tables import PeerRow

from . import names
from .guard import digest
from .keeping import Key
from .state import NOTHING, Device, Guard, Peer, State

Calls = Callable[[str, str, str], bool]


@dataclass(frozen=True, slots=True)
class Own:
    """What is this node's: its id, its tunnel address and all addresses beside it, the underlay's MTU, VXLAN's port."""

    node_id: str
    address: str
    prefix: str
    mtu: int
    vxlan_port: int = limits.vxlan_port


def _always(name: str, key: str, peer_address: str) -> bool:
    return True


def wish(
    own: Own,
    keys: Sequence[Key],
    rows: Mapping[str, PeerRow],
    vnis: Iterable[int],
    have: State,
    calls: Calls = _always,
) -> State:
    """What should stand. `rows` are peers by node, `vnis` those of the encrypted networks here.

    `calls` tells of a peer that has not answered, by device, key and address, whether it is to be called.
    """
    numbers = tuple(sorted(vnis))
    if not numbers:
        return NOTHING
    devices = {
        names.device(own.node_id, key.generation): _device(own, key, rows, have, calls) for key in keys
    }
    peers = [row for node_id, row in sorted(rows.items()) if node_id != own.node_id]
    routes = {row.tunnel_address: name for row in peers if (name := _way(own, row, keys, devices, have))}
    return State(devices, routes, digest(guard(own, numbers)))


def guard(own: Own, vnis: Iterable[int]) -> Guard:
    """The guard of a node with these encrypted networks."""
    return Guard(names.devices(own.node_id), own.prefix, own.vxlan_port, tuple(sorted(vnis)))


def _device(own: Own, key: Key, rows: Mapping[str, PeerRow], have: State, calls: Calls) -> Device:
    name = names.device(own.node_id, key.generation)
    standing = have.devices.get(name)
    answered = standing is not None and standing.public_key == key.public_key
    known = standing.peers if standing is not None and answered else {}
    peers = {}
    for node_id, row in rows.items():
        theirs = _of_generation(row, key.generation)
        if node_id == own.node_id or theirs is None:
            continue
        before = known.get(theirs.public_key)
        # A peer that need not speak is called until it has answered: then the way to it may lead here.
        waits = before is None or not before.answered
        called = waits and calls(name, theirs.public_key, row.tunnel_address)
        peers[theirs.public_key] = Peer(
            join_host_port(row.data_address, theirs.port),
            row.tunnel_address,
            keepalive_s=limits.tunnel_keepalive_s if called else 0,
        )
    size = own.mtu - limits.wireguard_overhead_bytes
    return Device(key.public_key, key.port, size, addresses=frozenset({own.address}), peers=peers)


def _way(own: Own, row: PeerRow, keys: Sequence[Key], devices: Mapping[str, Device], have: State) -> str:
    """The device that leads to a peer: the newest in which it has answered; until then, what leads to it now."""
    common = list[str]()
    for key in reversed(keys):
        theirs = _of_generation(row, key.generation)
        if theirs is None:
            continue
        name = names.device(own.node_id, key.generation)
        standing = have.devices.get(name)
        if standing is not None and standing.public_key == devices[name].public_key:
            peer = standing.peers.get(theirs.public_key)
            if peer is not None and peer.answered:
                return name
        common.append(name)
    now = have.routes.get(row.tunnel_address, "")
    return now if now in common else next(iter(common), "")


def _of_generation(row: PeerRow, generation: int) -> TunnelKey | None:
    return next((key for key in row.keys if key.generation == generation), None)
