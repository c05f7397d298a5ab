"""The driver of networks while the kernel fails, VNIs are taken, and tables, tasks and networks come and go.

Whatever has failed and was done again in the end stands as if nothing had, and nothing is left of what went.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace as with_
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.network import ops
from agent.network.driver import NetlinkNetworks
from agent.network.seam import Attachment, NetworkFault, Sandbox
from covey.errors import CoveyError
from covey.model.objects import ClusterVersion
from covey.model.specs import PortConfig
from covey.model.states import EndpointState, MeshMode, PublishMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow
from tests.properties.test_network_plan import NETWORKS, addresses, endpoint
from tests.support.network_kernel import NODE_ID, VTEP, Host, check, networks

INGRESS, A, B, C, LAN = 1, 2, 3, 4, 5
HOST_PORT = PortConfig(target_port=80, published_port=9000, publish_mode=PublishMode.HOST)
Call = Callable[[], Awaitable[object]]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """Faults are written to the log at length."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def id_of(place: int) -> str:
    return NETWORKS[place - 1].id


def box(task: str, *places: int, number: int = 10, ports: tuple[PortConfig, ...] = ()) -> Sandbox:
    attached = (Attachment(NETWORKS[each - 1], endpoint(each, number, task)) for each in places)
    return Sandbox(task, tuple(attached), ports)


def row(place: int, number: int, node: int = 2, state: EndpointState = EndpointState.ACTIVE) -> EndpointRow:
    far = endpoint(place, number, f"r{number}")
    vtep = f"192.0.2.{node}"
    return EndpointRow(
        far.id, far.number, far.addresses, f"n{node}", vtep, state, far.task_id, service_id="s1"
    )


def table(place: int, *rows: EndpointRow, version: int = 1) -> NetworkTable:
    service = ServiceRow("s1", "s1", virtual_ips=addresses(place, 250) if place > 1 else ())
    return NetworkTable(id_of(place), ClusterVersion(1, version), rows, (service,))


def played(script: Callable[[Host, NetlinkNetworks], Coroutine[None, None, None]]) -> None:
    host = Host()
    with networks(host) as made:

        async def play() -> None:
            await script(host, made)
            check(host, made)
            await made.close()

        asyncio.run(play())


def test_a_network_that_could_not_be_built_is_built_when_it_is_learnt_again() -> None:
    async def script(host: Host, made: NetlinkNetworks) -> None:
        await made.attach(box("t1", A))
        host.failures = 2
        with pytest.raises(NetworkFault):
            await made.learn(NETWORKS[INGRESS - 1])
        await made.learn(NETWORKS[INGRESS - 1])

    played(script)


def test_ports_that_could_not_be_closed_are_closed_when_that_is_asked_again() -> None:
    async def script(host: Host, made: NetlinkNetworks) -> None:
        await made.attach(box("t1", A, ports=(HOST_PORT,)))
        host.failures = 2
        with pytest.raises(NetworkFault):
            await made.close_ports("t1")
        await made.close_ports("t1")

    played(script)


def test_connections_are_swept_though_the_table_came_into_force_at_the_third_try() -> None:
    async def script(host: Host, made: NetlinkNetworks) -> None:
        await made.attach(box("t1", A))
        await made.apply(table(A, row(A, 100), row(A, 101)))
        await made.apply(table(A, row(A, 100), row(A, 101), version=2))
        host.swept.clear()
        host.failures = 2
        left = table(A, row(A, 100), version=3)
        with pytest.raises(NetworkFault):
            await made.apply(left)
        await made.apply(left)
        assert host.swept == {id_of(A)}

    played(script)


def test_of_a_task_that_is_refused_in_the_end_nothing_is_left() -> None:
    async def script(host: Host, made: NetlinkNetworks) -> None:
        await made.attach(box("t1", A))
        host.sockets_gone = True
        with pytest.raises(OSError, match="too many open files"):
            await made.attach(box("t2", B, ports=(HOST_PORT,)))

    played(script)


