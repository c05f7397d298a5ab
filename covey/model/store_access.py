"""How managers get at an etcd cluster that keeps the desired state: `STATE/manager/store.msgpack`, root's alone.

`covey init --store` writes it on the first manager; every other manager asks one that has it, over mTLS, and writes it
too. It holds the key that everything in etcd is encrypted with, which etcd never sees, and the credentials etcd asks
for. Where there is no such file, the managers keep the state themselves, by Raft.
"""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from covey import limits
from covey.errors import Corrupt, InvalidArgument
from covey.io import files
from covey.model.address import join_host_port
from covey.model.objects import Part

ETCD_PORT = 2379
_SCHEME = "etcd://"


class Credential(Part, frozen=True):
    """A file's contents as they were at init; the file itself counts for more, where it can be read.

    So a certificate that was renewed in its place is used from the next connection on.
    """

    path: str = ""
    contents: bytes = b""

    def read(self) -> bytes:
        """Give what the file holds now, or held."""
        if self.path:
            try:
                return Path(self.path).read_bytes()
            except OSError:
                pass  # this manager was handed the contents
        return self.contents

    def __repr__(self) -> str:
        return f"Credential({self.path!r})"


class StoreAccess(Part, frozen=True):
    """An etcd cluster, and what it takes to use it. Its repr tells no secret."""

    format: int = 1
    endpoints: tuple[str, ...] = ()
    prefix: str = "/covey"
    ca: Credential | None = None
    certificate: Credential | None = None
    key: Credential | None = None
    username: str = ""
    password: Credential | None = None
    data_key: bytes = b""

    def __repr__(self) -> str:
        return f"StoreAccess({_SCHEME}{','.join(self.endpoints)})"


def parse_url(text: str) -> tuple[str, ...]:
    """Read `etcd://HOST[:PORT][,HOST[:PORT]...]`; gives host:port of each."""
    if not text.startswith(_SCHEME):
        raise InvalidArgument(f"--store {text!r} is no etcd cluster; write etcd://HOST:2379[,HOST:2379...]")
    hosts = text.removeprefix(_SCHEME).rstrip("/").split(",")
    if len(hosts) > limits.store_endpoints_max:
        raise InvalidArgument(f"--store names {len(hosts)} hosts; {limits.store_endpoints_max} are enough")
    endpoints = []
    for host in hosts:
        if not host or any(char in host for char in "/@?# "):
            raise InvalidArgument(
                f"--store {text!r}: {host!r} is no HOST[:PORT]; user and password go into --store-user and "
                "--store-password-file"
            )
        endpoints.append(_endpoint(host, text))
    return tuple(dict.fromkeys(endpoints))


def _endpoint(host: str, text: str) -> str:
    try:
        found = urlsplit(f"//{host}")
        name, port = found.hostname or "", found.port or ETCD_PORT
    except ValueError as error:
        raise InvalidArgument(f"--store {text!r}: {host!r}: {error}") from None
    if not name:
        raise InvalidArgument(f"--store {text!r}: {host!r} names no host")
    return join_host_port(name, port)


def check(access: StoreAccess) -> StoreAccess:
    """Refuse settings that contradict each other, or give a password away."""
    if (access.certificate is None) != (access.key is None):
        raise InvalidArgument("--store-cert and --store-key go together")
    if access.certificate is not None and access.ca is None:
        raise InvalidArgument(
            "--store-cert needs --store-ca: without it the connection to etcd is not encrypted"
        )
    if bool(access.username) != (access.password is not None):
        raise InvalidArgument("--store-user and --store-password-file go together")
    if access.password is not None and access.ca is None and not all(map(_is_local, access.endpoints)):
        raise InvalidArgument(
            "--store-user needs --store-ca: without it the password would cross the network in clear"
        )
    return access


def credential(path: str, option: str) -> Credential | None:
    """Read a file named by an option."""
    if not path:
        return None
    if not path.startswith("/"):
        raise InvalidArgument(f"{option} {path!r} is not an absolute path")
    try:
        with Path(path).open("rb") as file:
            contents = file.read(limits.store_credential_bytes_max + 1)
    except OSError as error:
        raise InvalidArgument(f"{option} {path} cannot be read: {error.strerror}") from None
    if not contents or len(contents) > limits.store_credential_bytes_max:
        raise InvalidArgument(f"{option} {path} holds {len(contents)} bytes or more, which is no such file")
    return Credential(path, contents)


def _is_local(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def path_in(state_dir: Path) -> Path:
    """Say where the file is."""
    return state_dir / "manager" / "store.msgpack"


def encode(access: StoreAccess) -> bytes:
    """Give the file's bytes."""
    return msgspec.msgpack.encode(access)


def decode(data: bytes, source: str) -> StoreAccess:
    """Read the bytes; raises `Corrupt` naming where they came from."""
    try:
        access = msgspec.msgpack.decode(data, type=StoreAccess)
    except msgspec.DecodeError as error:
        raise Corrupt(f"{source}: not the access to a store ({error})") from error
    if access.format != 1:
        raise Corrupt(
            f"{source}: of format {access.format}, which this version does not know; run the one that wrote it"
        )
    return access


def load(state_dir: Path) -> StoreAccess | None:
    """Read the file; None if there is none. Raises `Corrupt` naming it if it cannot be read."""
    path = path_in(state_dir)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return decode(data, f"{path} (copy it from another manager, or `covey leave --force` and join again)")


def save(state_dir: Path, access: StoreAccess) -> None:
    """Write the file, durably and for root alone."""
    path = path_in(state_dir)
    files.make_private_directory(path.parent)
    files.write_atomic(path, encode(access))
