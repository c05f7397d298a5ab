"""The file of private keys."""

from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.tunnels.io import keys
from covey import limits


def test_keys_come_back_as_they_went_for_root_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent" / "tunnels.json"
    made = (keys.make(4), keys.make(5))
    keys.save(path, reversed(made))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert keys.load(path) == made
    keys.save(path, ())
    assert not path.exists()
    keys.save(path, ())


def test_the_public_key_is_the_private_ones() -> None:
    made = keys.make(7)
    public = X25519PrivateKey.from_private_bytes(made.private_key).public_key()
    assert b64decode(made.public_key) == public.public_bytes_raw()
    assert made.said().generation == 7
    assert made.said().port == limits.tunnel_port + 1
    assert made.private_key.hex() not in repr(made)
    assert str(made.private_key) not in repr(made)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'[{"generation":1,"private_key":"short"}]'])
def test_a_file_that_holds_no_keys_is_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tunnels.json"
    path.write_bytes(content)
    assert keys.load(path) == ()
    assert keys.load(tmp_path / "nothing") == ()
