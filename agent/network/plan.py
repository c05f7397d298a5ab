"""From what is there to what should be: the ordered operations that lead there.

Pure. The properties its tests hold: carrying out a plan leads from any state to the wish; a plan for what
is already so is empty; stopped after any number of steps, a new plan from there leads to the same wish.

A veth pair counts as one thing in two namespaces: if either end is missing or unlike the wish in what
cannot be changed, both ends go and a new pair comes.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import replace

from . import names, ops
from .firewall import Table, TableView
from .lineage import difference
from .ops import Operation
from .state import FRESH, Kind, Link, Netns, Node, Route

_PHASE = {kind: number for number, kinds in enumerate(ops.PHASES) for kind in kinds}


def plan(have: Node, want: Node, broken: Collection[str] = ()) -> list[Operation]:
    """The operations that turn `have` into `want`; `broken` are names bound to no namespace."""
    steps: list[Operation] = []
    for name in [*have, *(each for each in broken if each not in have)]:
        if name not in want or name in broken:
            steps += _without(name, have.get(name))
    base = {name: have[name] if name in have and name not in broken else FRESH for name in want}
    steps += [ops.CreateNetns(name) for name in want if name not in have or name in broken]
    doomed = _doomed(base, want)
    for name, links in doomed.items():
        steps += [
            ops.RemoveLink(name, link)
            for link in sorted(links)
            if not _goes_with_its_peer(base[name].links[link], want, broken)
        ]
    for name in want:
        steps += _within(name, _less(base[name], doomed[name]), want)
    return sorted(steps, key=lambda step: _PHASE[type(step)])


def _without(name: str, have: Netns | None) -> Iterator[Operation]:
    """Remove a namespace, its VXLAN first: the kernel ends namespaces late, and the VNI must be free now."""
    for link in have.links.values() if have else ():
        if link.kind is Kind.VXLAN:
            yield ops.RemoveLink(name, link.name)
    yield ops.RemoveNetns(name)


def _goes_with_its_peer(link: Link, want: Node, broken: Collection[str]) -> bool:
    """Tell whether the link's other end is in a namespace that this plan removes.

    The kernel then removes this end by itself a moment later, which costs nobody anything; asking for it
    takes 20 ms of waiting per link.
    """
    return link.peer is not None and link.peer[0] not in want and link.peer[0] not in broken


def _doomed(have: Node, want: Node) -> dict[str, set[str]]:
    """The links that must go: those nobody wants, those of the wrong make, and either end of half a pair."""
    doomed: dict[str, set[str]] = {}
    for name, now in have.items():
        wishes = want[name].links
        doomed[name] = {
            link.name
            for link in now.links.values()
            if link.kind is not Kind.LOOPBACK
            and (link.name not in wishes or not _same_make(link, wishes[link.name]))
        }
    for name, wish in want.items():
        for link in wish.links.values():
            if link.peer is None or _stands(have, doomed, name, link.name):
                continue
            other, end = link.peer
            if other in have and end in have[other].links:
                doomed[other].add(end)
    return doomed


def _stands(have: Node, doomed: Mapping[str, set[str]], netns: str, link: str) -> bool:
    return link in have[netns].links and link not in doomed[netns]


def _same_make(now: Link, wish: Link) -> bool:
    """Tell whether `now` can be turned into `wish` without being made anew."""
    if now.kind is not wish.kind or now.vxlan != wish.vxlan or now.macvlan != wish.macvlan:
        return False
    return wish.kind is not Kind.VETH or not wish.mac or now.mac == wish.mac


def _less(have: Netns, gone: Set[str]) -> Netns:
    """What is left of a namespace once the links `gone` are, and with them whatever lay on them."""
    if not gone:
        return have
    return Netns(
        links={
            name: link if link.master not in gone else replace(link, master="", port=None)
            for name, link in have.links.items()
            if name not in gone
        },
        addresses=frozenset(each for each in have.addresses if each.link not in gone),
        routes=frozenset(each for each in have.routes if each.link not in gone),
        policies=have.policies,
        statics=frozenset(
            each for each in have.statics if each[0] not in gone and have.links[each[0]].master not in gone
        ),
        forwards={key: value for key, value in have.forwards.items() if key[0] not in gone},
        neighbours={key: value for key, value in have.neighbours.items() if key[0] not in gone},
        tables={name: view for name, view in have.tables.items() if name not in names.LINK_TABLES},
        sysctls={path: value for path, value in have.sysctls.items() if _link_of(path) not in gone},
    )


def _link_of(path: str) -> str:
    """The link that a setting belongs to (`net/ipv4/conf/eth0/rp_filter`), or ""."""
    parts = path.split("/")
    return parts[3] if len(parts) == 5 and parts[2] in ("conf", "neigh") else ""


def _within(name: str, have: Netns, node: Node) -> Iterator[Operation]:
    """Everything inside one namespace that stands; unwanted links are already gone."""
    want = node[name]
    for path, value in want.sysctls.items():
        if have.sysctls.get(path) != value:
            late = _link_of(path) in want.links
            yield ops.SetLinkSysctl(name, path, value) if late else ops.SetSysctl(name, path, value)
    for wish in sorted(want.links.values(), key=lambda link: _MAKING[link.kind]):
        now = have.links.get(wish.name)
        yield from _make(name, wish, node) if now is None else _change(name, now, wish)
    yield from _addressing(name, have, want)
    yield from _bridging(name, have, want)
    for table in want.rules.values():
        yield from _table(name, have.tables.get(table.name), table)
    for gone in have.tables.keys() - want.rules.keys():
        yield ops.RemoveTable(name, gone)


_MAKING = {
    Kind.LOOPBACK: 0,
    Kind.BRIDGE: 1,
    Kind.VXLAN: 2,
    Kind.VETH: 3,
    Kind.MACVLAN: 3,
}  # masters before their ports


def _make(name: str, wish: Link, node: Node) -> Iterator[Operation]:
    """A veth is made from the end that has a master; the other end is then only brought up."""
    if wish.peer is not None and not wish.master:
        yield ops.SetLink(name, wish)
        return
    yield ops.CreateLink(name, wish, node[wish.peer[0]].links[wish.peer[1]] if wish.peer else None)
    if wish.port is not None:
        yield ops.SetPort(name, wish.name, wish.port)


def _change(name: str, now: Link, wish: Link) -> Iterator[Operation]:
    if (
        now.up != wish.up
        or now.master != wish.master
        or (wish.mtu and now.mtu != wish.mtu)
        or (wish.mac and now.mac != wish.mac)
    ):
        # the kernel forgets the neighbours on a link that is given a MAC address, even if it has that one
        yield ops.SetLink(name, wish if now.mac != wish.mac else replace(wish, mac=""))
    port = now.port if now.master == wish.master else None
    if wish.port is not None and port != wish.port:
        yield ops.SetPort(name, wish.name, wish.port)


def _addressing(name: str, have: Netns, want: Netns) -> Iterator[Operation]:
    renumbered = {each.link for each in have.addresses - want.addresses}
    for address in sorted(have.addresses - want.addresses):
        yield ops.RemoveAddress(name, address)
    for address in sorted(want.addresses - have.addresses):
        yield ops.AddAddress(name, address)
    yield from (ops.RemoveRoute(name, each) for each in _wrong_routes(have, want))
    for route in sorted(want.routes):
        if route not in have.routes or route.link in renumbered:
            yield ops.AddRoute(name, route)
    for policy in sorted(have.policies - want.policies):
        yield ops.RemovePolicy(name, policy)
    for policy in sorted(want.policies - have.policies):
        yield ops.AddPolicy(name, policy)


def _wrong_routes(have: Netns, want: Netns) -> list[Route]:
    """The routes that must go before others come; one whose place is taken by what is wanted goes by that.

    The kernel takes the metric that is not given for any: those with one go first. IPv4's have gone with their
    addresses, IPv6's have not.
    """
    wrong = have.routes - want.routes
    there = Counter(each.place for each in have.routes)
    taken = {each.place for each in want.routes if there[each.place] == 1}
    return sorted((each for each in wrong if each.place not in taken), key=lambda each: (-each.metric, each))


def _bridging(name: str, have: Netns, want: Netns) -> Iterator[Operation]:
    for port, mac in sorted(want.statics - have.statics):
        yield ops.AddStatic(name, port, mac)
    for port, mac in sorted(have.statics - want.statics):
        yield ops.RemoveStatic(name, port, mac)
    set_, unset = difference(have.forwards, want.forwards)
    for link, mac in set_:
        yield ops.SetForward(name, link, mac, want.forwards[link, mac])
    for link, mac in unset:
        yield ops.RemoveForward(name, link, mac)
    set_, unset = difference(have.neighbours, want.neighbours)
    for link, ip in set_:
        yield ops.SetNeighbour(name, link, ip, want.neighbours[link, ip])
    for link, ip in unset:
        yield ops.RemoveNeighbour(name, link, ip)


def _table(name: str, now: TableView | None, wish: Table) -> Iterator[Operation]:
    """Edit the table where only its jumped-to chains and elements differ; else replace it whole."""
    if now is None:
        yield ops.ReplaceTable(name, wish)
        return
    view = wish.view()
    put, drop = difference(now.chains, view.chains)
    base = [now.chains.get(chain, "") for chain in (*put, *drop)] + [view.chains[chain] for chain in put]
    if any(digest.startswith("base-") for digest in base) or now.maps.keys() != view.maps.keys():
        yield ops.ReplaceTable(name, wish)  # of these nothing can be edited
        return
    unset: dict[str, tuple[str, ...]] = {}
    set_: dict[str, dict[str, str]] = {}
    for each, elements in view.maps.items():
        before = now.maps[each]
        new, gone = difference(before, elements)
        if gone := [*gone, *(key for key in new if key in before)]:
            unset[each] = tuple(gone)
        if new:
            set_[each] = {key: elements[key] for key in new}
    if put or drop or unset or set_:
        chains = tuple(wish.chain(chain) for chain in put)
        yield ops.EditTable(name, wish, put=chains, drop=tuple(drop), unset=unset, set=set_)
