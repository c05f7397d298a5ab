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
from covey.model.audit import Finding
from covey.model.objects import TunnelKey
from covey.model.tables import PeerRow
from covey.model.tunnels import tunnel_address, tunnel_prefix

from . import names, plan
from .calling import Calling
from .findings import findings
from .guard import Drops
from .io import devices, keys
from .io.underlay import mtu_of
from .io.wireguard import TunnelFault, WireGuard
from .keeping import Keeping
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

    def __init__(self, settings: Settings, make: WireGuard | None, why: str = "") -> None:
        self._settings = settings
        self._make, self._why = make, why
        address = tunnel_address(settings.cluster_id, settings.node_id)
        prefix = str(tunnel_prefix(settings.cluster_id))
        self._own = Own(settings.node_id, address, prefix, 0, settings.vxlan_port)
        self._keeping = Keeping(settings.node_id)
        self._loaded = False
        self._networks: Mapping[str, Encrypted] = {}  # replaced, never changed: the thread may be reading it
        self._told: dict[tuple[str, str], str] = {}  # endpoints that we gave peers
        self._dropped = Drops()
        self._trouble = ""
        self._silence = Silence()
        self._calling = Calling(address)
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
        before = self._networks.get(network.network_id)
        if before is not None and network.version < before.version:
            network = replace(before, vni=network.vni)  # a task comes, and the table was here before
        if before != network or self._trouble:
            self._networks = {**self._networks, network.network_id: network}
            await self._in_turn(self._converge)
        self._look_out()

    async def drop(self, network_id: str) -> None:
        """See `Tunnels.drop`."""
        if network_id in self._networks:
            self._networks = {id: each for id, each in self._networks.items() if id != network_id}
            await self._in_turn(self._converge)

    async def reconcile(self, networks: Iterable[Encrypted]) -> None:
        """See `Tunnels.reconcile`."""
        self._networks = {each.network_id: each for each in networks} if self._make is not None else {}
        await self._in_turn(self._clear_others)
        await self._in_turn(self._converge)
        self._look_out()

    async def keys(self, told: tuple[TunnelKey, ...] | None = None) -> tuple[TunnelKey, ...]:
        """See `Tunnels.keys`."""
        while (now := tuple(key.said() for key in self._keeping.keys)) == told:
            await self._changed.wait()
        return now

    def remarks(self) -> tuple[str, ...]:
        """See `Tunnels.remarks`."""
        said = (self._why, self._trouble, *self._silence.remarks(_now_ms()))
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

    async def _in_turn(self, work: Callable[[], R]) -> R:
        async with self._turn:
            known = self._keeping.keys
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
            finally:
                if self._keeping.keys != known:
                    self._changed.set()
                    self._changed = asyncio.Event()

    def _look_out(self) -> None:
        if self._looker is None:
            self._looker = asyncio.get_running_loop().create_task(self._mend(), name="tunnels")

    async def _mend(self) -> None:
        """Make right again what has changed by itself: ended processes, peers that have answered, old keys."""
        while True:
            busy = self._calling.busy(_now_ms())
            await asyncio.sleep(limits.tunnel_call_s if busy else self._settings.period_s)
            if not self._networks:
                continue
            try:
                await self._in_turn(self._converge)
            except (CoveyError, OSError) as error:
                if str(error) != self._trouble:
                    _log.error("tunnels are not as they should be, trying again: %s", error)
                self._trouble = str(error)
            except Exception:  # noqa: BLE001  told, and tried again
                _log.exception("tunnels are not looked after for a moment, by our own fault")

    def _converge(self) -> None:
        """Read what stands, decide, and make it so."""
        if self._make is None or (not self._networks and not self._has_keys()):
            devices.clear(names.devices(self._own.node_id))
            keys.save(self._settings.keys, ())
            self._keeping.keys = ()
            self._silence = Silence()
            return
        have = self._read()
        self._silence.note(have, _now_ms())
        self._keep(have)
        again = self._calling.again(have.devices, _now_ms())
        want = self._wanted(have)
        steps = plan.plan(have, want, self._told, again)
        private = {key.public_key: key.private_key for key in self._keeping.keys}
        try:
            devices.carry_out(self._make, steps, private, guard(self._own, self._vnis()))
        except OSError as error:
            raise TunnelFault(f"this host denies the tunnels a step: {error}") from error
        self._note(steps)
        self._trouble = ""

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

    def _has_keys(self) -> bool:
        if not self._loaded:
            self._keeping.keys = keys.load(self._settings.keys)
            self._loaded = True
        return bool(self._keeping.keys)

    def _read(self) -> State:
        node = self._own.node_id
        try:
            have, dropped = devices.read(names.devices(node), self._make, guard(self._own, self._vnis()))
            size = mtu_of(self._settings.data_address)
        except OSError as error:
            raise TunnelFault(f"cannot read back the node's tunnels: {error}") from error
        if not size and self._networks:
            raise TunnelFault(f"no link of this host has the data address {self._settings.data_address}")
        if self._networks and size < limits.tunnel_underlay_mtu_min:
            raise TunnelFault(
                f"the link with {self._settings.data_address} takes {size} bytes at most, and tunnels need "
                f"{limits.tunnel_underlay_mtu_min}; raise its MTU"
            )
        self._own = replace(self._own, mtu=size)
        for note in dropped.since(self._dropped).notes():
            _log.warning("%s", note)
        self._dropped = dropped
        return have

    def _keep(self, have: State) -> None:
        """Make the key of a new generation, drop those that nobody needs; on the disk before anything follows."""
        self._has_keys()
        rows, before = self._rows(), self._keeping.keys
        if (lacking := self._keeping.lacks(rows.values())) is not None:
            self._keeping.add(keys.make(lacking))
            _log.info("this node's tunnels get a key of generation %d", lacking)
        if rows or not self._networks:
            self._keeping.retire(rows, have, _now_ms())
        if self._keeping.keys != before:
            keys.save(self._settings.keys, self._keeping.keys)

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


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _key_findings(path: Path, whole: bool) -> Iterable[Finding]:
    if not whole:
        yield Finding("key", str(path), "does not hold the keys in use")
    if path.exists() and path.stat().st_mode & 0o077:
        yield Finding("key", str(path), "can be read by others than root")


_: type[Tunnels] = NodeTunnels
