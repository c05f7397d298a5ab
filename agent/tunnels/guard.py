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
from typing import Literal

from .state import Guard

ENCODING = 3  # raise when the encoder makes other bytecode of the same rules


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


@dataclass(frozen=True, slots=True)
class Accepted:
    """Packets by this device are decided: they are in a tunnel."""

    device: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Packets of this kind are counted and dropped; what is empty or 0 matches all. `end`: which address is meant."""

    family: Literal[4, 6]
    prefix: str = ""
    end: Literal["source", "destination"] = "destination"
    port: int = 0
    vni: int = 0


Rule = Accepted | Dropped


def incoming(guard: Guard) -> list[Rule]:
    """The rules for what comes to this host, in their order."""
    return [
        *(Accepted(device) for device in guard.devices),
        Dropped(6, prefix=guard.prefix, end="source"),
        Dropped(6, prefix=guard.prefix),
        Dropped(6, port=guard.vxlan_port),
        *(Dropped(4, port=guard.vxlan_port, vni=vni) for vni in guard.vnis),
    ]


def outgoing(guard: Guard) -> list[Rule]:
    """The rules for what leaves this host."""
    return [*(Accepted(device) for device in guard.devices), Dropped(6, prefix=guard.prefix)]


def passing(guard: Guard) -> list[Rule]:
    """The rules for what this host only passes on."""
    return [Dropped(6, prefix=guard.prefix, end="source"), Dropped(6, prefix=guard.prefix)]


def chains(guard: Guard) -> dict[str, list[Rule]]:
    """All rules, by the names of their chains."""
    return {"incoming": incoming(guard), "outgoing": outgoing(guard), PASSING: passing(guard)}


def digest(guard: Guard) -> str:
    """By what the guard is recognised when it is read back."""
    return blake2b(repr((ENCODING, guard)).encode(), digest_size=8).hexdigest()
