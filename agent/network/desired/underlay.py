"""Who may send VXLAN packets to this node: only the nodes that the tables name. Pure.

VXLAN itself takes whatever comes to its UDP port, from anybody. So what bears the VNI of a network here and
comes from an address that is no node's is dropped before the device sees it, and counted. Packets of other
VNIs are somebody else's affair: another program may have VXLAN devices on the same port.

A task can put any address on its packets (CAP_NET_RAW, which containers have by default), so what comes by the bridges
that tasks are on is dropped whoever it says it is from: no node is there.

It is decided where packets have come for this host (not before: there they may still be in fragments, whose
later ones say neither port nor VNI).

Nor is VXLAN tracked: every connection inside has a UDP port of its own outside, and would take another place in
the host's table of connections on each way, which knows nothing of it that anybody asks for.
"""

from collections.abc import Iterable

from .. import names
from ..firewall import (
    Base,
    Chain,
    Count,
    Drop,
    Hook,
    InLink,
    Jump,
    KeyKind,
    NoteSender,
    Rule,
    SenderIn,
    Table,
    ToPort,
    Untrack,
    VerdictMap,
    VniIn,
)
from .facts import Facts, ingress, overlays

NODES, VNIS, STRANGERS, STRANGE = "nodes", "vnis", "strangers", "strange"
_EARLY = -300


def table(facts: Facts) -> Table | None:
    """The table that keeps strangers out; None while there is no VXLAN device here."""
    vnis = _vnis(facts)
    if not vnis:
        return None
    ours = ToPort("udp", facts.host.vxlan_port), VniIn(VNIS)
    bridges = names.GATEWAY_BRIDGE, names.INGRESS_BRIDGE
    apart = [InLink(bridge, negated=True) for bridge in bridges]
    by_nodes: Rule = (*apart, *ours, SenderIn(NODES), Untrack())
    made_here = [(InLink(bridge), *ours, Count(), Drop()) for bridge in bridges]
    strange = *ours, SenderIn(NODES, negated=True), Jump(STRANGE)
    # Who it was is noted on the side: the set may be full, and the packet is dropped all the same.
    dropped = ((NoteSender(STRANGERS),), (Count(), Drop()))
    nodes = (each for each in facts.others() if ":" not in each)
    return Table(
        names.UNDERLAY_TABLE,
        (
            Chain("arriving", (by_nodes,), Base("filter", Hook.PREROUTING, _EARLY)),
            Chain("leaving", ((*ours, Untrack()),), Base("filter", Hook.OUTPUT, _EARLY)),
            Chain("input", (*made_here, strange), Base("filter", Hook.INPUT, _EARLY)),
            Chain(STRANGE, dropped),
        ),
        (
            VerdictMap(NODES, KeyKind.ADDRESS, _set(sorted(nodes)), verdicts=False),
            VerdictMap(VNIS, KeyKind.VNI, _set(str(vni) for vni in sorted(vnis)), verdicts=False),
        ),
        noted=(STRANGERS,),
    )


def _vnis(facts: Facts) -> set[int]:
    """The VNIs of the networks that have a VXLAN device here."""
    here = [each.network for box in facts.sandboxes.values() for each in overlays(box)]
    here += [each.network for box in facts.sandboxes.values() if (each := ingress(box)) is not None]
    here += [each for each in facts.networks.values() if each.spec.ingress]
    return {facts.newest(each).vni for each in here} - {0}


def _set(keys: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(keys, "")
