"""From what stands to what should: steps that can be repeated, and interrupted anywhere. Pure.

Their order loses no packet. The guard comes first, a device is whole before a route leads over it, and a device goes
once no route does. Where WireGuard would for a moment not know whose an address is, it is not touched: a peer's
address is set with the peer, and again only if it is another.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from .state import Device, Peer, State


@dataclass(frozen=True, slots=True)
class SetGuard:
    """Put the guard in place, whatever stood of it."""


@dataclass(frozen=True, slots=True)
class RemoveGuard:
    """Take the guard away: there is nothing to encrypt."""


@dataclass(frozen=True, slots=True)
class CreateDevice:
    """Make a device that has no key, no peers, no address, and is down, in place of whatever has its name."""

    name: str


@dataclass(frozen=True, slots=True)
class RemoveDevice:
    """Remove a device, and its process if it has one."""

    name: str


@dataclass(frozen=True, slots=True)
class SetKey:
    """Give a device the key that has this public part, and its port; all its peers go."""

    name: str
    public_key: str
    port: int


@dataclass(frozen=True, slots=True)
class SetLink:
    """Bring a device up, with this MTU."""

    name: str
    mtu: int


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Put a tunnel address on a device."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take an address off a device."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class SetPeer:
    """Make a peer (`new`), or change of it what is given: what is empty or None stays as it is."""

    name: str
    public_key: str
    endpoint: str = ""
    address: str = ""
    keepalive_s: int | None = None
    new: bool = False


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """Remove a peer: nothing is taken from it any more."""

    name: str
    public_key: str


@dataclass(frozen=True, slots=True)
class SetRoute:
    """Have packets to a peer's address go over this device, in place of any other."""

    address: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Have no way to an address."""

    address: str
    name: str


Step = (
    SetGuard
    | RemoveGuard
    | CreateDevice
    | RemoveDevice
    | SetKey
    | SetLink
    | AddAddress
    | RemoveAddress
    | SetPeer
    | RemovePeer
    | SetRoute
    | RemoveRoute
)
Endpoints = Mapping[tuple[str, str], str]


def plan(have: State, want: State, told: Endpoints, again: Collection[tuple[str, str]] = ()) -> list[Step]:
    """The steps from `have` to `want`. `told` are the endpoints that peers on devices were last given by us.

    WireGuard notes from where a peer really speaks, so what it says of endpoints is not compared. The peers (device
    and key) in `again` are removed and added anew: they are called again by that.
    """
    steps: list[Step] = []
    if want.guard and have.guard != want.guard:
        steps.append(SetGuard())
    for name, device in sorted(want.devices.items()):
        steps += _device(name, have.devices.get(name), device, told, again)
    anew = {step.name for step in steps if isinstance(step, CreateDevice)}  # routes go with a device
    routes = {to: name for to, name in have.routes.items() if name not in anew}
    steps += [SetRoute(to, name) for to, name in sorted(want.routes.items()) if routes.get(to) != name]
    steps += [RemoveRoute(to, name) for to, name in sorted(routes.items()) if to not in want.routes]
    for name, device in sorted(want.devices.items()):
        standing = have.devices.get(name)
        if standing is not None and standing.public_key == device.public_key:
            steps += [RemovePeer(name, key) for key in sorted(standing.peers.keys() - device.peers.keys())]
    steps += [RemoveDevice(name) for name in sorted(have.devices.keys() - want.devices.keys())]
    if have.guard and not want.guard:
        steps.append(RemoveGuard())
    return steps


def _device(
    name: str, have: Device | None, want: Device, told: Endpoints, again: Collection[tuple[str, str]]
) -> Iterator[Step]:
    if have is None or not have.served:
        yield CreateDevice(name)
        have = Device("", 0, 0, up=False)
    known: Mapping[str, Peer] = have.peers
    if (have.public_key, have.port) != (want.public_key, want.port):
        yield SetKey(name, want.public_key, want.port)
        known = {}
    for key, peer in sorted(want.peers.items()):
        before = known.get(key)
        if before is not None and (name, key) in again:
            yield RemovePeer(name, key)
            before = None
        if before is None:
            yield SetPeer(name, key, peer.endpoint, peer.address, peer.keepalive_s, new=True)
        else:
            changed = SetPeer(
                name,
                key,
                peer.endpoint if told.get((name, key)) != peer.endpoint else "",
                peer.address if before.address != peer.address else "",
                peer.keepalive_s if before.keepalive_s != peer.keepalive_s else None,
            )
            if changed != SetPeer(name, key):
                yield changed
    if not have.up or have.mtu != want.mtu:
        yield SetLink(name, want.mtu)
    yield from (AddAddress(name, each) for each in sorted(want.addresses - have.addresses))
    yield from (RemoveAddress(name, each) for each in sorted(have.addresses - want.addresses))


def carried_out(have: State, steps: list[Step], want: State) -> State:
    """What stands after `steps`, if each does what it says: for tests, and for fakes."""
    devices, routes, guarded = dict(have.devices), dict(have.routes), have.guard
    for step in steps:
        match step:
            case SetGuard():
                guarded = want.guard
            case RemoveGuard():
                guarded = ""
            case CreateDevice(name):
                devices[name] = Device("", 0, 0, up=False)
                routes = {to: over for to, over in routes.items() if over != name}
            case RemoveDevice(name):
                devices.pop(name, None)
                routes = {to: over for to, over in routes.items() if over != name}
            case SetRoute(to, name):
                routes[to] = name
            case RemoveRoute(to):
                routes.pop(to, None)
            case _:
                devices[step.name] = _changed(devices[step.name], step)
    return State(devices, routes, guarded)


def _changed(
    device: Device, step: SetKey | SetLink | AddAddress | RemoveAddress | SetPeer | RemovePeer
) -> Device:
    match step:
        case SetKey(_, public_key, port):
            return replace(device, public_key=public_key, port=port, peers={})
        case SetLink(_, mtu):
            return replace(device, mtu=mtu, up=True)
        case AddAddress(_, address):
            return replace(device, addresses=device.addresses | {address})
        case RemoveAddress(_, address):
            return replace(device, addresses=device.addresses - {address})
        case RemovePeer(_, key):
            return replace(device, peers={k: peer for k, peer in device.peers.items() if k != key})
        case SetPeer(_, key, endpoint, address, keepalive_s):
            # an address is one peer's: whoever had it before has it no more
            others = {
                k: replace(peer, address="") if address and peer.address == address else peer
                for k, peer in device.peers.items()
            }
            peer = others.get(key, Peer("", ""))
            if endpoint:
                peer = replace(peer, endpoint=endpoint)
            if address:
                peer = replace(peer, address=address)
            if keepalive_s is not None:
                peer = replace(peer, keepalive_s=keepalive_s)
            return replace(device, peers={**others, key: peer})
