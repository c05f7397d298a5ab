"""WireGuard by wireguard-go: one process per device, told what to do over its unix socket.

The process makes the TUN device, which goes with it. It outlives us: it has a session of its own, and its group is not
ended with coveyd's (KillMode=process). Whoever listens on /run/wireguard/NAME.sock serves the device NAME, so that is
how it is found again; the kernel says which process that is (SO_PEERCRED), and a pidfd holds it while it is ended.

The protocol: https://www.wireguard.com/xplatform/#cross-platform-userspace-implementation
"""

import logging
import os
import select
import signal
import socket
import struct
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from covey import limits
from covey.io.process import find_program, pin

from ..plan import RemovePeer, SetPeer
from ..state import Peer
from .addressing import public_of
from .receiving import make_room
from .wireguard import Tuned, TunnelFault

PROGRAM, PACKAGE = "wireguard-go", "wireguard-go"
_log = logging.getLogger(__name__)
_SOCKETS = Path("/var/run/wireguard")  # fixed in wireguard-go
_CREDENTIALS = struct.Struct("=iII")
_POLL_S = 0.01


class Userspace:
    """wireguard-go's devices in the namespace of the calling process, or of the thread that makes them."""

    kind = "wireguard-go"

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._roomy: dict[str, frozenset[str]] = {}  # by device, the sockets that have room
        self._cramped = set[str]()  # devices whose sockets cannot be had

    def create(self, name: str) -> None:
        """See `WireGuard.create`: start a process, and wait until it answers."""
        program = find_program(PROGRAM)
        if program is None:
            raise TunnelFault(f"the program {PROGRAM} is not installed; install the package {PACKAGE}")
        self.remove(name)
        child = subprocess.Popen(
            (program, "-f", name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=_environment(),
        )
        self._children[name] = child
        until = time.monotonic() + limits.tunnel_start_s
        while time.monotonic() < until and child.poll() is None:
            if self.read(name) is not None:
                return
            time.sleep(_POLL_S)
        ended = child.poll()
        self.remove(name)
        how = "does not answer" if ended is None else f"ended with {ended}"
        raise TunnelFault(
            f"{PROGRAM} for {name} {how}: is there /dev/net/tun (modprobe tun), and may this process use it?"
        )

    def remove(self, name: str) -> None:
        """See `WireGuard.remove`: end the process that listens there, whoever started it."""
        pid = self.server(name)
        child = self._children.pop(name, None)
        for each in {pid, child.pid if child is not None and child.poll() is None else None} - {None}:
            assert each is not None
            _end(each)
        if child is not None:
            child.wait(limits.tunnel_start_s)
        _socket_of(name).unlink(missing_ok=True)

    def read(self, name: str) -> Tuned | None:
        """See `WireGuard.read`."""
        self._reap(name)
        try:
            return tuned(_ask(name, "get=1\n\n"))
        except OSError:
            return None

    def set_key(self, name: str, private_key: bytes, port: int) -> None:
        """See `WireGuard.set_key`."""
        _tell(name, f"private_key={private_key.hex()}\nlisten_port={port}\nreplace_peers=true\n")

    def set_peers(self, name: str, steps: Iterable[SetPeer | RemovePeer]) -> None:
        """See `WireGuard.set_peers`."""
        if said := "".join(line for step in steps for line in _peer(step)):
            _tell(name, said)

    def tend(self, name: str) -> None:
        """See `WireGuard.tend`: room at its sockets, which are others each time its link comes up."""
        pid = self.server(name)
        if pid is None:
            return
        try:
            self._roomy[name] = make_room(pid, self._roomy.get(name, frozenset()))
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended: the next look makes another
        except OSError as error:
            if name not in self._cramped:
                _log.warning(
                    "%s for %s loses packets when it is busy: no room for them (%s)", PROGRAM, name, error
                )
            self._cramped.add(name)

    def close(self) -> None:
        """See `WireGuard.close`: the processes stay."""
        for name in list(self._children):
            self._reap(name)
            if (child := self._children.pop(name, None)) is not None:
                child.returncode = 0  # it is init's from now on; Python must not warn of it

    def _reap(self, name: str) -> None:
        child = self._children.get(name)
        if child is not None and child.poll() is not None:
            _log.warning("%s for %s (pid %d) has ended with %d", PROGRAM, name, child.pid, child.returncode)
            del self._children[name]

    def server(self, name: str) -> int | None:
        """Say which process listens on a device's socket, if it is a wireguard-go."""
        try:
            with _connected(name) as channel:
                credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid: int = _CREDENTIALS.unpack(credentials)[0]
            return pid if Path(f"/proc/{pid}/comm").read_text().strip() == PROGRAM else None
        except OSError:
            return None


def _environment() -> dict[str, str]:
    """What the process needs, and by what Covey's are known: it may outlive all that could tell."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("COVEY") or name == "PATH"}
    return {**ours, "LOG_LEVEL": "silent"}


def _end(pid: int) -> None:
    try:
        pidfd = pin(pid)
    except ProcessLookupError:
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)  # it has nothing to put in order
        select.select([pidfd], [], [], limits.tunnel_start_s)
    finally:
        os.close(pidfd)


def _socket_of(name: str) -> Path:
    return _SOCKETS / f"{name}.sock"


def _connected(name: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        channel.settimeout(limits.tunnel_start_s)
        channel.connect(str(_socket_of(name)))
    except BaseException:
        channel.close()
        raise
    return channel


def _ask(name: str, request: str) -> list[tuple[str, str]]:
    with _connected(name) as channel:
        channel.sendall(request.encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            if not (more := channel.recv(1 << 16)):
                raise OSError(f"{PROGRAM} for {name} hung up")
            answer += more
    pairs = [tuple(line.split("=", 1)) for line in answer.decode().split("\n") if line]
    return [(pair[0], pair[1]) for pair in pairs]


def _tell(name: str, said: str) -> None:
    try:
        answer = dict(_ask(name, f"set=1\n{said}\n"))
    except OSError as error:
        raise TunnelFault(f"{PROGRAM} for {name} does not answer: {error}") from error
    if (number := int(answer.get("errno", "0"))) != 0:
        raise TunnelFault(f"{PROGRAM} for {name} refuses: {os.strerror(abs(number))}")


def _peer(step: SetPeer | RemovePeer) -> Iterator[str]:
    yield f"public_key={b64decode(step.public_key).hex()}\n"
    if isinstance(step, RemovePeer):
        yield "remove=true\n"
        return
    if not step.new:
        yield "update_only=true\n"
    if step.endpoint:
        yield f"endpoint={step.endpoint}\n"
    if step.address:
        yield f"replace_allowed_ips=true\nallowed_ip={step.address}/128\n"
    if step.keepalive_s is not None:
        yield f"persistent_keepalive_interval={step.keepalive_s}\n"


def tuned(pairs: Iterable[tuple[str, str]]) -> Tuned:
    """A device as wireguard-go describes it: lines of the device, then those of each peer, which begin with its key."""
    public_key, port = "", 0
    peers: dict[str, Peer] = {}
    said: dict[str, str] = {}
    for name, value in [*pairs, ("public_key", "")]:
        if name == "private_key":
            public_key = public_of(bytes.fromhex(value))
        elif name == "listen_port":
            port = int(value)
        elif name == "public_key":
            if "public_key" in said:
                peers[b64encode(bytes.fromhex(said["public_key"])).decode()] = _peer_of(said)
            said = {name: value}
        else:
            said[name] = value
    return Tuned(public_key, port, peers)


def _peer_of(said: dict[str, str]) -> Peer:
    return Peer(
        said.get("endpoint", ""),
        said.get("allowed_ip", "").removesuffix("/128"),
        int(said.get("persistent_keepalive_interval", "0")),
        answered=int(said.get("last_handshake_time_sec", "0")) > 0,
        received_bytes=int(said.get("rx_bytes", "0")),
        sent_bytes=int(said.get("tx_bytes", "0")),
    )
