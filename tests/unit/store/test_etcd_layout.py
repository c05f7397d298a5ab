"""What lies where in etcd, and how it is sealed; and the settings that say where etcd is."""

import struct
from pathlib import Path

import pytest
from msgspec.structs import replace

from covey.errors import Corrupt, FailedPrecondition, InvalidArgument
from covey.model import store_access
from covey.model.store_access import Credential, StoreAccess, check, credential, parse_url
from manager.store.log.etcd.layout import (
    BEGINS,
    ENDS,
    Assembler,
    Head,
    Layout,
    Part,
    encode,
    head,
    index_of,
    parts,
)
from manager.store.log.etcd.sealing import Sealing
from manager.store.log.seam import Record

KEYS = Layout("/covey", "c1")
KEY = b"k" * 32


def test_keys_of_a_cluster_stand_under_its_id_and_in_order() -> None:
    assert KEYS.entry(7) == b"/covey/c1/entry/00000000000000000007"
    assert KEYS.entry(9) < KEYS.entry(10) < KEYS.entry(10**19)
    assert index_of(KEYS.entry(123)) == 123
    assert not KEYS.snapshot(1).startswith(KEYS.chunks)
    assert Layout("/covey/", "c1").root == KEYS.root


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25])
def test_an_entry_is_cut_and_put_together_again(size: int) -> None:
    data = bytes(range(size))
    cut = list(parts(data, 10))
    assert len(cut) == max(1, -(-size // 10))
    assert [bool(part.flags & BEGINS) for part in cut] == [True] + [False] * (len(cut) - 1)
    assert [bool(part.flags & ENDS) for part in cut] == [False] * (len(cut) - 1) + [True]
    found = Assembler().feed_all(list(enumerate(cut, 5)))
    assert found == [Record(4 + len(cut), data)]


def test_what_was_never_finished_is_passed_over() -> None:
    torn, whole = list(parts(b"x" * 30, 10))[:2], list(parts(b"whole", 10))
    middle = Part(0, b"whose beginning is gone")
    assembler = Assembler()
    assert assembler.feed_all(list(enumerate([middle, *torn, *whole, *torn], 1))) == [Record(4, b"whole")]


def test_a_head_comes_back_as_it_was() -> None:
    assert head(None, b"head") == Head()
    assert head(encode(Head(7, 6, 5)), b"head") == Head(7, 6, 5)
    with pytest.raises(Corrupt, match="head in etcd"):
        head(b"\xff", b"head")


def test_what_is_sealed_opens_at_its_place_only() -> None:
    one, other = Sealing(KEY, KEYS), Sealing(KEY, KEYS)
    part = Part(BEGINS | ENDS, b"secret")
    value = one.close(KEYS.entry(1), part)
    assert b"secret" not in value
    assert other.open(KEYS.entry(1), value) == one.open(KEYS.entry(1), value) == part
    assert one.close(KEYS.entry(1), part) != value, "no nonce is used twice"
    elsewhere = Layout("/moved", "c1")
    assert Sealing(KEY, elsewhere).open(elsewhere.entry(1), value) == part
    foreign = Layout("/covey", "c2")
    flags = bytes((BEGINS,)) + value[1:]
    with pytest.raises(Corrupt):
        one.open(KEYS.entry(1), flags)
    for sealing, key in (
        (one, KEYS.entry(2)),
        (one, KEYS.chunk(1, 1, 1)),
        (Sealing(b"x" * 32, KEYS), KEYS.entry(1)),
        (Sealing(KEY, foreign), foreign.entry(1)),
    ):
        with pytest.raises(Corrupt, match="is not what was written"):
            sealing.open(key, value)
    for cut in (b"", value[:20], value[:-1]):
        with pytest.raises(Corrupt):
            one.open(KEYS.entry(1), cut)
    assert struct.calcsize(">BQ32s") == 41


def test_a_missing_key_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="holds no key"):
        Sealing(b"", KEYS)


# --- settings ---


@pytest.mark.parametrize(
    ("text", "endpoints"),
    [
        ("etcd://h1", ("h1:2379",)),
        ("etcd://h1:1,h2:2/", ("h1:1", "h2:2")),
        ("etcd://10.0.0.1,10.0.0.1", ("10.0.0.1:2379",)),
        ("etcd://[2001:db8::1],[::1]:7", ("[2001:db8::1]:2379", "[::1]:7")),
    ],
)
def test_endpoints_are_read(text: str, endpoints: tuple[str, ...]) -> None:
    assert parse_url(text) == endpoints


@pytest.mark.parametrize(
    "text",
    ["", "h1:2379", "http://h1", "etcd://", "etcd://h1:x", "etcd://a,,b", "etcd://u:p@h", "etcd://h:99999"],
)
def test_what_is_no_etcd_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="--store"):
        parse_url(text)


def test_settings_that_give_a_password_away_are_refused() -> None:
    password, file = Credential(contents=b"s3cret"), Credential(contents=b"pem")
    far = StoreAccess(endpoints=("10.0.0.1:2379",), username="u", password=password)
    with pytest.raises(InvalidArgument, match="in clear"):
        check(far)
    assert check(replace(far, ca=file)).ca == file
    assert check(replace(far, endpoints=("127.0.0.1:2379", "[::1]:1", "localhost:2")))
    with pytest.raises(InvalidArgument, match="go together"):
        check(replace(far, password=None))
    with pytest.raises(InvalidArgument, match="--store-cert and --store-key"):
        check(StoreAccess(ca=file, certificate=file))
    with pytest.raises(InvalidArgument, match="needs --store-ca"):
        check(StoreAccess(certificate=file, key=file))
    assert "s3cret" not in repr(far)
    assert "s3cret" not in repr(password)


def test_a_credential_is_read_anew_where_its_file_is(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"old")
    made = credential(str(file), "--store-ca")
    assert made is not None
    file.write_bytes(b"new")
    assert made.read() == b"new"
    file.unlink()
    assert made.read() == b"old"
    with pytest.raises(InvalidArgument, match="cannot be read"):
        credential(str(file), "--store-ca")
    with pytest.raises(InvalidArgument, match="absolute"):
        credential("ca.pem", "--store-ca")
    file.write_bytes(b"")
    with pytest.raises(InvalidArgument, match="0 bytes"):
        credential(str(file), "--store-ca")


def test_the_file_is_for_its_owner_alone_and_damage_is_named(tmp_path: Path) -> None:
    assert store_access.load(tmp_path) is None
    access = StoreAccess(endpoints=("h:1",), data_key=KEY, password=Credential(contents=b"p"), username="u")
    store_access.save(tmp_path, access)
    path = store_access.path_in(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert store_access.load(tmp_path) == access
    for damage in (b"", b"\xff", b"\x80\x80"):
        path.write_bytes(damage)
        with pytest.raises(Corrupt, match=r"store\.msgpack"):
            store_access.load(tmp_path)
    path.write_bytes(store_access.encode(replace(access, format=2)))
    with pytest.raises(Corrupt, match="of format 2"):
        store_access.load(tmp_path)
