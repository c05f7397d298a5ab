"""Does what a service says of its places make sense, by itself and together?"""

import re
from ipaddress import ip_network

from covey.model import constraint
from covey.model.constraint import Constraint
from covey.model.specs import Placement
from covey.model.states import ServiceModeKind

from .refusal import check_not_negative, check_unique, is_word, refuse

_SPREAD = re.compile(r"(?:node|engine)\.labels\.[^\s=]+", re.IGNORECASE)


def check_placement(placement: Placement, kind: ServiceModeKind) -> None:
    """Check constraints, preferences, platforms and how many tasks a node may have."""
    _check_constraints(constraint.parse_all(placement.constraints))
    for preference in placement.preferences:
        if not _SPREAD.fullmatch(preference.spread):
            remedy = "is not node.labels.NAME or engine.labels.NAME; write spread=node.labels.rack"
            raise refuse("placement-pref", preference.spread, remedy)
    spreads = [preference.spread for preference in placement.preferences]
    check_unique(
        "placement-pref", spreads, "is given twice, and the second has nothing to spread; give it once"
    )
    most = placement.max_replicas_per_node
    check_not_negative("replicas-max-per-node", most, "0 means no bound")
    if most and kind.everywhere:
        raise refuse(
            "replicas-max-per-node", most, "has no meaning where every node has one task; leave it out"
        )
    for platform in placement.platforms:
        if not is_word(platform.os or platform.architecture) or not all(
            is_word(part) for part in (platform.os, platform.architecture) if part
        ):
            text = f"{platform.os}/{platform.architecture}"
            raise refuse(
                "platform", text, "is not an operating system and an architecture; write linux/amd64"
            )


def _check_constraints(constraints: tuple[Constraint, ...]) -> None:
    """Refuse constraints that no node could ever satisfy together."""
    asked: dict[str, Constraint] = {}
    for each in constraints:
        if not each.equal:
            continue
        first = asked.setdefault(each.key, each)
        if not _together(first, each):
            raise refuse(
                "constraint", str(each), f"contradicts {str(first)!r}: no node is both; leave one out"
            )
    for each in constraints:
        wanted = asked.get(each.key)
        if wanted is not None and not each.equal and _within(wanted, each):
            raise refuse(
                "constraint", str(each), f"contradicts {str(wanted)!r}: no node is both; leave one out"
            )
    excluded = {each.value.lower() for each in constraints if each.key == "node.role" and not each.equal}
    if len(excluded) > 1:
        remedy = "leaves no node: every one is a manager or a worker; leave one of them out"
        raise refuse("constraint", "node.role != manager, node.role != worker", remedy)


def _together(one: Constraint, other: Constraint) -> bool:
    """Tell whether a node may satisfy two demands on the same key."""
    if one.key == "node.ip":
        return ip_network(one.value, strict=False).overlaps(ip_network(other.value, strict=False))
    return _value(one) == _value(other)


def _within(wanted: Constraint, excluded: Constraint) -> bool:
    """Tell whether whatever satisfies one demand is what the other excludes."""
    if wanted.key != "node.ip":
        return _value(wanted) == _value(excluded)
    inner, outer = (ip_network(each.value, strict=False) for each in (wanted, excluded))
    if inner.version != outer.version:
        return False
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


def _value(asked: Constraint) -> str:
    """What a constraint compares, as it compares it."""
    match asked.key:
        case "node.id":
            return asked.value
        case "node.platform.arch":
            return constraint.architecture(asked.value)
        case _:
            return asked.value.lower()
