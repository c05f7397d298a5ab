"""A task that is to end waits for whoever is connected to it, also when its agent is killed meanwhile."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devcluster import cluster
from devcluster.nodes import kill_process
from devcluster.place import OUTSIDE, address_of
from tests.support import traces
from tests.support.stand import Stand
from tests.support.traces import Process

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


@contextmanager
def connected(stand: Stand, port: int) -> Iterator[None]:
    """A connection through w1's published port, on which nobody says anything."""
    script = f"exec 3<>/dev/tcp/{address_of('w1')}/{port} && echo open && read"
    argv, variables = cluster.inside(stand.place, OUTSIDE, ("bash", "-c", script))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, **pipes, env=os.environ | variables) as client:  # type: ignore[call-overload]
        try:
            assert client.stdout.readline() == b"open\n"
            yield
        finally:
            client.kill()


def served(stand: Stand, *publish: str, drain: str) -> Process:
    """The service `web` with one task, on w1; its container."""
    here = ("--constraint", "node.hostname==w1", "--drain-time", drain)
    stand.covey("service", "create", "--name", "web", *here, *publish, f"{stand.web}:1")
    (task,) = stand.running("web")
    return traces.containers(stand.place, "w1")[task.id]


def lives_on(process: Process, for_s: float) -> bool:
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline and process.lives:
        time.sleep(0.05)
    return process.lives


@pytest.mark.parametrize("mode", ["ingress", "host"])
def test_a_connection_is_waited_for_also_by_the_next_agent(stand: Stand, mode: str) -> None:
    web = served(stand, "--publish", f"published=8085,target=80,mode={mode}", drain="5m")
    stand.until("the port to answer", lambda: stand.answers("w1", 8085))
    with connected(stand, 8085):
        stand.covey("service", "scale", "--detach", "web=0")
        stand.until("nothing new to come", lambda: not stand.answers("w1", 8085))
        assert lives_on(web, 3)
        kill_process(stand.place, "w1", "agent")
        assert lives_on(web, 5)
        assert not stand.answers("w1", 8085), "the next agent opens nothing again"
    began = time.monotonic()
    stand.until("the container's end", lambda: not web.lives)
    print(f"ended {time.monotonic() - began:.1f} s after its last connection")
    stand.until("the task's end", lambda: stand.running("web") == [])


def test_the_drain_time_bounds_it(stand: Stand) -> None:
    web = served(stand, "--publish", "8086:80", drain="3s")
    stand.until("the port to answer", lambda: stand.answers("w1", 8086))
    with connected(stand, 8086):
        stand.covey("service", "scale", "--detach", "web=0")
        stand.until("the container's end", lambda: not web.lives)


def test_without_connections_nothing_is_waited_for(stand: Stand) -> None:
    web = served(stand, "--publish", "8087:80", drain="5m")
    began = time.monotonic()
    stand.covey("service", "scale", "--detach", "web=0")
    stand.until("the container's end", lambda: not web.lives)
    print(f"ended {time.monotonic() - began:.1f} s after it was told to")
