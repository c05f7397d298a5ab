"""The private keys of a node's tunnels: one file, root's alone, on the disk before anybody hears of a key."""

import logging
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from covey.io import files

from ..keeping import Key

_log = logging.getLogger(__name__)


class _Stored(msgspec.Struct, frozen=True):
    generation: int
    private_key: str


def make(generation: int) -> Key:
    """Make a key (Curve25519, RFC 7748)."""
    return _key(generation, X25519PrivateKey.generate())


def load(path: Path) -> tuple[Key, ...]:
    """Read the keys, oldest first. A file that is none is worth no more than none: there will be new keys."""
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=list[_Stored])
        keys = [
            _key(each.generation, X25519PrivateKey.from_private_bytes(b64decode(each.private_key)))
            for each in stored
        ]
    except FileNotFoundError:
        return ()
    except (msgspec.DecodeError, ValueError) as error:
        _log.error("%s has no keys of tunnels (%s): new ones are made", path, error)
        return ()
    return tuple(sorted(keys, key=lambda key: key.generation))


def made_ms(path: Path) -> int:
    """The time of day when the file was written last."""
    return path.stat().st_mtime_ns // 1_000_000


def save(path: Path, keys: Iterable[Key]) -> None:
    """Write the keys, durably; with none, remove the file."""
    stored = [_Stored(key.generation, b64encode(key.private_key).decode()) for key in keys]
    if stored:
        files.make_private_directory(path.parent)
        files.write_atomic(path, msgspec.json.encode(stored))
    elif path.parent.exists():
        files.remove(path)


def _key(generation: int, private: X25519PrivateKey) -> Key:
    return Key(
        generation, private.private_bytes_raw(), b64encode(private.public_key().public_bytes_raw()).decode()
    )
