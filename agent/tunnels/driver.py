"""The real make of `Tunnels`: keys, peers and what stands in; steps out, carried out by one thread.

It reads before it acts, always: a process may have ended, a peer may have answered, at any time.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from agent.audit.look import Look
from covey import limits
from covey.errors import CoveyError, FailedPrecondition
from covey.io.clock import now_ms
from covey.model.audit import Finding
from covey.model.objects import TunnelKey
from covey.model.tables import PeerRow
from covey.model.tunnels import tunnel_address, tunnel_prefix

from . import names, plan
from .calling import Calling
from .clock import Clock
from .findings import findings
from .guard import Drops, digest
from .io import devices, guarding, keys
from .io.underlay import mtu_of
from .io.wireguard import TunnelFault, Unguarded, WireGuard
from .keeping import Keeping, Key
from .plan import Step
from .seam import Encrypted, Tunnels
from .silence import Silence
from .state import NOTHING, State
from .wish import Own, guard, wish

R = TypeVar("R")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """Who the node is, where its underlay is, where its private keys lie."""

    cluster_id: str
    node_id: str
    data_address: str
    keys: Path
    vxlan_port: int = limits.vxlan_port
    period_s: float = limits.tunnel_look_s


class NodeTunnels:
    """See `Tunnels`. `make` is the WireGuard that works here; if none does, `why` says why not."""

    def __init__(
        self,
        settings: Settings,
        make: WireGuard | None,
        why: str = "",
        day_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        self._make, self._why = make, why
        address = tunnel_address(settings.cluster_id, settings.node_id)
        prefix = str(tunnel_prefix(settings.cluster_id))
        self._own = Own(settings.node_id, address, prefix, 0, settings.vxlan_port)
        self._keeping = Keeping(settings.node_id)
        self._loaded = False
        self._set_back = False  # the clock, so that keys must be others
        self._asked: Mapping[str, Encrypted] = {}  # what we were asked for last; replaced, never changed
        self._networks: Mapping[str, Encrypted] = {}  # the thread's: what it makes, or has made, so
        self._settled = True  # what was asked for stands, as far as we know
        self._failures = 0  # in a row
        self._told: dict[tuple[str, str], str] = {}  # endpoints that we gave peers
        self._dropped = Drops()
        self._trouble = ""
        self._said: tuple[TunnelKey, ...] = ()  # once they are on the disk
        self._announced: tuple[TunnelKey, ...] = ()
        self._silence = Silence()
        self._calling = Calling(address)
        self._clock, self._day_ms = Clock(), day_ms
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tunnels")
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()  # replaced whenever keys change: a broadcast
        self._looker: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """See `Tunnels.address`."""
        return self._own.address if self._make is not None else ""

    async def use(self, network: Encrypted) -> None:
        """See `Tunnels.use`."""
        if self._make is None:
            raise FailedPrecondition(f"this node cannot encrypt: {self._why}")
        before = self._asked.get(network.network_id)
        if before is not None and network.version < before.version:
            network = replace(before, vni=network.vni)  # a task comes, and the table was here before
        if before != network or not self._settled:
            self._asked = {**self._asked, network.network_id: network}
            await self._settle()

    async def drop(self, network_id: str) -> None:
        """See `Tunnels.drop`."""
        if network_id in self._asked:
            self._asked = {id: each for id, each in self._asked.items() if id != network_id}
            await self._settle()

    async def reconcile(self, networks: Iterable[Encrypted]) -> None:
        """See `Tunnels.reconcile`."""
        self._asked = {each.network_id: each for each in networks} if self._make is not None else {}
        await self._in_turn(self._clear_others)
        await self._settle()

    async def keys(self, told: tuple[TunnelKey, ...] | None = None) -> tuple[TunnelKey, ...]:
        """See `Tunnels.keys`."""
        while (now := self._said) == told:
            await self._changed.wait()
        return now

    def remarks(self) -> tuple[str, ...]:
        """See `Tunnels.remarks`."""
        said = (self._why, self._trouble, *self._silence.remarks(now_ms()))
        return tuple(each for each in said if each)

    async def audit(self, *, repair: bool = False) -> Look:
        """See `Tunnels.audit`."""
        if repair:
            await self._in_turn(self._repair)
        return await self._in_turn(self._look)

    async def close(self) -> None:
        """See `Tunnels.close`."""
        if self._looker is not None:
            self._looker.cancel()
            await asyncio.wait([self._looker])
        if self._make is not None:
            await self._in_turn(self._make.close)
        self._thread.shutdown()

    async def _settle(self) -> None:
        """Make it as it was asked for. What fails is raised, and tried again from then on."""
        if self._looker is None:
            self._looker = asyncio.get_running_loop().create_task(self._mend(), name="tunnels")
        await self._in_turn(self._converge)

    async def _in_turn(self, work: Callable[[], R]) -> R:
        async with self._turn:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
            finally:
                if self._said != self._announced:  # also by one before, whose caller did not wait for its end
                    self._announced = self._said
                    self._changed.set()
                    self._changed = asyncio.Event()

    async def _mend(self) -> None:
        """Make right again what has changed by itself: ended processes, peers that have answered, old keys."""
        while True:
            await asyncio.sleep(self._pause_s())
            if self._settled and not self._asked:
                continue
            trouble = self._trouble
            try:
                await self._in_turn(self._converge)
            except CoveyError as error:
                if str(error) != trouble:
                    _log.error("tunnels are not as they should be, trying again: %s", error)
            except Exception:  # noqa: BLE001  told, and tried again
                _log.exception("tunnels are not looked after for a moment, by our own fault")

    def _pause_s(self) -> float:
        if self._failures:
            doubled = 1 << min(self._failures - 1, 16)
            return min(self._settings.period_s * doubled, limits.tunnel_retry_s_max)
        return limits.tunnel_call_s if self._calling.busy(now_ms()) else self._settings.period_s

    def _converge(self) -> None:
        """Read what stands, decide, and make it so: what was asked for last."""
        self._networks, self._settled = self._asked, False
        self._failures += 1  # unless it comes to its end
        try:
            self._make_right()
        except CoveyError as error:
            self._trouble = str(error)
            raise
        except OSError as error:
            self._trouble = f"this host denies the tunnels a step: {error}"
            raise TunnelFault(self._trouble) from error
        self._settled, self._failures, self._trouble = True, 0, ""

    def _make_right(self) -> None:
        self._load()
        if self._make is None or not (self._networks or self._keeping.keys):
            devices.clear(names.devices(self._own.node_id))
            self._keep_only(())
            self._silence = Silence()
            return
        have = self._guarded()
        self._check_underlay()
        self._silence.note(have, now_ms())
        denied = self._keep(have)
        again = self._calling.again(have.devices, now_ms())
        want = self._wanted(have)
        steps = plan.plan(have, want, self._told, again)
        private = {key.public_key: key.private_key for key in self._keeping.keys}
        devices.carry_out(self._make, steps, private, guard(self._own, self._vnis()))
        for name in want.devices:
            self._make.tend(name)
        self._note(steps)
        if denied:
            raise TunnelFault(denied)

    def _guarded(self) -> State:
        """Read what stands, and have the guard before anything that may fail: what it keeps out then stays out."""
        wanted = guard(self._own, self._vnis())
        try:
            have = self._read()
            if not self._networks or have.guard == digest(wanted):
                return have
            guarding.put(wanted)
        except (TunnelFault, OSError) as error:
            raise Unguarded(f"nothing may keep plaintext out of encrypted networks here: {error}") from error
        return replace(have, guard=digest(wanted))

    def _clear_others(self) -> None:
        try:
            for name in devices.clear_others(names.devices(self._own.node_id)):
                _log.warning("removed %s: this host was another node when it was made", name)
        except (CoveyError, OSError) as error:
            _log.error("the tunnels of another node stand here, and cannot be removed: %s", error)

    def _repair(self) -> None:
        keys.save(self._settings.keys, self._keeping.keys)
        self._told = {}
        self._converge()

    def _load(self) -> None:
        """Take up the keys on the disk, before anything can fail: peers that had to do without would cut us off."""
        if not self._loaded:
            path = self._settings.keys
            kept = keys.load(path)
            self._set_back = bool(kept) and self._clock.is_before(self._day_ms(), keys.made_ms(path))
            self._keep_only(kept, save=False)
            self._loaded = True

    def _keep_only(self, kept: tuple[Key, ...], *, save: bool = True) -> None:
        """Have these keys: nobody hears of one that is not on the disk."""
        if save:
            keys.save(self._settings.keys, kept)
        self._keeping.keys = kept
        self._said = tuple(key.said() for key in kept)

    def _read(self) -> State:
        node = self._own.node_id
        try:
            have, dropped = devices.read(names.devices(node), self._make)
            size = mtu_of(self._settings.data_address)
        except OSError as error:
            raise TunnelFault(f"cannot read back the node's tunnels: {error}") from error
        self._own = replace(self._own, mtu=size)
        for note in dropped.since(self._dropped).notes():
            _log.warning("%s", note)
        self._dropped = dropped
        return have

    def _check_underlay(self) -> None:
        size = self._own.mtu
        if not size and self._networks:
            raise TunnelFault(f"no link of this host has the data address {self._settings.data_address}")
        if self._networks and size < limits.tunnel_underlay_mtu_min:
            raise TunnelFault(
                f"the link with {self._settings.data_address} takes {size} bytes at most, and tunnels need "
                f"{limits.tunnel_underlay_mtu_min}; raise its MTU"
            )

    def _keep(self, have: State) -> str:
        """Make the key of a new generation, drop those that nobody needs; on the disk before anything follows.

        If the disk denies that the keys there are serve on, and why is said.
        """
        rows, before = self._rows(), self._keeping.keys
        if self._clock.was_set_back(self._day_ms(), now_ms()) or self._set_back:
            self._keeping.keys = tuple(keys.make(key.generation) for key in before)
            self._set_back = True  # until they are kept
        if (lacking := self._keeping.lacks(rows.values())) is not None:
            self._keeping.add(keys.make(lacking))
            _log.info("this node's tunnels get a key of generation %d", lacking)
        if rows or not self._networks:
            self._keeping.retire(rows, have, now_ms())
        kept, self._keeping.keys = self._keeping.keys, before
        try:
            if kept != before:
                self._keep_only(kept)
            if self._set_back and before:
                _log.warning(
                    "this host's clock was set back: its tunnels have new keys, for nobody heeds the old now"
                )
            self._set_back = False
        except OSError as error:
            return f"the keys of this node's tunnels cannot be changed: {error}"
        return ""

    def _wanted(self, have: State) -> State:
        if not self._networks:
            return NOTHING
        calls = self._calling.keeps_at_it
        return wish(self._own, self._keeping.keys, self._rows(), self._vnis(), have, calls)

    def _rows(self) -> dict[str, PeerRow]:
        """Peers by node; of one that is on several networks, what the newest table says."""
        found: dict[str, PeerRow] = {}
        for network in sorted(self._networks.values(), key=lambda each: each.version):
            found.update({row.node_id: row for row in network.peers})
        return found

    def _vnis(self) -> tuple[int, ...]:
        return tuple(sorted(network.vni for network in self._networks.values()))

    def _note(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case plan.SetKey(name) | plan.CreateDevice(name) | plan.RemoveDevice(name):
                    self._told = {key: told for key, told in self._told.items() if key[0] != name}
                case plan.SetPeer(name, key, endpoint) if endpoint:
                    self._told[name, key] = endpoint
                case plan.RemovePeer(name, key):
                    self._told.pop((name, key), None)
                case _:
                    pass

    def _look(self) -> Look:
        have = self._read()
        want = self._wanted(have)
        found = findings(plan.plan(have, want, self._told), have)
        stored = keys.load(self._settings.keys)
        return Look(
            1 + len(stored) + sum(1 + len(each.peers) for each in want.devices.values()) + len(want.routes),
            (*found, *_key_findings(self._settings.keys, stored == self._keeping.keys)),
            notes=tuple(self._dropped.notes()),
        )


def _key_findings(path: Path, whole: bool) -> Iterable[Finding]:
    if not whole:
        yield Finding("key", str(path), "does not hold the keys in use")
    if path.exists() and path.stat().st_mode & 0o077:
        yield Finding("key", str(path), "can be read by others than root")


_: type[Tunnels] = NodeTunnels
