import stat
from pathlib import Path

import pytest

from covey.errors import Corrupt
from covey.identity import (
    Identity,
    NodeIdentity,
    create_request,
    create_root,
    node_id_of,
    sign_request,
    store,
)
from covey.model.states import NodeRole

CLUSTER = "0123456789abcdefghijklmno"
NOW_NS = 1_700_000_000_000_000_000


def made(directory: Path) -> NodeIdentity:
    root, key = create_root(CLUSTER, NOW_NS), store.key(directory)
    request = create_request(key)
    identity = Identity(node_id_of(request), CLUSTER, NodeRole.WORKER)
    return NodeIdentity.of(key, sign_request(root, request, identity, NOW_NS, 10**15), root.certificate_pem)


def test_what_was_saved_is_loaded_and_is_roots_alone(tmp_path: Path) -> None:
    directory = tmp_path / "identity"
    identity = made(directory)
    store.save(directory, identity)
    assert store.load(directory) == identity
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert files == {"key.pem": 0o600, "root.pem": 0o600, "certificate.pem": 0o600}


def test_a_key_is_made_once(tmp_path: Path) -> None:
    assert store.key(tmp_path / "identity") == store.key(tmp_path / "identity")


def test_without_a_certificate_a_host_is_no_member(tmp_path: Path) -> None:
    directory = tmp_path / "identity"
    assert store.load(directory) is None
    identity = made(directory)
    assert store.load(directory) is None  # interrupted after the key
    store.save(directory, identity)
    store.forget(directory)
    assert store.load(directory) is None
    assert list(directory.iterdir()) == []


def test_a_certificate_without_what_belongs_to_it_is_named(tmp_path: Path) -> None:
    for name, content in (("key.pem", None), ("root.pem", b"torn"), ("certificate.pem", b"")):
        directory = tmp_path / name
        store.save(directory, made(directory))
        if content is None:
            (directory / name).unlink()
        else:
            (directory / name).write_bytes(content)
        with pytest.raises(Corrupt, match=str(directory)):
            store.load(directory)
