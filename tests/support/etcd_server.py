"""Debian's etcd, started by a test on free loopback ports in a directory of its own."""

import asyncio
import datetime
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from covey.model.store_access import StoreAccess
from manager.store.log.etcd import EtcdLog, open_etcd
from manager.store.log.etcd.io.client import Etcd
from manager.store.log.seam import Standing
from tests.support.leftovers import prefix
from tests.support.ports import free_port

KEY = b"k" * 32


class Server:
    """One etcd, of a cluster of one unless `members` says otherwise. What it holds stays when it is killed."""

    def __init__(self, directory: Path, *options: str, tls: "Tls | None" = None) -> None:
        assert shutil.which("etcd"), "deploy/install.sh --dev installs etcd-server"
        self.directory = directory
        self.client, self.peer = free_port(), free_port()
        self.endpoint = f"127.0.0.1:{self.client}"
        self._options = options
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self.members: list[Server] = [self]

    @property
    def name(self) -> str:
        return f"t{self.peer}"

    def start(self) -> None:
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        scheme = "https" if self._tls else "http"
        client, peer = f"{scheme}://{self.endpoint}", f"http://127.0.0.1:{self.peer}"
        arguments = ["etcd", "--name", self.name, "--data-dir", str(self.directory / "data")]
        arguments += ["--listen-client-urls", client, "--advertise-client-urls", client]
        arguments += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        cluster = ",".join(f"{member.name}=http://127.0.0.1:{member.peer}" for member in self.members)
        arguments += ["--initial-cluster", cluster, "--logger", "zap", "--log-level", "error"]
        if self._tls:
            arguments += ["--cert-file", str(self._tls.server[0]), "--key-file", str(self._tls.server[1])]
            arguments += ["--trusted-ca-file", str(self._tls.ca), "--client-cert-auth"]
        log = (self.directory / "etcd.log").open("ab")
        self._process = subprocess.Popen([*arguments, *self._options], stdout=log, stderr=log)
        log.close()

    def wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            assert self._process is not None
            assert self._process.poll() is None, (self.directory / "etcd.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.client)) == 0:
                    return
            assert time.monotonic() < deadline, "etcd does not listen"
            time.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stop it where it stands; once this returns, none of its threads does anything more."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def access(self, prefix: str = "/covey") -> StoreAccess:
        return StoreAccess(endpoints=(self.endpoint,), prefix=prefix, data_key=KEY)


@contextmanager
def running(*options: str, tls: "Tls | None" = None) -> Iterator[Server]:
    """Run one until the end of a test."""
    with tempfile.TemporaryDirectory(prefix=f"{prefix()}-etcd-") as directory:
        server = Server(Path(directory), "--unsafe-no-fsync", *options, tls=tls)
        try:
            server.start()
            yield server
        finally:
            if server._process is not None and server._process.poll() is None:
                server.resume()
                server.kill()


@contextmanager
def three() -> Iterator[list[Server]]:
    """Run a cluster of three until the end of a test."""
    with tempfile.TemporaryDirectory(prefix=f"{prefix()}-etcd-") as directory:
        members = [Server(Path(directory) / str(n), "--unsafe-no-fsync") for n in range(3)]
        try:
            for member in members:
                member.directory.mkdir()
                member.members = members
                member.spawn()
            for member in members:
                member.wait()
            yield members
        finally:
            for member in members:
                if member._process is not None and member._process.poll() is None:
                    member.kill()


class Tls:
    """An authority, and files of a server's and a client's certificate."""

    def __init__(self, directory: Path, client_name: str = "covey") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "etcd test authority")])
        self.ca = directory / "ca.pem"
        authority = self._sign("etcd test authority", self._key, authority=True)
        self.ca.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self.server = self._pair(directory, "server")
        self.client = self._pair(directory, client_name)

    def _pair(self, directory: Path, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = directory / f"{name}.pem", directory / f"{name}-key.pem"
        certificate.write_bytes(self._sign(name, key).public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, private

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([local]), critical=False)
            .sign(self._key, hashes.SHA256())
        )


async def open_leading(access: StoreAccess, cluster_id: str = "c1", node: str = "n1") -> EtcdLog:
    """Open a log and wait until it leads."""
    log = await open_etcd(access, cluster_id, node_id=node, address=f"{node}:2377", founding=True)
    try:
        await until_leads(log)
    except BaseException:
        await log.close()
        raise
    return log


async def until_leads(log: EtcdLog) -> Standing:
    standing = log.standing
    async with asyncio.timeout(30):
        while not standing.leads:
            standing = await log.standing_after(standing)
    return standing


async def keys_of(access: StoreAccess) -> dict[bytes, bytes]:
    """All that lies in an etcd."""
    etcd = Etcd(access)
    try:
        found = await etcd.range(etcd.rpc.RangeRequest(key=b"\0", range_end=b"\0"))
        return {kv.key: kv.value for kv in found.kvs}
    finally:
        await etcd.close()
