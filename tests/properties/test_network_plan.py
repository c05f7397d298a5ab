"""Plans on a model of the kernel: any state leads to any wish, from wherever the last plan was stopped."""

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.network import names, ops
from agent.network.desired import Facts, whole
from agent.network.desired.facts import Host
from agent.network.desired.gateway import choose
from agent.network.firewall import TableView
from agent.network.ops import Operation
from agent.network.plan import plan
from agent.network.seam import Attachment, Sandbox
from agent.network.state import FRESH, NODE, Address, Kind, Link, Netns, Port, Route
from covey.model.addressing import addresses_of, number_of
from covey.model.objects import Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec, PortConfig
from covey.model.states import Affinity, EndpointMode, EndpointState, MeshMode, PublishMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

KERNEL_PORT = Port(learning=True, flood=True, multicast_flood=True)
EMPTY_NODE = {NODE: Netns()}


class Kernel:
    """What the kernel does with operations, as strictly as it does: nothing can lie on a link not there."""

    def __init__(self, node: dict[str, Netns], broken: set[str]) -> None:
        self.node = dict(node)
        self.broken = set(broken)

    def run(self, steps: list[Operation]) -> None:
        for step in steps:
            self.step(step)

    def step(self, step: Operation) -> None:
        match step:
            case ops.CreateNetns(name):
                assert name not in self.node
                assert name not in self.broken
                self.node[name] = FRESH
            case ops.RemoveNetns(name):
                gone = self.node.pop(name, None)
                self.broken.discard(name)
                for link in gone.links.values() if gone else ():
                    if link.kind is Kind.VETH:
                        self._drop_far_end(name, link.name)
            case ops.CreateLink(name, link, other):
                self._create(name, link, other)
            case ops.RemoveLink(name, link_name):
                self._drop_far_end(name, link_name)
                self._drop(name, link_name)
            case _:
                self.node[step.netns] = self._inside(self.node[step.netns], step)

    def _create(self, name: str, link: Link, other: Link | None) -> None:
        here = self.node[name]
        assert link.name not in here.links
        assert not link.master or here.links[link.master].kind is Kind.BRIDGE
        made = replace(link, port=KERNEL_PORT if link.master else None)
        self.node[name] = replace(here, links={**here.links, link.name: made})
        if link.peer is not None:
            assert other is not None
            far, end = link.peer
            there = self.node[far]
            assert end not in there.links
            down = replace(other, up=False, peer=(name, link.name))
            self.node[far] = replace(there, links={**there.links, end: down})

    def _drop_far_end(self, name: str, link_name: str) -> None:
        for far, holds in list(self.node.items()):
            for link in list(holds.links.values()):
                if link.peer == (name, link_name):
                    self._drop(far, link.name)

    def _drop(self, name: str, link_name: str) -> None:
        here = self.node[name]
        links = {
            each.name: replace(each, master="", port=None) if each.master == link_name else each
            for each in here.links.values()
            if each.name != link_name
        }
        ports = {each for each in links if links[each].master}
        self.node[name] = replace(
            here,
            links=links,
            addresses=frozenset(each for each in here.addresses if each.link != link_name),
            routes=frozenset(each for each in here.routes if each.link != link_name),
            statics=frozenset(each for each in here.statics if each[0] in ports),
            forwards={key: value for key, value in here.forwards.items() if key[0] != link_name},
            neighbours={key: value for key, value in here.neighbours.items() if key[0] != link_name},
            tables={key: view for key, view in here.tables.items() if key not in names.LINK_TABLES},
            sysctls={key: value for key, value in here.sysctls.items() if f"/{link_name}/" not in key},
        )

    def _inside(self, here: Netns, step: Operation) -> Netns:
        match step:
            case ops.SetSysctl(_, path, value) | ops.SetLinkSysctl(_, path, value):
                if isinstance(step, ops.SetLinkSysctl):
                    assert path.split("/")[3] in here.links
                return replace(here, sysctls={**here.sysctls, path: value})
            case ops.SetLink(_, link):
                now = here.links[link.name]
                assert not link.master or link.master in here.links
                kept = now.port if now.master == link.master else (KERNEL_PORT if link.master else None)
                changed = replace(
                    now,
                    up=link.up,
                    master=link.master,
                    port=kept,
                    mtu=link.mtu or now.mtu,
                    mac=link.mac or now.mac,
                )
                moved = now.master != link.master
                statics = frozenset(each for each in here.statics if not (moved and each[0] == link.name))
                # whoever gives a MAC address loses the neighbours, even if it is the one that is there
                known = {
                    ip: mac for ip, mac in here.neighbours.items() if not (link.mac and ip[0] == link.name)
                }
                links = {**here.links, link.name: changed}
                return replace(here, links=links, statics=statics, neighbours=known)
            case ops.SetPort(_, name, port):
                assert here.links[name].master
                return replace(here, links={**here.links, name: replace(here.links[name], port=port)})
            case ops.AddAddress(_, address):
                assert address.link in here.links
                return replace(here, addresses=here.addresses | {address})
            case ops.RemoveAddress(_, address):
                routes = frozenset(each for each in here.routes if each.link != address.link)
                return replace(here, addresses=here.addresses - {address}, routes=routes)
            case ops.AddRoute(_, route):
                assert here.links[route.link].up
                replaced = [each for each in sorted(here.routes) if each.place == route.place][:1]
                return replace(here, routes=here.routes - set(replaced) | {route})
            case ops.RemoveRoute(_, route):
                return replace(here, routes=here.routes - {route})
            case ops.AddPolicy(_, policy):
                assert policy not in here.policies
                return replace(here, policies=here.policies | {policy})
            case ops.RemovePolicy(_, policy):
                return replace(here, policies=here.policies - {policy})
            case _:
                return self._entry(here, step)

    def _entry(self, here: Netns, step: Operation) -> Netns:
        match step:
            case ops.AddStatic(_, link, mac):
                assert here.links[link].master
                return replace(here, statics=here.statics | {(link, mac)})
            case ops.RemoveStatic(_, link, mac):
                return replace(here, statics=here.statics - {(link, mac)})
            case ops.SetForward(_, link, mac, vtep):
                vxlan = here.links[link].vxlan
                assert vxlan is not None
                assert ip_address(vtep).version == ip_address(vxlan.local).version
                return replace(here, forwards={**here.forwards, (link, mac): vtep})
            case ops.RemoveForward(_, link, mac):
                kept = {key: value for key, value in here.forwards.items() if key != (link, mac)}
                return replace(here, forwards=kept)
            case ops.SetNeighbour(_, link, ip, mac):
                assert link in here.links
                return replace(here, neighbours={**here.neighbours, (link, ip): mac})
            case ops.RemoveNeighbour(_, link, ip):
                kept = {key: value for key, value in here.neighbours.items() if key != (link, ip)}
                return replace(here, neighbours=kept)
            case ops.ReplaceTable(_, table):
                return replace(here, tables={**here.tables, table.name: table.view()})
            case ops.EditTable():
                return replace(here, tables={**here.tables, step.table.name: self._edited(here, step)})
            case ops.RemoveTable(_, name):
                left = {key: value for key, value in here.tables.items() if key != name}
                return replace(here, tables=left)
        raise AssertionError(step)

    def _edited(self, here: Netns, step: ops.EditTable) -> TableView:
        now = here.tables[step.table.name]
        chains = {**now.chains, **{chain.name: chain.digest for chain in step.put}}
        maps = {name: dict(elements) for name, elements in now.maps.items()}
        for name, keys in step.unset.items():
            for key in keys:
                del maps[name][key]
        for name, elements in step.set.items():
            for key, chain in elements.items():
                assert key not in maps[name]
                assert not chain or chain in chains
                maps[name][key] = chain
        for chain in step.drop:
            assert not any(chain in elements.values() for elements in maps.values()), "still jumped to"
            del chains[chain]
        return TableView(chains, maps)

    def read(self) -> dict[str, Netns]:
        """What reading back shows: no veth knows where its other end is."""
        return {
            name: replace(holds, links={key: replace(link, peer=None) for key, link in holds.links.items()})
            for name, holds in self.node.items()
        }


