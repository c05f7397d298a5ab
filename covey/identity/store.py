"""A node's identity on disk: `STATE/identity/{key.pem,root.pem,certificate.pem}`, readable by root alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from covey.errors import Corrupt, InvalidArgument, Unauthenticated
from covey.io import files

from .certificates import Identity, check_pair, load_root, new_key, read_peer

_KEY = "key.pem"
_ROOT = "root.pem"
_CERTIFICATE = "certificate.pem"


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """What a node needs to prove itself and to check others. Never logged: it holds the key."""

    identity: Identity
    not_before_ns: int
    not_after_ns: int
    key_pem: bytes
    certificate_pem: bytes
    root_pem: bytes

    def __repr__(self) -> str:
        """Name the identity without the key."""
        return f"NodeIdentity({self.identity})"

    @classmethod
    def of(cls, key_pem: bytes, certificate_pem: bytes, root_pem: bytes) -> Self:
        """Put an identity together; raises `InvalidArgument` or `Unauthenticated` if the parts do not fit."""
        load_root(root_pem)
        check_pair(root_pem, key_pem, certificate_pem)
        peer = read_peer(certificate_pem)
        return cls(peer.identity, peer.not_before_ns, peer.not_after_ns, key_pem, certificate_pem, root_pem)


def load(directory: Path) -> NodeIdentity | None:
    """Read the identity in `directory`; None if this host is no member of a cluster.

    Raises `Corrupt` naming the directory if there is a certificate, but not all that belongs to it.
    """
    if not (directory / _CERTIFICATE).exists():
        return None
    try:
        parts = ((directory / name).read_bytes() for name in (_KEY, _CERTIFICATE, _ROOT))
        return NodeIdentity.of(*parts)
    except (InvalidArgument, Unauthenticated, FileNotFoundError) as error:
        raise Corrupt(
            f"{directory}: {error}; restore it from a backup, or `covey leave --force` and join again"
        ) from error


def key(directory: Path) -> bytes:
    """Give the host's key, made and saved at the first call, so that an interrupted join goes on with it."""
    files.make_private_directory(directory)
    try:
        return (directory / _KEY).read_bytes()
    except FileNotFoundError:
        made = new_key()
        files.write_atomic(directory / _KEY, made)
        return made


def save(directory: Path, identity: NodeIdentity) -> None:
    """Write all three files, the certificate last: once it is there, the host is a member."""
    files.make_private_directory(directory)
    files.remove_leftovers(directory)
    files.write_atomic(directory / _KEY, identity.key_pem)
    files.write_atomic(directory / _ROOT, identity.root_pem)
    files.write_atomic(directory / _CERTIFICATE, identity.certificate_pem)


def forget(directory: Path) -> None:
    """Remove the identity, the certificate first, so that no half of it looks like a whole."""
    for name in (_CERTIFICATE, _ROOT, _KEY):
        files.remove(directory / name)
