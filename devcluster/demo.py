"""What `make demo` shows: services across three nodes, on real containers, in about a minute and a half.

Every step prints the command a person would type, runs exactly that, and then says what it saw. A step
that does not come about within its bound ends the demo with exit code 1, the cluster left as it is.
"""

import collections
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console

from covey.errors import CoveyError, Unavailable

from . import cluster, look, nodes
from .fabric import Fabric
from .place import OUTSIDE, Place, address_of
from .record import Record

NETWORK, WEB, CLIENT, PORT = "shop", "web", "client", 8080
_ANSWER = re.compile(r"version=(\S+) task=(\S+) node=(\S+) client=(\S+)")
_bound_s = 90.0
_poll_s = 0.3


@dataclass
class Demo:
    """The stage: a cluster, a screen, and the commands shown on it."""

    place: Place = field(default_factory=Place)
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    asked: Record = field(default_factory=lambda: Record(managers=3, workers=2))
    steps: int = 0

    def title(self, text: str) -> None:
        """Begin a step."""
        self.steps += 1
        self.console.print(f"\n[bold cyan]{self.steps}. {text}[/]")

    def saw(self, text: str) -> None:
        """Say what came of it."""
        self.console.print(f"   [green]✓[/] {text}")

    def covey(self, *arguments: str) -> str:
        """Show and run a `covey` command; what it printed."""
        self.console.print(f"   [dim]$[/] covey {' '.join(map(_quoted, arguments))}", markup=True)
        return self.asked_quietly(*arguments)

    def asked_quietly(self, *arguments: str) -> str:
        """What a `covey` command prints on the first manager that listens."""
        node = next(iter(look.managing(self.place)), "m1")
        return cluster.covey(self.place, node, *arguments, bound_s=_bound_s)

    def show(self, text: str, lines_max: int) -> None:
        """Print the first lines of what a command said."""
        for line in text.splitlines()[:lines_max]:
            self.console.print(f"     {line}", markup=False)

    def curl(self, node: str) -> str:
        """What the published port of `node` answers to a client that is no node; empty if it does not."""
        url = f"http://{address_of(node)}:{PORT}/"
        argv, _ = cluster.inside(self.place, OUTSIDE, ["curl", "-s", "--max-time", "3", url])
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False).stdout.strip()

    def answers(self, node: str) -> bool:
        """Whether the published port of `node` answers."""
        return bool(_ANSWER.search(self.curl(node)))

    def until(self, what: str, look: Callable[[], bool]) -> None:
        """Wait until `look` sees it. Raises Unavailable that names `what`."""
        deadline = time.monotonic() + _bound_s
        while not look():
            if time.monotonic() > deadline:
                raise Unavailable(f"waited {_bound_s:g} s in vain for {what}")
            time.sleep(_poll_s)

    def spread(self, service: str) -> str:
        """On which nodes a service's tasks run, as `m1: 2, w1: 2`."""
        counted = collections.Counter(task.node for task in look.running(self.place, service))
        return ", ".join(f"{node}: {count}" for node, count in sorted(counted.items()))


def _quoted(word: str) -> str:
    return f"'{word}'" if re.search(r"[\s;$&|]", word) else word


def start_cluster(demo: Demo) -> None:
    """A cluster of three managers and two workers, and nothing left on it of an earlier demo."""
    demo.title("A cluster: three managers, two workers, each a real coveyd in a network of its own")
    demo.console.print("   [dim]$[/] covey dev up --managers 3")
    began = time.monotonic()
    with demo.console.status("starting") as status:
        cluster.up(demo.place, demo.asked, lambda step: status.update(f"waiting for {step}"))
        for node in demo.asked.nodes:
            Fabric(demo.place).heal(node)
    for service in sorted(look.services(demo.place) & {WEB, CLIENT}):
        demo.covey("service", "rm", service)
    if NETWORK in look.networks(demo.place):
        demo.until("the old tasks to end", lambda: _removed(demo))
    demo.saw(f"{', '.join(demo.asked.nodes)} are ready after {time.monotonic() - began:.1f} s")


def _removed(demo: Demo) -> bool:
    try:
        demo.asked_quietly("network", "rm", NETWORK)
    except Unavailable:
        return False
    return True


