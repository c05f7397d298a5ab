"""Seats: the nodes that have room for a group of tasks, in the order in which they are filled."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .filters import FILTERS, UNLIMITED, Filter
from .fleet import Host
from .group import Group
from .pour import Vessel
from .preferences import Tiers
from .spread import Seat, distribute

RuledOut = dict[Filter, list[Host]]
_NOBODY: Mapping[str, int] = MappingProxyType({})


def asked(group: Group) -> list[Filter]:
    """The filters that have something to say about a group."""
    return [filter for make in FILTERS if (filter := make()).set(group)]


def seats_of(
    group: Group, hosts: Sequence[Host], leaving: Mapping[str, int] = _NOBODY
) -> tuple[list[Seat], RuledOut]:
    """Ask the filters about every node: those with room, and the others by what rules them out.

    `leaving` tasks, by node, are about to be replaced by those to be placed: they take up room, but do
    not count when it comes to spreading, or each rollout would leave the service less even.
    """
    filters = asked(group)
    ruled_out: RuledOut = {filter: [] for filter in filters}
    seats: list[Seat] = []
    service_id = group.service.id
    for host in hosts:
        room = UNLIMITED
        for filter in filters:
            here = filter.room(host)
            if here <= 0:
                ruled_out[filter].append(host)
                break
            room = min(room, here)
        else:
            less = leaving.get(host.node.id, 0)
            seats.append((host, Vessel(host.count(service_id) - less, host.active - less, room)))
    return seats, {filter: hosts for filter, hosts in ruled_out.items() if hosts}


def turns(seats: Sequence[Seat], group: Group, amount: int) -> list[Host]:
    """The nodes in the order in which they get their tasks: tier by tier, in each the emptiest first."""
    tiers = Tiers(group)
    by_tier: dict[tuple[int, ...], list[Seat]] = {}
    for seat in seats:
        by_tier.setdefault(tiers.of(seat[0]), []).append(seat)
    order: list[Host] = []
    for tier in sorted(by_tier):
        order += _turns(by_tier[tier], group, amount - len(order))
    return order


def _turns(seats: Sequence[Seat], group: Group, amount: int) -> list[Host]:
    if not seats or amount <= 0:
        return []
    shares = distribute(seats, group.placement.preferences, amount)
    order = [
        (vessel.tasks + nth, vessel.total + nth, place)
        for place, ((_, vessel), share) in enumerate(zip(seats, shares, strict=True))
        for nth in range(share)
    ]
    order.sort()
    return [seats[place][0] for _, _, place in order]
