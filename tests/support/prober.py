"""Asking a service without a pause, by name from containers and by its published port, while things break."""

import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from typing import Self

from tests.support.stand import ANSWER, Stand
from tests.support.traces import Process

_BOUND_S = 60.0


def inside(process: Process, *program: str) -> str:
    """What a program of the container's own image prints in it; its complaint if it fails."""
    enter = ["nsenter", "-t", str(process.pid), "-m", "-n", "-u", "-r", "-w", "--"]
    done = subprocess.run([*enter, *program], capture_output=True, text=True, timeout=_BOUND_S, check=False)
    return (
        done.stdout.strip() if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr.strip()}"
    )


def asked_by_name(client: Process, url: str = "http://web/") -> str:
    """The answer of a service to curl in a container."""
    return inside(client, "curl", "-s", "-S", "--max-time", "3", url)


def addresses_of(client: Process, name: str) -> list[str]:
    """What a name resolves to in a container."""
    lines = inside(client, "nslookup", "-type=a", name).splitlines()
    return sorted(line.split()[-1] for line in lines if line.startswith("Address") and "#" not in line)


def web_and_clients(stand: Stand, replicas: int, port: int) -> None:
    """The services `web` and `client` (one on each node), on a network of their own; wait until all run."""
    stand.covey("network", "create", "net1")
    stand.covey(
        "service", "create", "-d", "--name", "web", "--replicas", str(replicas), "--network", "net1",
        "--publish", f"{port}:80", f"{stand.web}:1",
    )  # fmt: skip
    stand.covey(
        "service", "create", "-d", "--name", "client", "--mode", "global", "--network", "net1", stand.tools
    )  # fmt: skip
    stand.until("the clients", lambda: set(stand.spread("client")) == set(stand.asked.nodes))
    stand.until(f"{replicas} tasks", lambda: len(stand.running("web")) == replicas)
    for node in stand.asked.nodes:
        stand.until(f"the port of {node}", partial(stand.answers, node, port))


class Prober:
    """Asks as long as it is entered; `failures` are what came instead of answers, with the time of each.

    `clients` are containers by their node; the service is `web`, on port 80 by name and `port` on all nodes.
    """

    def __init__(self, stand: Stand, clients: Mapping[str, Process], port: int) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._stand = stand
        self._clients = clients
        self._port = port
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prober")

    def __enter__(self) -> Self:
        self._asking = self._pool.submit(self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._asking.result(2 * _BOUND_S)
        self._pool.shutdown()

    def _ask(self) -> None:
        for node in cycle(self._stand.asked.nodes):
            if self._stopping.is_set():
                return
            self._note(f"by name on {node}", asked_by_name(self._clients[node]))
            self._note(f"port {self._port} of {node}", self._stand.curl(node, self._port))

    def _note(self, how: str, answer: str) -> None:
        if ANSWER.search(answer):
            self.answers += 1
        else:
            self.failures.append(f"{time.strftime('%H:%M:%S')} {how}: {answer or 'no answer'}")