def settled(node: dict[str, Netns], like: dict[str, Netns]) -> dict[str, Netns]:
    """`node` in the words of the wish `like`: without rules, and without what the wish leaves open."""
    result = {}
    for name, holds in node.items():
        links = {}
        for key, link in holds.links.items():
            wish = like[name].links.get(key, link) if name in like else link
            port = link.port if wish.port is not None else None
            loose = replace(link, peer=None, port=port, mtu=link.mtu if wish.mtu else 0)
            links[key] = replace(loose, mac=link.mac if wish.mac else "")
        needed = like[name].sysctls.keys() if name in like else set()
        sysctls = {key: value for key, value in holds.sysctls.items() if key in needed}
        result[name] = replace(holds, links=links, rules={}, sysctls=sysctls)
    return result


# --- worlds: what managers could say --------------------------------------------------------------------


def spec_of(letter: str) -> NetworkSpec:
    if letter == "l":
        return NetworkSpec(name=letter, driver="macvlan", options={"parent": "eth7"})
    return NetworkSpec(name=letter, ingress=letter == "i", internal=letter == "c")


def subnets_of(place: int, letter: str) -> tuple[Subnet, ...]:
    """Ingress and `c` have both families, `b` has IPv6 alone, the others have IPv4."""
    ipv4, ipv6 = (
        Subnet(cidr=f"10.{place}.0.0/16", gateway=f"10.{place}.0.1"),
        Subnet(cidr=f"fd00:{place}::/64"),
    )
    return {"i": (ipv4, ipv6), "c": (ipv4, ipv6), "b": (ipv6,)}.get(letter, (ipv4,))