@pytest.mark.parametrize("way", ["attach", "forget"])
def test_who_was_set_aside_has_all_his_networks_again(way: str) -> None:
    async def script(host: Host, made: NetlinkNetworks) -> None:
        await made.attach(box("t1", A, B, INGRESS))
        host.taken = {NETWORKS[C - 1].vni}
        if way == "attach":
            with pytest.raises(NetworkFault, match="taken"):
                await made.attach(box("t1", A, B, INGRESS, C))
        else:
            await made.reconcile([], [], [box("t1", A, B, INGRESS, C)])
            host.taken = set()
            await made.forget(id_of(C))
        await made.apply(table(A, row(A, 100)))

    played(script)


def test_a_table_that_the_kernel_does_not_take_stops_no_other() -> None:
    async def script(host: Host, made: NetlinkNetworks) -> None:
        await made.attach(box("t1", A))
        await made.apply(table(A, row(A, 100)))
        host.refused = {"192.0.2.7"}
        for _ in range(2):
            with pytest.raises(NetworkFault, match="never takes"):
                await made.apply(table(A, row(A, 100), row(A, 101, node=7), version=2))
            await made.attach(box("t2", B))
            await made.apply(table(B, row(B, 100)))
        check(host, made)
        both = table(A, row(A, 101, node=7), version=2), table(B, row(B, 101), version=2)
        assert await made.reconcile([], both, [box("t1", A), box("t2", B)]) == {id_of(A)}, "nor at the start"
        assert made._tables[id_of(B)].version.index == 2
        check(host, made)
        await made.apply(table(A, row(A, 101), version=3))

    played(script)


def test_an_interface_that_is_back_is_so_for_all_whoever_saw_it_first() -> None:
    async def script(host: Host, made: NetlinkNetworks) -> None:
        await made.attach(box("t1", LAN))
        host.interfaces = frozenset()
        host.kernel.step(ops.RemoveLink("t1", "eth0"))
        await made._in_turn(made._lookout.look)
        host.interfaces = frozenset({"eth7"})
        await made.attach(box("t2", LAN, number=11))
        await made._in_turn(made._lookout.look)

    played(script)


