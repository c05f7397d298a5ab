"""The key on disk, and what is sealed with it."""

import struct
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from covey import errors
from manager.raft.io.keys import DataKey, KeyFile, Seal, Unsealable


def test_a_key_is_drawn_once_and_read_back(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "key")
    assert not file.exists
    key = file.create()
    assert file.exists
    assert not file.locked
    assert file.key().fingerprint == key.fingerprint
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert KeyFile(tmp_path / "other").create().fingerprint != key.fingerprint


def test_a_missing_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.FailedPrecondition, match=r"key .*/key is missing.* put the key back"):
        KeyFile(tmp_path / "key").key()


@pytest.mark.parametrize("place", [0, 7, 8, 9, 25, 40, 41, 44])
def test_any_flipped_byte_of_the_key_is_found(tmp_path: Path, place: int) -> None:
    path = tmp_path / "key"
    KeyFile(path).create()
    data = bytearray(path.read_bytes())
    assert len(data) == 45
    data[place] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(errors.Corrupt, match=r"key .* is damaged"):
        KeyFile(path).key()


@pytest.mark.parametrize("size", [0, 3, 8, 12, 44])
def test_a_cut_key_is_found(tmp_path: Path, size: int) -> None:
    path = tmp_path / "key"
    KeyFile(path).create()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(errors.Corrupt, match=r"key .* is damaged"):
        KeyFile(path).key()


def write(path: Path, format: int, body: bytes) -> None:
    data = b"COVEYKEY" + bytes((format,)) + body
    path.write_bytes(data + struct.pack(">I", zlib.crc32(data)))


def test_a_key_of_another_format_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write(path, 9, b"?")
    with pytest.raises(errors.FailedPrecondition, match="has format 9, and this version reads 1"):
        KeyFile(path).key()
    write(path, 2, b"wrapped")
    assert KeyFile(path).locked
    with pytest.raises(errors.FailedPrecondition, match="locked by a passphrase"):
        KeyFile(path).key()


def test_a_key_shows_nothing_of_itself() -> None:
    secret = bytes(range(32))
    for shown in (repr(DataKey(secret)), str(DataKey(secret)), DataKey(secret).fingerprint.hex()):
        assert secret.hex()[:8] not in shown
        assert repr(secret)[2:20] not in shown


def test_a_seal_opens_what_it_closed_and_nothing_else() -> None:
    key = DataKey(bytes(32))
    seal = Seal(key, "log", b"salt")
    closed = [seal.close(b"data", b"about") for _ in range(3)]
    assert [number for number, _ in closed] == [0, 1, 2], "no number twice"
    assert len({sealed for _, sealed in closed}) == 3
    again = Seal(key, "log", b"salt")
    for number, sealed in closed:
        assert again.open(number, sealed, b"about") == b"data"
    number, sealed = closed[1]
    for other, about, bytes_ in (
        (0, b"about", sealed),
        (number, b"else", sealed),
        (number, b"about", sealed[:-1]),
        (number, b"about", sealed[:-1] + bytes((sealed[-1] ^ 1,))),
    ):
        with pytest.raises(Unsealable):
            again.open(other, bytes_, about)
    other_key = DataKey(b"\1" * 32)
    for stranger in (
        Seal(key, "log", b"tlas"),
        Seal(key, "snapshot", b"salt"),
        Seal(other_key, "log", b"salt"),
    ):
        with pytest.raises(Unsealable):
            stranger.open(number, sealed, b"about")


def test_the_cipher_is_aes_256_gcm() -> None:
    assert isinstance(DataKey(bytes(32)).derive("log", b""), AESGCM)