NETWORKS = [
    Network(id=letter * 25, spec=spec_of(letter), vni=4096 + place, subnets=subnets_of(place, letter))
    for place, letter in enumerate("iabcl", 1)
]


def addresses(place: int, number: int) -> tuple[str, ...]:
    return addresses_of(NETWORKS[place - 1].subnets, int(ip_address(f"10.{place}.0.{number}")))


def endpoint(place: int, number: int, task: str) -> Endpoint:
    own = addresses(place, number)
    network = NETWORKS[place - 1].id
    return Endpoint(
        f"e{place}-{number}", network_id=network, task_id=task, number=number_of(own[0]), addresses=own
    )


@st.composite
def sandboxes(draw: st.DrawFn) -> dict[str, Sandbox]:
    tasks = draw(st.lists(st.sampled_from(["t1", "t2", "t3"]), unique=True))
    found = {}
    for task in tasks:
        places = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5]), unique=True))
        number = draw(st.integers(0, 1)) * 10 + int(task[1])
        attachments = tuple(Attachment(NETWORKS[each - 1], endpoint(each, number, task)) for each in places)
        host = (PortConfig(target_port=80, published_port=9000, publish_mode=PublishMode.HOST),)
        found[task] = Sandbox(task, attachments, host if draw(st.booleans()) else ())
    return found


def published_ports() -> st.SearchStrategy[PortConfig]:
    return st.builds(
        PortConfig,
        target_port=st.just(80),
        published_port=st.integers(8000, 8003),
        published_address=st.sampled_from(["", "127.0.0.1", "192.0.2.1", "::1"]),
        mesh=st.sampled_from(list(MeshMode)),
    )


@st.composite
def tables(draw: st.DrawFn) -> dict[str, NetworkTable]:
    found = {}
    for place in draw(st.lists(st.sampled_from([1, 2, 3, 4]), unique=True)):
        rows = []
        for number in draw(st.lists(st.integers(100, 104), unique=True)):
            far = endpoint(place, number, f"r{number}")
            node, vtep = draw(st.sampled_from([("n2", "192.0.2.2"), ("n3", "192.0.2.3")]))
            rows.append(
                EndpointRow(
                    endpoint_id=far.id,
                    number=far.number,
                    addresses=far.addresses,
                    node_id=node,
                    vtep=vtep,
                    state=draw(st.sampled_from(list(EndpointState))),
                    task_id=far.task_id,
                    service_id=draw(st.sampled_from(["s1", "s2"])),
                    keeps_client_address=draw(st.booleans()),
                )
            )
        if place == 1 and draw(st.booleans()):
            own = endpoint(1, draw(st.integers(1, 2)) + 200, "")
            numbered = {"number": own.number, "addresses": own.addresses}
            rows.append(EndpointRow("own", node_id="n1", vtep="192.0.2.1", **numbered))  # type: ignore[arg-type]
        services = [
            ServiceRow(
                service_id=service,
                name=service,
                virtual_ips=addresses(place, 250 + draw(st.integers(0, 1)) * 2 + int(service[1]))
                if place > 1
                else (),
                ports=(draw(published_ports()),),
                mode=draw(st.sampled_from(list(EndpointMode))),
                affinity=draw(st.sampled_from(list(Affinity))),
            )
            for service in draw(st.lists(st.sampled_from(["s1", "s2"]), unique=True))
        ]
        network = NETWORKS[place - 1].id
        found[network] = NetworkTable(network, endpoints=tuple(rows), services=tuple(services))
    return found


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Netns]:
    filters, keeps = draw(st.booleans()), draw(st.booleans())
    mtu = draw(st.sampled_from([1500, 9000]))
    interfaces = frozenset(draw(st.sampled_from([["eth7"], []])))
    host = Host(
        "n1",
        "192.0.2.1",
        mtu,
        ipv6=draw(st.booleans()),
        bridge_filter=filters,
        keeps_client_address=keeps,
        interfaces=interfaces,
    )
    boxes = draw(sandboxes())
    gateway = choose([]).with_tasks(boxes.keys())
    known = draw(st.lists(st.sampled_from(NETWORKS), unique_by=lambda each: each.id))
    return whole(Facts(host, gateway, {each.id: each for each in known}, draw(tables()), boxes))