def create_services(demo: Demo) -> None:
    """An overlay network, a web service of three, and a client."""
    demo.title("A network, a web service of three replicas on port 8080, and a client")
    image = f"{demo.place.registry}/demo"
    demo.covey("network", "create", NETWORK)
    demo.covey(
        "service", "create", "--name", WEB, "--replicas", "3", "--network", NETWORK,
        "--publish", f"{PORT}:80", "--update-parallelism", "2", "--update-order", "start-first", f"{image}/web:1",
    )  # fmt: skip
    ask = f"while :; do curl -s --max-time 2 http://{WEB}/ || echo no answer; sleep 0.5; done"
    demo.covey(
        "service",
        "create",
        "--name",
        CLIENT,
        "--network",
        NETWORK,
        "--stop-grace-period",
        "1s",
        f"{image}/tools:1",
        "sh",
        "-c",
        ask,
    )
    demo.saw(f"{WEB} runs on {demo.spread(WEB)}; {CLIENT} on {demo.spread(CLIENT)}")


def reach_by_name(demo: Demo) -> None:
    """The client's log: answers from several nodes, over the overlay, by the service's name."""
    demo.title("The client asks http://web/ over the overlay, by name")
    command = ("service", "logs", "--tail", "20", CLIENT)

    def answered() -> set[str]:
        return {match[3] for match in _ANSWER.finditer(demo.asked_quietly(*command))}

    demo.until(f"answers of {WEB} in the client's log", lambda: len(answered()) > 1)
    lines = [line for line in demo.covey(*command).splitlines() if _ANSWER.search(line)]
    demo.show("\n".join(lines[-3:]), 3)
    demo.saw(f"answered from {', '.join(sorted(answered()))}")


def reach_published(demo: Demo) -> None:
    """Port 8080 of every node, wherever the tasks are."""
    demo.title(f"Port {PORT} answers on every node, also to a client outside the cluster")
    seen = set[str]()
    for node in demo.asked.nodes:
        demo.console.print(
            f"   [dim]$[/] covey dev exec outside -- curl -s http://{address_of(node)}:{PORT}/"
        )
        demo.until(f"an answer on port {PORT} of {node}", partial(demo.answers, node))
        answer = demo.curl(node)
        demo.console.print(f"     {answer}", markup=False)
        seen.update(match[4] for match in _ANSWER.finditer(answer))
    whose = (
        "the client's own address"
        if seen == {address_of(OUTSIDE)}
        else "the address of the node that was asked"
    )
    demo.saw(f"the service sees {whose}")


@contextmanager
def asking(demo: Demo, node: str) -> Iterator[None]:
    """Have the published port of `node` asked without a pause meanwhile, then tell how many got no answer."""
    url = f"http://{address_of(node)}:{PORT}/"
    ask = f"while :; do curl -sf -o /dev/null --max-time 5 {url} && echo answered || echo lost; done"
    argv, _ = cluster.inside(demo.place, OUTSIDE, ["sh", "-c", ask])
    asker = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(asker.pid, signal.SIGTERM)
        told = collections.Counter(asker.communicate(timeout=_bound_s)[0].split())
    demo.saw(f"{told['answered']} requests from outside were answered meanwhile, {told['lost']} were lost")


def scale(demo: Demo) -> None:
    """From 3 to 12."""
    demo.title("From 3 replicas to 12")
    began = time.monotonic()
    demo.covey("service", "scale", f"{WEB}=12")
    demo.until("12 running tasks", lambda: len(look.running(demo.place, WEB)) == 12)
    demo.saw(f"12 run after {time.monotonic() - began:.1f} s: {demo.spread(WEB)}")


def update(demo: Demo) -> None:
    """Version 2, two tasks at a time, while the service answers; and what is known of it."""
    demo.title("A rolling update to version 2, two tasks at a time, and what it would do asked first")
    change = ("service", "update", "--image", f"{demo.place.registry}/demo/web:2", WEB)
    demo.show(demo.covey(*change, "--plan"), 6)
    began = time.monotonic()

    def versions() -> set[str]:
        return {match[1] for _ in range(6) if (match := _ANSWER.search(demo.curl("w2")))}

    with asking(demo, "m1"):
        demo.covey(*change)
        demo.until("nothing but version 2 to answer", lambda: versions() == {"2"})
    demo.saw(f"all answers are version 2 after {time.monotonic() - began:.1f} s")
    demo.show(demo.covey("service", "history", WEB), 12)


