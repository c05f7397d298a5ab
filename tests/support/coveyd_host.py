"""A host for tests of coveyd: its directories, the daemon with little children, and questions to it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from google.protobuf.message import Message

from covey.errors import CoveyError, Unavailable
from covey.v1 import node_pb2
from covey.wire.client import connect_unix
from covey.wire.service import Unary
from covey.wire.services import NodeDaemon
from node import orphans

HERE = Path(__file__).parent
BOUND_S = 30.0
ADDRESS = "10.77.0.1"
# A network of its own, so that the ports a manager needs are free.
_OWN_NETWORK = (
    "unshare", "--net", "sh", "-c",
    f'ip link set lo up && ip address add {ADDRESS}/32 dev lo && exec "$@"', "sh",
)  # fmt: skip

Response = TypeVar("Response", bound=Message)


class Host:
    """One host. Leaving the context ends its daemon and every process it left behind."""

    def __init__(self, *, own_network: bool = True) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"cvt{os.getpid()}-"))
        self.state, self.run = self.home / "state", self.home / "run"
        self.daemon: subprocess.Popen[bytes] | None = None
        self._prefix = _OWN_NETWORK if own_network else ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for name in ("agent", "dns", "manager"):
            (self.run / f"{name}.does").unlink(missing_ok=True)
        if (lock := self.run / "coveyd.lock").exists():
            with lock.open() as handle:
                orphans.end(orphans.mark(handle.fileno()), self.commands())
        shutil.rmtree(self.home)

    def commands(self) -> list[list[str]]:
        config = ["--config", str(self.run / "node.json")]
        plain = [
            [sys.executable, str(HERE / "little_child.py"), name, *config]
            for name in ("agent", "dns", "manager")
        ]
        return [*plain, [*plain[0], "--stop-tasks"]]

    def start(self, *bounds: str, kill_at: int = 0, wait: bool = True) -> None:
        log = (self.home / "log").open("ab")
        program = [sys.executable, str(HERE / "little_coveyd.py"), str(self.state), str(self.run), *bounds]
        environment = {**os.environ, "KILL_AT": str(kill_at), "PYTHONPATH": str(HERE.parents[1])}
        with log:
            self.daemon = subprocess.Popen([*self._prefix, *program], stderr=log, env=environment)
        if wait:
            self.until(lambda: self.call(NodeDaemon.info, node_pb2.InfoRequest()) is not None)

    def kill(self) -> None:
        """As `kill -9`: the children live on."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> int | None:
        if self.daemon is None:
            return None
        self.daemon.send_signal(number)
        code = self.daemon.wait(BOUND_S)
        self.daemon = None
        return code

    def died(self) -> bool:
        return self.daemon is None or self.daemon.poll() is not None

    def ask(self, method: Unary[Any, Response], request: Any) -> Response:
        async def main() -> Response:
            async with connect_unix(self.run / "covey.sock") as channel:
                return await channel.call(method, request, BOUND_S)

        return asyncio.run(main())

    def call(self, method: Unary[Any, Response], request: Any) -> Response | None:
        """Like `ask`, but None while the daemon does not answer."""
        try:
            return self.ask(method, request)
        except Unavailable:
            return None

    def info(self) -> node_pb2.InfoResponse:
        return self.ask(NodeDaemon.info, node_pb2.InfoRequest())

    def init(self) -> node_pb2.InitResponse:
        return self.ask(NodeDaemon.init, node_pb2.InitRequest(advertise_address=ADDRESS))

    def attempt(self, method: Unary[Any, Response], request: Any) -> CoveyError | None:
        try:
            self.ask(method, request)
        except CoveyError as error:
            return error
        return None

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + BOUND_S
        while not holds():
            assert time.monotonic() < deadline, self.log()
            assert not self.died(), self.log()
            time.sleep(0.03)

    def process(self, name: str) -> node_pb2.ProcessInfo:
        return next((p for p in self.info().processes if p.name == name), node_pb2.ProcessInfo(name=name))

    def running(self) -> set[str]:
        return {process.name for process in self.info().processes if process.running}

    def notes(self, name: str) -> list[str]:
        """What a child has noted, without process ids."""
        path = self.run / f"{name}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.rpartition(" ")[0] for line in lines]

    def does(self, name: str, what: str) -> None:
        (self.run / f"{name}.does").write_text(what)

    def log(self) -> str:
        return (self.home / "log").read_text()
