"""The guard: the firewall rules by which nothing of an encrypted network travels outside a tunnel, as data. Pure.

These ways are closed, each counted:

* What leaves for a tunnel address, by any link but a tunnel (the route is missing, the device has ended). That is seen
  when a packet is about to leave: until then a firewall's mark may have it routed anew.
* What comes from a tunnel address or to one, by any link but a tunnel: it is forged.
* What this host would only pass on, to a tunnel address or from one: tunnels are nodes' own. Else a task could send to
  another node by the gateway, through the tunnel and under this node's name, whatever it likes of any network.
* VXLAN that did not come through a tunnel, for a network that is encrypted. Such networks' devices have an IPv6 socket
  of their own, which IPv4's packets never reach; the rule counts them. IPv6's are dropped by their port alone: these
  have not been put together yet where they are looked at, and the network's number may be in a later fragment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from agent.network.firewall import (
    Accept,
    Base,
    Chain,
    Count,
    Drop,
    Family,
    FromAddress,
    Hook,
    InLink,
    KeyKind,
    OfFamily,
    OutLink,
    Rule,
    Statement,
    Table,
    TableView,
    ToAddress,
    ToPort,
    VerdictMap,
    VniIn,
)

from . import names
from .state import Guard

_EARLY = -310
_ENCRYPTED = "encrypted"

PASSING = "passing"


@dataclass(frozen=True, slots=True)
class Drops:
    """What the guard has dropped since it was put in place: plaintext, and what it would not pass on for a task."""

    plaintext: int = 0
    passing: int = 0

    def notes(self) -> Iterator[str]:
        """Say it, of what there is."""
        if self.plaintext:
            yield f"{self.plaintext} packets in plaintext for encrypted networks were dropped"
        if self.passing:
            words = "packets that tasks sent to addresses of tunnels, which are nodes' own, were dropped"
            yield f"{self.passing} {words}"

    def since(self, before: "Drops") -> "Drops":
        """What was dropped since then; a guard that was put in place anew began with nothing."""
        return Drops(max(0, self.plaintext - before.plaintext), max(0, self.passing - before.passing))


def table(guard: Guard) -> Table:
    """The guard as a table of the family that sees IPv4 and IPv6."""
    vxlan = ToPort("udp", guard.vxlan_port)
    source = _dropped(Family.IPV6, FromAddress(guard.prefix))
    destination = _dropped(Family.IPV6, ToAddress(guard.prefix))
    ours = _dropped(Family.IPV4, vxlan, VniIn(_ENCRYPTED))
    taken = tuple((InLink(each), Accept()) for each in guard.devices)
    sent = tuple((OutLink(each), Accept()) for each in guard.devices)
    chains = (
        _chain("incoming", Hook.INPUT, *taken, source, destination, _dropped(Family.IPV6, vxlan), ours),
        _chain("outgoing", Hook.POSTROUTING, *sent, destination),
        _chain(PASSING, Hook.FORWARD, source, destination),
    )
    encrypted = VerdictMap(_ENCRYPTED, KeyKind.VNI, {str(vni): "" for vni in guard.vnis}, verdicts=False)
    return Table(names.GUARD_TABLE, chains, (encrypted,), Family.INET)


def digest(guard: Guard) -> str:
    """By what a guard is recognised when it is read back."""
    return digest_of(table(guard).view())


def digest_of(view: TableView) -> str:
    """The digest of a guard that stands."""
    said = sorted(view.chains.items()), sorted((name, sorted(each)) for name, each in view.maps.items())
    return blake2b(repr(said).encode(), digest_size=8).hexdigest()


def _chain(name: str, hook: Hook, *rules: Rule) -> Chain:
    return Chain(name, rules, Base("filter", hook, _EARLY))


def _dropped(family: Family, *which: Statement) -> Rule:
    """Packets of this kind are counted and dropped."""
    return OfFamily(family), *which, Count(), Drop()