def drain_a_node(demo: Demo) -> None:
    """A worker is emptied, each task once another is ready in its place; and taken back."""
    victim = "w2"
    demo.title(f"Drain of {victim}: its tasks move, and nobody notices")
    began = time.monotonic()
    with asking(demo, "m1"):
        demo.covey("node", "update", "--availability", "drain", victim)
        demo.until(
            "12 running tasks on the other nodes",
            lambda: len([task for task in look.running(demo.place, WEB) if task.node != victim]) == 12,
        )
    demo.saw(f"12 run elsewhere after {time.monotonic() - began:.1f} s: {demo.spread(WEB)}")
    demo.covey("node", "update", "--availability", "active", victim)


def lose_a_node(demo: Demo) -> None:
    """Power loss of a worker: its tasks move; and its return."""
    victim = "w1"
    demo.title(f"Power loss of {victim}: its tasks move to the others")
    demo.console.print(f"   [dim]$[/] covey dev kill {victim}")
    began = time.monotonic()
    nodes.power_loss(demo.place, victim)
    demo.until(
        "12 running tasks on the other nodes",
        lambda: len([task for task in look.running(demo.place, WEB) if task.node != victim]) == 12,
    )
    demo.saw(f"12 run again after {time.monotonic() - began:.1f} s: {demo.spread(WEB)}")
    demo.console.print(f"   [dim]$[/] covey dev start {victim}")
    nodes.boot(demo.place, victim)
    nodes.wait_for_answer(demo.place, victim)
    demo.until(f"{victim} to be ready", lambda: victim in look.ready(demo.place))
    demo.saw(f"{victim} is back, and takes what comes next")


def lose_the_leader(demo: Demo) -> None:
    """Power loss of the manager that leads: another one takes over."""
    demo.until("a leader", lambda: bool(look.leader(demo.place)))
    victim = look.leader(demo.place)
    demo.title(f"Power loss of {victim}, the manager that leads: another one takes over")
    demo.console.print(f"   [dim]$[/] covey dev kill {victim}")
    began = time.monotonic()
    nodes.power_loss(demo.place, victim)
    demo.until("another leader", lambda: look.leader(demo.place) not in ("", victim))
    leader, took_s = look.leader(demo.place), time.monotonic() - began
    demo.show(demo.covey("node", "ls", "--filter", "role=manager"), 4)
    demo.covey("service", "scale", f"{WEB}=10")
    demo.saw(f"{leader} leads after {took_s:.1f} s: {demo.spread(WEB)}")
    demo.console.print(f"   [dim]$[/] covey dev start {victim}")
    nodes.boot(demo.place, victim)
    nodes.wait_for_answer(demo.place, victim)
    demo.until(f"{victim} to be ready", lambda: victim in look.ready(demo.place))
    demo.saw(f"{victim} is back, and follows")


def say_what_next(demo: Demo) -> None:
    """What to type now."""
    demo.console.print(
        "\n[bold]The cluster stays up.[/] Try:\n\n"
        '   export PATH="$PWD/.venv/bin:$PATH"; eval "$(covey dev env)"\n'
        "   covey node ls\n"
        f"   covey service ps {WEB}\n"
        f"   covey service why {WEB}\n"
        f"   covey service scale {WEB}=20\n"
        f"   covey service logs --follow {CLIENT}\n"
        f"   covey dev exec outside -- curl http://{address_of('w2')}:{PORT}/\n"
        "   covey dev kill w2                # and: covey dev start w2\n"
        "   covey dev down                   # or: make clean\n",
        markup=True,
    )


STEPS: Sequence[Callable[[Demo], None]] = (
    start_cluster,
    create_services,
    reach_by_name,
    reach_published,
    scale,
    update,
    drain_a_node,
    lose_a_node,
    lose_the_leader,
    say_what_next,
)


def main() -> int:
    """Run every step; the exit code."""
    demo = Demo()
    try:
        for step in STEPS:
            step(demo)
    except CoveyError as error:
        demo.console.print(f"\n[bold red]The demo failed:[/] {error}", style="red", markup=True)
        demo.console.print("The cluster is left as it is; `covey dev ls --format json` names the logs.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
