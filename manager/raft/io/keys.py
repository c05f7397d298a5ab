"""The key a manager's log and snapshots are encrypted with: STATE/manager/key.

The file is a magic word, a format byte, the key, and a CRC. The key is drawn once, made durable before
anything is encrypted with it, and never leaves the host. It lies beside what it protects, so it protects
where one goes without the other: copies of the log, backups of files, a disk given away in parts. Format 2
is kept for a key wrapped by a passphrase, which makes a manager wait to be unlocked at its start.

Keys are derived from it and never used twice with one nonce: see `Seal` and `snapshots.py`.
"""

import hashlib
import secrets
import struct
import zlib
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from covey import errors

from .files import refusal, rejoin, write_file

MAGIC = b"COVEYKEY"
PLAIN, WRAPPED = 1, 2
KEY_BYTES = 32
SALT_BYTES = 32
_CRC = struct.Struct(">I")
_COUNTED = struct.Struct(">4xQ")  # 96 bits, as GCM wants them
Unsealable = InvalidTag  # what opening a seal raises if anything of it, or about it, has changed


class DataKey:
    """The key itself. Shows nothing of itself when printed."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == KEY_BYTES, "a key for AES-256"
        self._secret = secret

    @property
    def fingerprint(self) -> bytes:
        """Tells this key from another, and nothing else; it stands beside what is encrypted."""
        return hashlib.sha256(b"covey data key" + self._secret).digest()[:8]

    def derive(self, purpose: str, salt: bytes) -> AESGCM:
        """Give a cipher of its own for a purpose and a salt (RFC 5869)."""
        derived = HKDF(SHA256(), KEY_BYTES, salt=salt, info=f"covey {purpose}".encode())
        return AESGCM(derived.derive(self._secret))


class KeyFile:
    """Where the key is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def exists(self) -> bool:
        """Whether a key was drawn."""
        return self._path.exists()

    @property
    def locked(self) -> bool:
        """Whether it takes a passphrase to get at the key."""
        return self._read()[0] == WRAPPED

    def create(self) -> DataKey:
        """Draw a key and make it durable."""
        secret = secrets.token_bytes(KEY_BYTES)
        data = MAGIC + bytes((PLAIN,)) + secret
        try:
            write_file(self._path, data + _CRC.pack(zlib.crc32(data)))
        except OSError as error:
            raise refusal(self._path, error) from error
        return DataKey(secret)

    def key(self) -> DataKey:
        """Give the key; raises `FailedPrecondition` if it is locked, of another format or not there."""
        format, secret = self._read()
        if format == WRAPPED:
            raise errors.FailedPrecondition(
                f"the key {self._path} is locked by a passphrase, and this version cannot unlock it; run the "
                "version that locked it"
            )
        return DataKey(secret)

    def _read(self) -> tuple[int, bytes]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            raise errors.FailedPrecondition(
                f"the key {self._path} is missing, and without it the log beside it cannot be read; put the key "
                f"back, or {rejoin(self._path.parent)}"
            ) from None
        except OSError as error:
            raise errors.Unavailable(f"cannot read {self._path}: {error.strerror}; check the disk") from error
        body, crc = data[: -_CRC.size], data[-_CRC.size :]
        if not body.startswith(MAGIC) or len(body) < len(MAGIC) + 1 or crc != _CRC.pack(zlib.crc32(body)):
            raise errors.Corrupt(
                f"the key {self._path} is damaged; put it back from a copy of the files, or "
                f"{rejoin(self._path.parent)}"
            )
        format, secret = body[len(MAGIC)], body[len(MAGIC) + 1 :]
        if format not in {PLAIN, WRAPPED} or (format == PLAIN and len(secret) != KEY_BYTES):
            raise errors.FailedPrecondition(
                f"the key {self._path} has format {format}, and this version reads {PLAIN}; run the version that "
                "wrote it"
            )
        return format, secret


class Seal:
    """Encrypts, each time with a nonce never used before.

    The cipher's key is derived with a salt drawn at random for this seal alone, in this process; so a
    counter suffices as nonce (NIST SP 800-38D, 8.2.1), without the bound of 2**32 messages that random
    nonces have under one key (8.3), which a busy log reaches in days. A state put back from an older copy
    cannot repeat a nonce either: whoever opens it draws another salt.
    """

    def __init__(self, key: DataKey, purpose: str, salt: bytes) -> None:
        self._cipher = key.derive(purpose, salt)
        self._next = 0

    def close(self, data: bytes, about: bytes) -> tuple[int, bytes]:
        """Encrypt `data` and bind it to `about`; give the number to open it with, and what to keep."""
        number = self._next
        self._next += 1
        return number, self._cipher.encrypt(_COUNTED.pack(number), data, about)

    def open(self, number: int, sealed: bytes, about: bytes) -> bytes:
        """Give back what was sealed; raises `Unsealable`."""
        return self._cipher.decrypt(_COUNTED.pack(number), sealed, about)
