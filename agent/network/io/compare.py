"""What the node's namespaces hold against what they should: the plan to put that right is what is amiss."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from agent.audit.look import Look
from covey.io.netns import Process
from covey.model.audit import Finding

from .. import names, sweep
from ..desired import Facts, whole
from ..findings import findings, things
from ..plan import plan
from ..state import NODE
from . import conntrack
from .nftables import readback
from .nftables.messages import FAMILY_NAMES
from .observe import observe, with_settings
from .places import Places

_OURS = "covey_"


@dataclass(frozen=True, slots=True)
class Aside:
    """What the host denies for now: networks, with its reasons, and the namespaces of tasks on them, which are left."""

    networks: Mapping[str, str]
    namespaces: Collection[str]


def compare(places: Places, facts: Facts, aside: Aside, processes: Mapping[str, Process]) -> Look:
    """Read everything back and compare it; raises OSError if the kernel does not let us."""
    try:
        return _compare(places, facts, aside, processes)
    except OSError:
        places.close()  # whatever broke in between must not answer the next question
        raise


def _compare(places: Places, facts: Facts, aside: Aside, processes: Mapping[str, Process]) -> Look:
    found = observe(places)
    want = whole(facts)
    have = {
        name: with_settings(places, name, each, want.get(name))
        for name, each in found.node.items()
        if name not in aside.namespaces
    }
    steps = plan(have, want, found.broken)
    flows = [each for name in want if name in have for each in _flows(places, facts, name)]
    return Look(
        things(want) + len(flows),
        (
            *findings(steps, have),
            *_strange_tables(places),
            *(
                Finding("namespace", name, "is not the one that its container is in")
                for name in places.strayed({id: each for id, each in processes.items() if id in found.node})
            ),
            *(each for each in flows if each is not None),
            *(
                Finding("network", id, f"is set aside, with its tasks: {why}")
                for id, why in aside.networks.items()
            ),
        ),
    )


def _flows(places: Places, facts: Facts, name: str) -> Iterator[Finding | None]:
    """Each connection through the tables of a namespace; those that lead to nobody as findings."""
    look = sweep.of_place(facts, name, facts.networks.keys() | facts.tables.keys())
    channel = places.filtering(name)
    if look is None or not conntrack.count(channel):
        return
    for flow in conntrack.flows(channel):
        if not look.stale(flow):
            yield None
            continue
        words = f"a connection to {flow.destination} leads to {flow.answered_by}, which is gone"
        yield Finding("conntrack", name or "the node", words)


def _strange_tables(places: Places) -> Iterator[Finding]:
    """Tables in the node's own namespace that bear our mark, and that nothing here makes."""
    known = names.TABLES | names.LINK_TABLES | {names.TUNNELS_TABLE}
    for number, name in sorted(readback.standing(places.filtering(NODE))):
        if name.startswith(_OURS) and name.removesuffix("6") not in known:
            way = f"`nft delete table {FAMILY_NAMES.get(number, '')} {name}` removes it"
            yield Finding("rule", "the node", f"table {name} is nothing that this version makes: {way}")