@st.composite
def damage(draw: st.DrawFn) -> list[int]:
    return draw(st.lists(st.integers(0, 1000), max_size=8))


def spoil(kernel: Kernel, picks: list[int]) -> None:
    """Somebody else's hand: links removed or changed, entries added, tables broken, namespaces unbound."""
    for pick in picks:
        spaces = sorted(kernel.node)
        name = spaces[pick % len(spaces)]
        here = kernel.node[name]
        links = sorted(link for link in here.links if link != "lo")
        match pick % 6:
            case 0 if links:
                kernel.step(ops.RemoveLink(name, links[pick % len(links)]))
            case 1 if links:
                first = links[pick % len(links)]
                changed = replace(here.links[first], up=False, mtu=1280)
                kernel.node[name] = replace(here, links={**here.links, first: changed})
            case 2 if links:
                first = links[pick // 6 % len(links)]
                extra = here.addresses | {Address(first, "10.99.0.1/24")}
                strange = [Route("0.0.0.0/0", f"10.99.0.{9 - n}", first) for n in range(pick % 3 + 1)]
                beside = [replace(each, metric=50) for each in here.routes][: pick % 2]
                routes = here.routes.union(strange, beside)
                kernel.node[name] = replace(here, addresses=extra, routes=routes)
            case 3 if name != NODE:
                chains = {**here.tables[names.VIP_TABLE].chains} if names.VIP_TABLE in here.tables else {}
                broken = TableView(
                    {**chains, "vip-10.2.0.251": "", "elsewhere": ""},
                    {"services": {"10.2.0.251": "vip-10.2.0.251", "10.2.0.252": "elsewhere"}},
                )
                kernel.node[name] = replace(here, tables={**here.tables, names.VIP_TABLE: broken})
            case 4 if name != NODE:
                kernel.step(ops.RemoveNetns(name))
                kernel.broken.add(name)
            case _:
                kernel.node[f"stray{pick}"] = FRESH


@settings(max_examples=250, deadline=None)
@given(wishes(), wishes(), damage(), st.data())
def test_any_state_becomes_any_wish_from_wherever_it_was_stopped(
    first: dict[str, Netns], second: dict[str, Netns], picks: list[int], data: st.DataObject
) -> None:
    kernel = Kernel(EMPTY_NODE, set())
    kernel.run(plan(kernel.read(), first))
    assert settled(kernel.read(), first) == settled(first, first)

    spoil(kernel, picks)
    steps = plan(kernel.read(), second, kernel.broken)
    stop = data.draw(st.integers(0, len(steps)), label="stopped after")
    kernel.run(steps[:stop])
    kernel.run(plan(kernel.read(), second, kernel.broken))
    assert settled(kernel.read(), second) == settled(second, second)
    assert plan(kernel.read(), second, kernel.broken) == [], "what is so already needs nothing"


@settings(max_examples=100, deadline=None)
@given(wishes(), wishes())
def test_planning_from_memory_leads_where_planning_from_reading_does(
    first: dict[str, Netns], second: dict[str, Netns]
) -> None:
    kernel = Kernel(EMPTY_NODE, set())
    kernel.run(plan(kernel.read(), first))
    kernel.run(plan(first, second))
    assert settled(kernel.read(), second) == settled(second, second)


@settings(max_examples=50, deadline=None)
@given(wishes())
def test_wanting_nothing_leaves_nothing(first: dict[str, Netns]) -> None:
    kernel = Kernel(EMPTY_NODE, set())
    kernel.run(plan(kernel.read(), first))
    kernel.run(plan(kernel.read(), {NODE: Netns()}))
    left = kernel.node.pop(NODE)
    assert not kernel.node
    assert not left.links
    assert not left.tables
