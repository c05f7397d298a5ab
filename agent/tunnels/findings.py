"""What is amiss with tunnels, in words: the steps that would put it right say what it is. Pure."""

from collections.abc import Iterable, Iterator

from covey import limits
from covey.model.audit import Finding

from . import names, plan
from .plan import Step
from .state import State


def findings(steps: Iterable[Step], have: State) -> Iterator[Finding]:
    """One finding for each thing that `steps` would put right; a device that has to be made takes its own with it."""
    made = set[str]()
    for step in steps:
        if not isinstance(step, plan.SetGuard | plan.RemoveGuard) and step.name in made:
            continue
        if isinstance(step, plan.SetPeer) and _has_just_answered(step, have):
            continue
        if isinstance(step, plan.CreateDevice | plan.SetKey):
            made.add(step.name)
        yield _finding(step, have)


def _has_just_answered(step: plan.SetPeer, have: State) -> bool:
    """Tell of a peer whether all there is to do is to call it no more: the next look after the tunnels does that."""
    if step.new or step.endpoint or step.address or step.keepalive_s != 0:
        return False
    device = have.devices.get(step.name)
    peer = device.peers.get(step.public_key) if device is not None else None
    return peer is not None and peer.answered and peer.keepalive_s == limits.tunnel_keepalive_s


def _finding(step: Step, have: State) -> Finding:
    match step:
        case plan.SetGuard():
            words = f"table {names.GUARD_TABLE} " + (
                "has other rules than it should" if have.guard else "is missing"
            )
            return Finding("rule", "the node", words)
        case plan.RemoveGuard():
            return Finding("rule", "the node", f"table {names.GUARD_TABLE} belongs to nothing here")
        case plan.CreateDevice(name):
            return Finding("tunnel", name, "is served by nothing" if name in have.devices else "is missing")
        case plan.RemoveDevice(name):
            return Finding("tunnel", name, "belongs to nothing here")
        case plan.SetKey(name):
            return Finding("key", name, "has another key or port than it should")
        case plan.SetLink(name, mtu):
            return Finding("tunnel", name, f"is down, or of another MTU than {mtu}")
        case plan.AddAddress(name, address):
            return Finding("address", name, f"{address} is missing")
        case plan.RemoveAddress(name, address):
            return Finding("address", name, f"{address} belongs to nothing here")
        case plan.SetPeer(name, key):
            return Finding(
                "peer", name, f"{key} is " + ("missing" if step.new else "set otherwise than it should be")
            )
        case plan.RemovePeer(name, key):
            return Finding("peer", name, f"{key} belongs to nothing here")
        case plan.SetRoute(address, name):
            return Finding("route", name, f"{address} does not lead here")
        case plan.RemoveRoute(address, name):
            return Finding("route", name, f"{address} belongs to nothing here")
