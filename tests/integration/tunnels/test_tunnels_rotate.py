"""Keys change while packets are counted: all arrive, whoever dies meanwhile does not matter, the old keys go."""

import contextlib
import itertools
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.tunnels.io import keys
from covey.io import netns
from tests.integration.tunnels.test_tunnels_bed import eventually_clean, meets, served_by
from tests.support.network_bed import run_in
from tests.support.network_traffic import eventually
from tests.support.tunnel_bed import TunnelBed, TunnelHost

pytestmark = pytest.mark.root

_PAUSE_S = 0.002
_SO_RCVBUFFORCE = 33
_NUMBER = struct.Struct(">Q")


class Stream:
    """Numbered packets from one task to another, all the time."""

    def __init__(self, source: Path, target: Path, address: str) -> None:
        self._hearing = netns.socket_inside(target, socket.AF_INET, socket.SOCK_DGRAM)
        self._hearing.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
        self._hearing.bind(("0.0.0.0", 4000))
        self._hearing.settimeout(1.0)
        self._saying = netns.socket_inside(source, socket.AF_INET, socket.SOCK_DGRAM)
        self._address = address
        self._stop = threading.Event()
        self.sent = 0
        self.heard = set[int]()
        self._threads = [threading.Thread(target=self._say), threading.Thread(target=self._hear)]
        for each in self._threads:
            each.start()

    def _say(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            self._saying.sendto(_NUMBER.pack(number), (self._address, 4000))
            self.sent = number + 1
            time.sleep(_PAUSE_S)

    def _hear(self) -> None:
        while True:
            try:
                self.heard.add(_NUMBER.unpack(self._hearing.recv(100))[0])
            except TimeoutError:
                if self._stop.is_set():
                    return

    def end(self) -> list[int]:
        """Stop; the numbers that were lost."""
        self._stop.set()
        for each in self._threads:
            each.join(10)
        self._hearing.close()
        self._saying.close()
        return sorted(set(range(self.sent)) - self.heard)


@contextmanager
def counted(bed: TunnelBed) -> Iterator[list[Stream]]:
    """Count packets both ways; none may be lost."""
    first, second = bed.members
    one, other = first.task_path("t1"), second.task_path("t2")
    streams = [Stream(one, other, "10.7.0.2"), Stream(other, one, "10.7.0.1")]
    try:
        yield streams
    finally:
        lost = [stream.end() for stream in streams]
    print("sent", [stream.sent for stream in streams])
    assert lost == [[], []]


def generations(host: TunnelHost) -> list[int]:
    return [key.generation for key in host.reported()]


def leads_over(host: TunnelHost, device: str) -> bool:
    return f"dev {device} proto static" in run_in(host.path, "ip", "-6", "route")


def test_no_packet_is_lost_across_rotations(tunnels: TunnelBed) -> None:
    meets(tunnels)
    with counted(tunnels) as streams:
        for generation in (1, 2):
            tunnels.generation = generation
            tunnels.push()
            for host in tunnels.members:
                device = host.devices[generation % 2]
                eventually(lambda host=host, device=device: leads_over(host, device), "the new way", 10)
                eventually(
                    lambda host=host, own=generation: generations(host) == [own], "the old key goes", 15
                )
                old = host.devices[(generation + 1) % 2]
                eventually(lambda old=old: not served_by(old), "with its process")
                assert [each.generation for each in keys.load(host.state)] == [generation]
        assert all(stream.sent > 1000 for stream in streams)
    for host in tunnels.members:
        eventually_clean(host)


def test_keys_overlap_as_long_as_one_has_yet_to_hear(tunnels: TunnelBed) -> None:
    first, second = tunnels.members
    meets(tunnels)
    with counted(tunnels):
        tunnels.generation = 1
        table = tunnels.table(tunnels.network)
        first.call("apply", table=table)  # and the second has not heard
        time.sleep(4.0)
        assert generations(first) == [0, 1]
        assert leads_over(first, first.devices[0])
        tunnels.push()
        eventually(lambda: generations(first) == generations(second) == [1], "both have moved", 15)


def test_who_was_away_over_rotations_comes_back(tunnels: TunnelBed) -> None:
    first, second = tunnels.members
    meets(tunnels)
    second.stop(signal.SIGKILL)
    for generation in (1, 2, 3):
        tunnels.generation = generation
        tunnels.push()
        if generation == 1:
            meets(tunnels)  # nothing has happened yet to what it knows
    second.start()
    tunnels.reconcile(second)
    tunnels.push()
    meets(tunnels)
    eventually(lambda: generations(first) == generations(second) == [3], "the old keys go", 15)


@pytest.mark.parametrize("pause_s", [0.0, 0.05])
def test_an_agent_killed_while_keys_change_loses_nothing(tunnels: TunnelBed, pause_s: float) -> None:
    first, second = tunnels.members
    meets(tunnels)
    with counted(tunnels):
        tunnels.generation = 1
        table = tunnels.table(tunnels.network)
        second.call("apply", table=table)
        killer = threading.Timer(pause_s, lambda: os.kill(pid, signal.SIGKILL))
        assert first.process is not None
        pid = first.process.pid
        killer.start()
        with contextlib.suppress(Exception):  # whatever shows that it was killed
            first.call("apply", table=table)
        killer.join()
        first.stop(signal.SIGKILL)
        first.start()
        tunnels.reconcile(first)
        tunnels.push()
        eventually(lambda: generations(first) == generations(second) == [1], "both have moved", 15)
    for host in tunnels.members:
        eventually_clean(host)


def test_a_process_killed_while_keys_change_is_made_up_for(tunnels: TunnelBed) -> None:
    first, second = tunnels.members
    meets(tunnels)
    tunnels.generation = 1
    tunnels.push()
    for device in first.devices:
        if pid := served_by(device):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: generations(first) == generations(second) == [1], "both have moved", 15)
    eventually(lambda: leads_over(first, first.devices[1]), "and there is a way again")
    meets(tunnels)
    eventually_clean(first)
