"""What is amiss, in words: the operations that would put it right say what it is. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from covey import limits
from covey.model.audit import Finding

from . import names, ops
from .ops import Operation
from .state import Link, Netns

_TABLE = {
    names.VIP_TABLE: "VIP",
    names.MESH_TABLE: "rule",
    names.UNDERLAY_TABLE: "rule",
    names.GATEWAY_TABLE: "rule",
}


def findings(steps: Sequence[Operation], have: Mapping[str, Netns]) -> Iterator[Finding]:
    """One finding for each thing that the plan `steps` would put right; `have` is what it began with.

    A namespace or link that has to be made takes with it all that is to be put into it.
    """
    bare = {step.netns for step in steps if isinstance(step, ops.CreateNetns)}
    made = {(step.netns, step.link.name) for step in steps if isinstance(step, ops.CreateLink)}
    made |= {step.link.peer for step in steps if isinstance(step, ops.CreateLink) and step.link.peer}
    gone = {step.netns for step in steps if isinstance(step, ops.RemoveNetns)}
    for step in steps:
        if step.netns in bare and not isinstance(step, ops.CreateNetns):
            continue
        if step.netns in gone and not isinstance(step, ops.RemoveNetns | ops.CreateNetns):
            continue
        if isinstance(step, ops.CreateLink | ops.SetLink):
            if _leads_to(step.link, bare):
                continue
        elif (step.netns, _link_of(step)) in made and not isinstance(step, ops.RemoveLink):
            continue
        yield from _finding(step, have, made, bare)


def _leads_to(link: Link, bare: Iterable[str]) -> bool:
    return link.peer is not None and link.peer[0] in bare


def _link_of(step: Operation) -> str:
    match step:
        case ops.AddAddress(_, address) | ops.RemoveAddress(_, address):
            return address.link
        case ops.AddRoute(_, route) | ops.RemoveRoute(_, route):
            return route.link
        case ops.SetPort(_, name):
            return name
        case ops.SetLinkSysctl(_, path):
            return path.split("/")[3] if path.count("/") >= 4 else ""
        case (
            ops.AddStatic(_, link)
            | ops.RemoveStatic(_, link)
            | ops.SetForward(_, link)
            | ops.RemoveForward(_, link)
            | ops.SetNeighbour(_, link)
            | ops.RemoveNeighbour(_, link)
        ):
            return link
        case _:
            return ""


def _finding(
    step: Operation, have: Mapping[str, Netns], made: Iterable[object], bare: Iterable[str]
) -> Iterator[Finding]:
    place = step.netns or "the node"
    now = have.get(step.netns, Netns())
    match step:
        case ops.CreateNetns():
            yield Finding("namespace", place, "is missing")
        case ops.RemoveNetns():
            if step.netns not in bare:
                yield Finding("namespace", place, "belongs to nothing here")
        case ops.CreateLink(_, link):
            words = "is of another make" if link.name in now.links else "is missing"
            yield Finding("link", place, f"{link.name} {words}")
        case ops.RemoveLink(_, name):
            if (step.netns, name) not in made:
                yield Finding("link", place, f"{name} belongs to nothing here")
        case ops.SetLink(_, link):
            if link.name in now.links:
                yield Finding("link", place, f"{link.name} is {_differs(now.links[link.name], link)}")
        case ops.SetPort(_, name):
            yield Finding("link", place, f"{name} is another kind of port of its bridge than it should be")
        case ops.SetSysctl(_, path, value) | ops.SetLinkSysctl(_, path, value):
            yield Finding("sysctl", place, f"{path} is {now.sysctls.get(path, 'missing')}, not {value}")
        case ops.ReplaceTable() | ops.EditTable() | ops.RemoveTable():
            yield from _rules(step, place, now)
        case _:
            yield _entry(step, place, now)


def _entry(step: Operation, place: str, now: Netns) -> Finding:
    match step:
        case ops.AddAddress(_, address):
            return Finding("address", place, f"{address.cidr} is missing on {address.link}")
        case ops.RemoveAddress(_, address):
            return Finding("address", place, f"{address.cidr} on {address.link} belongs to nothing here")
        case ops.AddRoute(_, route):
            by = f" by {route.via}" if route.via else ""
            return Finding("route", place, f"{route.cidr}{by} on {route.link} is missing")
        case ops.RemoveRoute(_, route):
            words = f"{route.cidr} by {route.via} on {route.link} belongs to nothing here"
            return Finding("route", place, words)
        case ops.AddPolicy(_, policy):
            return Finding(
                "rule", place, f"packets marked {policy.mark:#x} are not routed by table {policy.table}"
            )
        case ops.RemovePolicy(_, policy):
            words = f"packets marked {policy.mark:#x} are routed by table {policy.table}, which nothing here wants"
            return Finding("rule", place, words)
        case ops.AddStatic(_, link, mac):
            return Finding("FDB", place, f"{mac} is missing on {link}")
        case ops.RemoveStatic(_, link, mac):
            return Finding("FDB", place, f"{mac} on {link} belongs to nothing here")
        case ops.SetForward(_, link, mac, vtep):
            was = now.forwards.get((link, mac))
            words = f"{mac} leads to {was}, not {vtep}" if was else f"{mac} to {vtep} is missing"
            return Finding("FDB", place, f"{words} on {link}")
        case ops.RemoveForward(_, link, mac):
            return Finding("FDB", place, f"{mac} on {link} belongs to nothing here")
        case ops.SetNeighbour(_, link, ip, mac):
            was = now.neighbours.get((link, ip))
            words = f"{ip} is {was}, not {mac}" if was else f"{ip} at {mac} is missing"
            return Finding("neighbour", place, f"{words} on {link}")
        case ops.RemoveNeighbour(_, link, ip):
            return Finding("neighbour", place, f"{ip} on {link} belongs to nothing here")
        case _:
            said = str(step)[: limits.audit_words_chars_max]
            return Finding("other", place, f"{type(step).__name__} would be needed: {said}")


def _rules(
    step: ops.ReplaceTable | ops.EditTable | ops.RemoveTable, place: str, now: Netns
) -> Iterator[Finding]:
    if isinstance(step, ops.RemoveTable):
        yield Finding(_kind(step.name), place, f"table {step.name} belongs to nothing here")
        return
    name = step.table.name
    if isinstance(step, ops.ReplaceTable):
        words = "has other base chains or maps than it should" if name in now.tables else "is missing"
        yield Finding(_kind(name), place, f"table {name} {words}")
        return
    before = now.tables[name].chains
    for chain in step.put:
        words = "has other rules than it should" if chain.name in before else "is missing"
        yield Finding(_kind(name), place, f"chain {chain.name} of table {name} {words}")
    for chain_name in step.drop:
        yield Finding(_kind(name), place, f"chain {chain_name} of table {name} belongs to nothing here")
    for each, keys in step.unset.items():
        for key in keys:
            if key not in step.set.get(each, {}):
                words = f"{key} in map {each} of table {name} belongs to nothing here"
                yield Finding(_kind(name), place, words)
    for each, elements in step.set.items():
        there = now.tables[name].maps.get(each, {})
        for key, chain_name in elements.items():
            words = (
                f"leads to {there[key] or 'nothing'}, not to {chain_name}" if key in there else "is missing"
            )
            yield Finding(_kind(name), place, f"{key} in map {each} of table {name} {words}")


def _kind(table: str) -> str:
    return next((kind for name, kind in _TABLE.items() if table.startswith(name)), "rule")


def _differs(now: Link, wish: Link) -> str:
    parts = []
    if now.up != wish.up:
        parts.append("up" if now.up else "down")
    if now.master != wish.master:
        parts.append(f"on bridge {now.master or 'none'}, not {wish.master or 'none'}")
    if wish.mtu and now.mtu != wish.mtu:
        parts.append(f"of MTU {now.mtu}, not {wish.mtu}")
    if wish.mac and now.mac != wish.mac:
        parts.append(f"of MAC {now.mac}, not {wish.mac}")
    return ", ".join(parts) or "not as it should be"


def things(want: Mapping[str, Netns]) -> int:
    """How many things of a wish there are to compare."""
    return sum(
        1
        + len(each.links)
        + len(each.addresses)
        + len(each.routes)
        + len(each.policies)
        + len(each.statics)
        + len(each.forwards)
        + len(each.neighbours)
        + len(each.sysctls)
        + sum(
            sum(len(chain.rules) for chain in table.every()) + sum(len(one.elements) for one in table.maps)
            for table in each.rules.values()
        )
        for each in want.values()
    )