class World:
    """What managers have said last, and what of it the driver has yet to be asked again."""

    def __init__(self, host: Host, made: NetlinkNetworks) -> None:
        self.host, self.made, self.dice = host, made, host.dice
        self.tables: dict[str, NetworkTable] = {}
        self.learnt: set[int] = set()
        self.boxes: dict[str, Sandbox] = {}
        self.pending: dict[str, Call] = {}
        self.number = 9

    async def turn(self) -> None:
        """Something happens, and now and then something is wrong with the host."""
        dice, host = self.dice, self.host
        host.now_ms += dice.choice([0, 10, 1_000, 100_000])
        if dice.random() < 0.25:
            host.failures = dice.randrange(5)
        if dice.random() < 0.1:
            host.taken ^= {dice.choice(NETWORKS).vni}
        key, call = dice.choice([self.change, self.change, self.learn, self.attach, self.end, self.forget])()
        if key:
            self.pending[key] = call
            await self.ask(key)
        if dice.random() < 0.5:
            await self.ask_again()

    async def ask(self, key: str) -> None:
        """Ask the driver; what it refuses is asked again later."""
        try:
            await self.pending[key]()
        except CoveyError:
            return
        del self.pending[key]
        if not self.pending:
            check(self.host, self.made)

    async def ask_again(self) -> None:
        """Ask what was refused."""
        for key in list(self.pending):
            await self.ask(key)

    async def grant(self, place: int) -> None:
        """A network and its table, as `Hands.grant` has them come into force."""
        if place in self.learnt:
            await self.made.learn(NETWORKS[place - 1])
        if id_of(place) in self.tables:
            await self.made.apply(self.tables[id_of(place)])

    def learn(self) -> tuple[str, Call]:
        place = self.dice.randint(1, 5)
        self.learnt.add(place)
        return id_of(place), partial(self.grant, place)

    def change(self) -> tuple[str, Call]:
        dice, place = self.dice, self.dice.randint(1, 4)
        known = self.tables.get(id_of(place), NetworkTable(id_of(place)))
        rows = {each.endpoint_id: each for each in known.endpoints}
        for _ in range(dice.randint(1, 3)):
            far = row(place, dice.randint(100, 105), dice.randint(1, 3), dice.choice(list(EndpointState)))
            if rows.pop(far.endpoint_id, None) is None or dice.random() < 0.6:
                rows[far.endpoint_id] = replace(far, keeps_client_address=dice.random() < 0.5)
        if place == INGRESS and dice.random() < 0.5:
            own = endpoint(INGRESS, dice.randint(201, 202), "")
            rows["own"] = EndpointRow("own", own.number, own.addresses, NODE_ID, VTEP)
        port = PortConfig(target_port=80, published_port=8000, mesh=dice.choice(list(MeshMode)))
        virtual = addresses(place, dice.randint(250, 251)) if place != INGRESS else ()
        service = ServiceRow("s1", "s1", virtual_ips=virtual, ports=(port,) * dice.randint(0, 1))
        version = ClusterVersion(1, known.version.index + 1)
        services = (service,) * dice.randint(0, 1)
        ordered = tuple(rows[each] for each in sorted(rows))
        self.tables[id_of(place)] = NetworkTable(id_of(place), version, ordered, services)
        return id_of(place), partial(self.grant, place)

    def attach(self) -> tuple[str, Call]:
        """A task comes, or one that stands has its networks asked for again, of which there may be more now."""
        task = self.dice.choice(["t1", "t2", "t3"])
        has = self.boxes.get(task, Sandbox(task))
        on = {each.network.id for each in has.attachments}
        free = [each for each in range(1, 6) if id_of(each) not in on and (each != B or self.host.ipv6)]
        more = self.dice.sample(free, self.dice.randint(0, min(len(free), 1 if on else 3)))
        self.number = 10 + (self.number + 1) % 80
        ports = (HOST_PORT,) * self.dice.randint(0, 1) if task not in self.boxes else has.host_ports
        new = box(task, *more, number=self.number, ports=ports)
        self.boxes[task] = with_(new, attachments=(*has.attachments, *new.attachments))
        return task, partial(self.made.attach, self.boxes[task])

    def end(self) -> tuple[str, Call]:
        """A task ends, or its ports do."""
        if not self.boxes:
            return "", self.ask_again
        task = self.dice.choice(sorted(self.boxes))
        if task in self.pending or self.dice.random() < 0.7:
            del self.boxes[task]
            return task, partial(self.made.detach, task)
        self.boxes[task] = with_(self.boxes[task], host_ports=())
        return task, partial(self.made.close_ports, task)

    def forget(self) -> tuple[str, Call]:
        place = self.dice.randint(1, 5)
        used = {each.network.id for one in self.boxes.values() for each in one.attachments}
        if id_of(place) in used:
            return "", self.ask_again
        self.learnt.discard(place)
        self.tables.pop(id_of(place), None)
        return id_of(place), partial(self.made.forget, id_of(place))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25), st.booleans(), st.booleans())
def test_what_failed_and_was_done_again_stands(seed: int, turns: int, ipv6: bool, keeps: bool) -> None:
    host = Host(Random(seed), ipv6=ipv6)

    async def play(made: NetlinkNetworks) -> None:
        world = World(host, made)
        for _ in range(turns):
            await world.turn()
        host.failures, host.taken = 0, set()
        for _ in range(4):
            host.now_ms += 1_000_000
            await world.ask_again()
        assert not world.pending
        assert made._sandboxes == world.boxes
        assert made._tables == world.tables
        remembered = made._facts.memory if made._facts is not None else None
        assert (
            {task for task, _ in remembered.led if remembered} <= world.boxes.keys() if remembered else True
        )
        check(host, made) if remembered else None
        await made.close()

    with networks(host, keeps_client_address=keeps) as made:
        asyncio.run(play(made))
