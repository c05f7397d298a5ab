"""Three members in three processes, over real ports and real disks."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from covey.identity import NodeIdentity
from covey.model.states import NodeRole
from tests.support.ports import free_port

from .pki import Authority

ROOT = Path(__file__).parents[2]
MEMBER = Path(__file__).parent / "raft_process.py"
ANSWER_S = 60.0


class Failed(Exception):
    """A member answered with an error."""


class RaftProcess:
    """One member, its process and its files; both may end and begin anew."""

    def __init__(self, directory: Path, authority: Authority, identity: NodeIdentity) -> None:
        self.directory = directory
        self._authority, self._identity = authority, identity
        self.address = f"127.0.0.1:{free_port()}"
        self.id = 0
        self.node_id = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, founding: bool = False, introduced: list[list[Any]] | None = None) -> None:
        """Begin, and wait until it runs."""
        self.directory.mkdir(exist_ok=True)
        config = {
            "cluster_id": self._authority.cluster_id,
            "key": self._identity.key_pem.decode(),
            "certificate": self._identity.certificate_pem.decode(),
            "root": self._identity.root_pem.decode(),
            "directory": str(self.directory / "manager"),
            "address": self.address,
            "founding": founding,
            "introduced": introduced or [],
        }
        path = self.directory / "config.json"
        path.write_text(json.dumps(config))
        with (self.directory / "journal").open("ab") as journal:
            self._process = subprocess.Popen(
                [sys.executable, str(MEMBER), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=journal,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.id, self.node_id, self.address = self.hear()["ready"]

    def order(self, do: str, **what: Any) -> None:
        """Give an order; `hear` gives the answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self, seconds: float = ANSWER_S) -> dict[str, Any]:
        """Read the next line."""
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise Failed(f"{self.directory.name} says nothing for {seconds:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(
                f"{self.directory.name} has ended: {(self.directory / 'journal').read_text()[-2000:]}"
            )
        word: dict[str, Any] = json.loads(line)
        if "error" in word:
            raise Failed(word["error"])
        return word

    def ask(self, do: str, **what: Any) -> Any:
        """Give an order and wait for the answer."""
        self.order(do, **what)
        return self.hear()["answer"]

    def send_signal(self, number: signal.Signals) -> None:
        """Stop, continue or kill the process."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def runs(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.communicate(timeout=20)
            self._process = None


class RaftRing:
    """Members of one group; the first one founds it."""

    def __init__(self, directory: Path, size: int = 3) -> None:
        authority = Authority()
        self.members = [
            RaftProcess(directory / f"m{n}", authority, authority.node(NodeRole.MANAGER)) for n in range(size)
        ]

    def form(self) -> RaftProcess:
        """Start all of them as voters of one group; give the leader."""
        first, *others = self.members
        first.start(founding=True)
        known = [[first.id, first.node_id, first.address, True]]
        for member in others:
            # Its id is drawn when it starts; the address is known before.
            member.start(introduced=known)
            fields = [member.id, member.node_id, member.address]
            first.ask("change", member=[*fields, False])
            wait(lambda member=member: member.ask("look")["applied"] >= first.ask("look")["applied"])  # type: ignore[misc]
            first.ask("change", member=[*fields, True])
            known.append([*fields, True])
        return first

    def leader(self, *, but: RaftProcess | None = None) -> RaftProcess:
        """Wait until one that runs leads."""
        found: list[RaftProcess] = []

        def look() -> bool:
            running = [m for m in self.members if m.runs and m is not but]
            found[:] = [member for member in running if member.ask("look")["leads"]]
            return bool(found)

        wait(look)
        return found[0]

    def close(self) -> None:
        """Kill what still runs."""
        for member in self.members:
            member.kill()


def wait(condition: Any, seconds: float = 30.0) -> None:
    """Wait for a condition."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise Failed(f"it did not come so within {seconds:g} s")
        time.sleep(0.01)
