"""A node's tunnels as a whole: reading what stands, and carrying steps out one after another."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

from agent.network.io.claims import holder

from .. import names, plan
from ..guard import Drops
from ..plan import Step
from ..state import Device, Guard, State
from . import guarding, links
from .kernel import Kernel
from .userspace import Userspace
from .wireguard import TunnelFault, WireGuard


def read(wanted: Sequence[str], make: WireGuard | None) -> tuple[State, Drops]:
    """Read what stands of the devices `wanted` and of the guard; and what that has dropped."""
    devices, routes = dict[str, Device](), dict[str, str]()
    for name, found in links.read(wanted).items():
        tuned = make.read(name) if make is not None else None
        if tuned is None:
            devices[name] = Device("", 0, found.mtu, found.up, served=False)
        else:
            devices[name] = Device(
                tuned.public_key, tuned.port, found.mtu, found.up, frozenset(found.addresses), tuned.peers
            )
        routes.update(dict.fromkeys(found.routes, name))
    standing, dropped = guarding.read()
    return State(devices, routes, standing), dropped


def carry_out(make: WireGuard, steps: Iterable[Step], keys: Mapping[str, bytes], guard: Guard) -> None:
    """Carry out steps in their order. `keys` are private keys by public key. Raises `TunnelFault`, OSError."""
    peering = plan.SetPeer, plan.RemovePeer
    for (name, together), group in groupby(
        steps, key=lambda each: (_device_of(each), isinstance(each, peering))
    ):
        if together:
            make.set_peers(name, [each for each in group if isinstance(each, peering)])
            continue
        for step in group:
            _one(make, step, keys, guard)


def clear(own: Iterable[str]) -> None:
    """Remove everything that may stand of a node's tunnels, of whatever make."""
    for name in own:
        Userspace().remove(name)
        links.remove(name)
    guarding.remove()


def clear_others(own: Collection[str]) -> list[str]:
    """Remove the devices here that are another node's, and name them: they hold the ports.

    In this namespace they can only be this host's own, from when it was another node: its state was lost since then.
    """
    others = [name for name in links.names() if names.is_device(name) and name not in own]
    for name in others:
        Userspace().remove(name)
        links.remove(name)
    return others


def _device_of(step: Step) -> str:
    return "" if isinstance(step, plan.SetGuard | plan.RemoveGuard) else step.name


def _one(make: WireGuard, step: Step, keys: Mapping[str, bytes], guard: Guard) -> None:
    match step:
        case plan.SetGuard():
            guarding.put(guard)
        case plan.RemoveGuard():
            guarding.remove()
        case plan.CreateDevice(name):
            _remove(make, name)
            make.create(name)
        case plan.RemoveDevice(name):
            _remove(make, name)
        case plan.SetKey(name, public_key, port):
            _set_key(make, name, keys[public_key], port)
        case plan.SetLink(name, mtu):
            links.bring_up(name, mtu)
        case plan.AddAddress(name, address):
            links.set_address(name, address, present=True)
        case plan.RemoveAddress(name, address):
            links.set_address(name, address, present=False)
        case plan.SetRoute(address, name):
            links.set_route(name, address, present=True)
        case plan.RemoveRoute(address, name):
            links.set_route(name, address, present=False)
        case plan.SetPeer() | plan.RemovePeer():
            raise AssertionError(f"{step} goes with others")


def _remove(make: WireGuard, name: str) -> None:
    """Remove a device by all means: one of another make may have its name, since an upgrade of the kernel, say."""
    if make.kind != Userspace.kind:
        Userspace().remove(name)
    make.remove(name)
    links.remove(name)


def _set_key(make: WireGuard, name: str, private_key: bytes, port: int) -> None:
    try:
        make.set_key(name, private_key, port)
    except (TunnelFault, OSError) as error:
        program = holder("udp", port)
        if not program:
            raise TunnelFault(f"{name} cannot have its key and UDP port {port}: {error}") from error
        raise TunnelFault(
            f"UDP port {port} is taken by {program}, so no tunnel can be opened; stop that program: {error}"
        ) from error


MAKES: tuple[type[Kernel] | type[Userspace], ...] = (Kernel, Userspace)
"""In the order in which they are tried: the kernel's is many times as quick."""
