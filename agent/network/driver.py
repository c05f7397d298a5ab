"""The real make of `Networks`: facts in, wishes and plans out, carried out by one thread.

The driver remembers what it last built (`_have`) and plans from that, so an attach costs no reading. At the
first call, and after any fault, it reads the node back instead. It runs inside the node's own network
namespace, which in production is the host's.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from agent.audit.look import Look
from covey.errors import FailedPrecondition
from covey.io.clock import now_ms
from covey.io.netns import Process
from covey.model.objects import Network
from covey.model.tables import NetworkTable

from . import sweep
from .denials import Denials
from .desired import Facts, gateway, namespace
from .desired import names as wanted_names
from .desired.facts import check, check_here, lacking_ipv6, sound
from .desired.macvlan import check_parents, lans, parents_of
from .desired.memory import Memory
from .desired.node import forwarded_keys, host_keys
from .desired.task import has_way_out
from .firewall import Family
from .io.compare import Aside, compare
from .io.connections import quiet
from .io.host_ports import HostPorts
from .io.kernel import carry_out
from .io.lookout import Lookout
from .io.observe import interfaces, observe, surroundings, with_settings
from .io.places import Places
from .io.sweeping import Sweeper
from .plan import plan
from .probe import Known, known
from .scope import around, touched
from .seam import NOBODY, NetworkFault, Networks, Sandbox
from .settings import Settings
from .state import NODE, Netns

R = TypeVar("R")
T = TypeVar("T")
_log = logging.getLogger(__name__)


class NetlinkNetworks:
    """See `Networks`. All kernel work runs on one thread, in the order of the calls."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = Places(settings.netns_dir)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")
        self._turn = asyncio.Lock()
        self._networks: dict[str, Network] = {}
        self._tables: dict[str, NetworkTable] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._have: dict[str, Netns] | None = None
        self._broken: tuple[str, ...] = ()
        self._facts: Facts | None = None
        self._others: frozenset[str] | None = None  # from where VXLAN packets may come now
        self._denials = Denials()
        self._aside: set[str] = set()  # the tasks that were set aside when what is there was planned
        self._anew = False  # what is there was read back: nobody knows what else has changed meanwhile
        self._ports = HostPorts()
        scratch = settings.netns_dir.parent / "probe"
        self._lookout = Lookout(
            scratch, self._places, settings.vxlan_port, self._known, lambda: self._have or {}, self._seen
        )
        self._sweeper = Sweeper(
            self._places, self._in_turn, lambda: self._facts, lambda at: at in (self._have or ())
        )

    async def learn(self, network: Network) -> None:
        """See `Networks.learn`."""

        def work() -> None:
            again = self._ask_again([network.id])
            if again or self._have is None or self._networks.get(network.id) != network:
                self._put(self._networks, network.id, network)
                self._denials.check([network.id])

        new = network.id not in self._networks
        await self._in_turn(work)
        if new:
            self._lookout.soon()  # its subnets may overlap a route

    async def attach(self, sandbox: Sandbox) -> str:
        """See `Networks.attach`."""

        def work() -> None:
            check(sandbox)
            if self._facts is not None and lans(sandbox):
                self._seen(interfaces(self._places))
            if (facts := self._facts) is not None:
                check_parents(sandbox, facts.host)
                check_here(sandbox, facts)
            its_networks = [each.network.id for each in sandbox.attachments]
            self._ask_again(its_networks)
            self._ports.claim(host_keys(sandbox, facts.families(sandbox) if facts else (Family.IPV4,)))
            before = self._sandboxes.get(sandbox.task_id)
            for each in sandbox.attachments:
                self._networks.setdefault(each.network.id, each.network)
            self._sandboxes[sandbox.task_id] = sandbox
            around = touched(before, sandbox)
            try:
                self._converge(around)
                self._denials.check(its_networks)
            except BaseException:
                del self._sandboxes[sandbox.task_id]
                if before is not None:  # a container may be in it
                    self._sandboxes[sandbox.task_id] = before
                if self._have is not None:  # else what was half built goes with the next call
                    self._converge(around)
                raise
            self._places.rest(sandbox.task_id)

        await self._in_turn(work)
        return str(self._settings.netns_dir / sandbox.task_id)

    async def detach(self, task_id: str) -> None:
        """See `Networks.detach`."""

        def work() -> None:
            before = self._sandboxes.pop(task_id, None)
            self._converge({NODE, task_id} | touched(before, None))

        await self._in_turn(work)

    async def close_ports(self, task_id: str) -> None:
        """See `Networks.close_ports`."""

        def work() -> None:
            sandbox = self._sandboxes.get(task_id)
            if sandbox is not None and (sandbox.host_ports or self._have is None):
                self._sandboxes[task_id] = replace(sandbox, host_ports=())
                self._converge({NODE})

        await self._in_turn(work)

    async def quiet(self, pid: int) -> None:
        """See `Networks.quiet`."""
        await quiet(pid)

    async def apply(self, table: NetworkTable) -> None:
        """See `Networks.apply`."""

        def work() -> bool:
            known = self._facts.known(table.network_id) if self._facts is not None else None
            self._ask_again([table.network_id])
            self._put(self._tables, table.network_id, table)
            self._denials.check([table.network_id])
            facts = self._facts
            return known is None or facts is None or sweep.needed(known, facts.known(table.network_id))

        if await self._in_turn(work):
            self._sweeper.sweep([table.network_id])

    async def forget(self, network_id: str) -> None:
        """See `Networks.forget`."""

        def work() -> None:
            nearby = around(network_id, self._networks, self._sandboxes)
            self._networks.pop(network_id, None)
            self._tables.pop(network_id, None)
            self._denials.forget(network_id)
            self._converge(nearby)
            if self._facts is not None:
                self._facts.memory.forget_network(network_id)

        await self._in_turn(work)

    async def reconcile(
        self,
        networks: Iterable[Network],
        tables: Iterable[NetworkTable],
        sandboxes: Iterable[Sandbox],
        processes: Mapping[str, Process] = NOBODY,
    ) -> frozenset[str]:
        """See `Networks.reconcile`."""

        def work() -> set[str]:
            self._networks = {network.id: network for network in networks}
            every = self._tables = {table.network_id: table for table in tables}
            self._sandboxes, wrong = sound(sandboxes)
            for task_id, words in wrong.items():
                _log.error("task %s is left without networks: %s", task_id, words)
            self._have = None
            self._denials = Denials()
            self._find_again(processes)
            try:
                self._converge(None)
            except NetworkFault as fault:
                _log.error("tables come into force one by one: %s", fault)
                self._tables = {}
                self._converge(None)
            return {id for id, table in every.items() if id not in self._tables and not self._takes(table)}

        refused = await self._in_turn(work)
        await self._in_turn(self._lookout.look)
        self._lookout.start(self._in_turn)
        return frozenset(self._denials.said) | refused

    def remarks(self) -> tuple[str, ...]:
        """See `Networks.remarks`."""
        lacking = lacking_ipv6(self._facts) if self._facts is not None else ()
        return (*self._lookout.remarks, *self._ports.remarks, *self._denials.said.values(), *lacking)

    def interfaces(self) -> tuple[str, ...]:
        """See `Networks.interfaces`."""
        return self._lookout.interfaces

    async def audit(self, *, repair: bool = False, processes: Mapping[str, Process] = NOBODY) -> Look:
        """See `Networks.audit`."""

        def work() -> Look:
            if repair:
                self._find_again(processes)
                self._have = None
                self._converge(None)
            facts = self._facts and self._current_facts()
            aside = Aside(self._denials.said, self._denials.tasks(self._sandboxes))
            if facts is None:
                return Look()
            # from the tables alone: what is remembered of them is audited, too
            return compare(self._places, replace(facts, memory=Memory()), aside, processes)

        if repair:
            self._sweeper.sweep(self._tables)
            await self._sweeper.settled()
        return await self._in_turn(work)

    async def close(self) -> None:
        """See `Networks.close`."""
        await self._sweeper.close()
        await self._lookout.close()
        await self._in_turn(self._places.close)
        self._ports.close()
        self._thread.shutdown()

    async def _in_turn(self, work: Callable[[], R]) -> R:
        async with self._turn:
            done = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        if self._anew:
            self._anew = False
            self._sweeper.sweep(self._tables)
        return done

    def _put(self, known: dict[str, T], network_id: str, new: T) -> None:
        """Have something new of a network hold; if it cannot, what was known before: nothing else waits for it."""
        before = known.get(network_id)
        known[network_id] = new
        try:
            self._converge(around(network_id, self._networks, self._sandboxes))
        except BaseException:
            del known[network_id]
            if before is not None:
                known[network_id] = before
            raise

    def _takes(self, table: NetworkTable) -> bool:
        try:
            self._put(self._tables, table.network_id, table)
        except NetworkFault as fault:
            _log.error("the table of network %s cannot be in force: %s", table.network_id, fault)
            return False
        return True

    def _converge(self, scope: Collection[str] | None) -> None:
        """Make the namespaces in `scope` what they should be; once more from what is read back, if that fails.

        The kernel removes links of ended namespaces a moment later, so what was read can be gone by now. A
        network that the host denies is set aside, and the rest goes on without it.
        """
        second = False
        while True:
            try:
                return self._attempt(scope)
            except NetworkFault as fault:
                denied = self._denials.with_vni(fault.vni, self._mentioned())
                if denied:
                    _log.error("network %s is set aside, with its tasks: %s", denied, fault)
                    self._denials.add(denied, str(fault), now_ms())
                elif second:
                    raise
                else:
                    _log.warning("reading everything back and trying once more: %s", fault)
                    second = True
                scope = None

    def _ask_again(self, network_ids: Collection[str]) -> bool:
        again = self._denials.ask_again(network_ids, now_ms())
        if again:
            self._have = None
        return again

    def _attempt(self, scope: Collection[str] | None) -> None:
        """Plan and carry out; for all namespaces (None) if nobody knows what is there."""
        aside = self._denials.tasks(self._sandboxes)
        if self._have is None or (self._aside - aside) & self._sandboxes.keys():
            scope = None  # who is no longer set aside shows in more places than what let him back
            self._read_back()
        assert self._have is not None
        facts = self._facts = self._current_facts()
        if scope is not None and self._others is not facts.others():
            scope = {*scope, NODE}  # who may send here has changed
        wanted = wanted_names(facts)
        every = (wanted | self._have.keys() | set(self._broken)) - aside
        chosen = every if scope is None else every & set(scope)
        want = {name: namespace(facts, name) for name in sorted(chosen & wanted)}
        have = {name: self._have[name] for name in sorted(chosen) if name in self._have}
        if scope is None:
            have = {name: with_settings(self._places, name, have[name], want.get(name)) for name in have}
        try:
            carry_out(self._places, plan(have, want, [each for each in self._broken if each in chosen]))
        except BaseException:
            self._have = None
            self._places.close()
            raise
        for name in chosen - wanted:
            self._have.pop(name, None)
            facts.memory.forget_task(name)
        self._have.update(want)
        self._broken = tuple(each for each in self._broken if each not in chosen)
        self._aside, self._anew = aside, self._anew or scope is None
        if NODE in chosen:
            self._others = facts.others()
            self._ports.hold(forwarded_keys(self._have.get(NODE, Netns())))

    def _find_again(self, processes: Mapping[str, Process]) -> None:
        """Have the namespaces of living containers bear the names of their tasks, whatever happened meanwhile."""
        self._places.close()  # an open channel would keep a namespace, and its VNI, that lost its name
        self._places.find_again({id: each for id, each in processes.items() if id in self._sandboxes})

    def _read_back(self) -> None:
        """Learn what is there, what the host is like, and which gateway addresses are given."""
        settings = self._settings
        try:
            around = surroundings(self._places, settings.data_address)
            found = observe(self._places)
        except OSError as error:
            self._places.close()
            raise NetworkFault(f"cannot read back the node's networks: {error}") from error
        if not around.mtu and (self._networks or self._sandboxes):  # to remove everything, none is needed
            raise FailedPrecondition(
                f"no link of this host has the data address {settings.data_address}; "
                "give one that is there (--data-path-addr)"
            )
        taken = [*found.foreign_routes, *self._known().subnets]
        standing = gateway.recover(found.node, taken) or gateway.choose(taken)
        self._have, self._broken = dict(found.node), found.broken
        self._facts = Facts(settings.host(around), standing)

    def _mentioned(self) -> list[Network]:
        attached = (each.network for box in self._sandboxes.values() for each in box.attachments)
        return [*self._networks.values(), *attached]

    def _known(self) -> Known:
        own, mtu = self._settings.data_address, self._facts.host.mtu if self._facts else 0
        return known(self._mentioned(), own, mtu, parents_of(self._sandboxes))

    def _seen(
        self, there: frozenset[str], filtered: frozenset[Family] | None = None, flushed: bool = False
    ) -> None:
        """Take up what the host is like now: tasks' places on LANs go and come with its interfaces."""
        if self._facts is None:
            return
        known = self._facts.host
        if there != known.interfaces:
            self._facts = self._facts.with_interfaces(there)
        moved = there != known.interfaces and parents_of(self._sandboxes)
        if flushed or moved or filtered not in (None, known.filtered):
            self._have = None
            self._converge(None)

    def _current_facts(self) -> Facts:
        """The facts of now: gateway addresses for exactly the tasks that have a way out."""
        assert self._facts is not None
        aside = self._denials.tasks(self._sandboxes)
        sandboxes = {task: each for task, each in self._sandboxes.items() if task not in aside}
        out = [task for task, sandbox in sandboxes.items() if has_way_out(sandbox)]
        return replace(
            self._facts,
            gateway=self._facts.gateway.with_tasks(out),
            networks={id: each for id, each in self._networks.items() if id not in self._denials.said},
            tables=dict(self._tables),
            sandboxes=sandboxes,
        )


_: type[Networks] = NetlinkNetworks
