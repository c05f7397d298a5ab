"""A backup that was changed in any way is refused; one that was not gives everything back."""

import contextlib
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.errors import Corrupt, InvalidArgument
from covey.model.objects import Cluster, Node, Object, Task
from manager.backup import Header, open_archive, pack
from manager.store import snapshot
from manager.store.tables import Tables
from tests.support.cluster_objects import change

HEADER = Header("c", 2, 9, 1, "0.1.0")
NAMES = st.text("abc0", min_size=1, max_size=8)


def file_of(objects: list[Object]) -> bytes:
    tables = Tables()
    change(tables, *objects)
    return b"".join(pack(HEADER, snapshot.encode(tables.objects())))


def opened(data: bytes) -> list[Object]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backup"
        path.write_bytes(data)
        return open_archive(path).objects()


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=20), max_size=30), st.sets(NAMES, max_size=5))
def test_everything_comes_back(tasks: dict[str, bytes], nodes: set[str]) -> None:
    objects: list[Object] = [Cluster(id="c")]
    objects += [Node(id=id) for id in sorted(nodes)]
    objects += [Task(id=id, service_id=data.hex()) for id, data in tasks.items()]
    back = opened(file_of(objects))
    assert {(type(item), item.id) for item in back} == {(type(item), item.id) for item in objects}
    assert {item.id: item.service_id for item in back if isinstance(item, Task)} == {
        id: data.hex() for id, data in tasks.items()
    }


WHOLE = file_of([Cluster(id="c"), *(Task(id=f"t{i}") for i in range(20))])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.binary(max_size=40))
def test_whatever_is_cut_out_or_put_in_is_found(at: int, length: int, put_in: bytes) -> None:
    damaged = WHOLE[:at] + put_in + WHOLE[at + length :]
    if damaged == WHOLE:
        return
    with pytest.raises((Corrupt, InvalidArgument)):
        opened(damaged)


@settings(max_examples=200, deadline=None)
@given(st.integers(15, len(WHOLE) - 33), st.integers(0, 40), st.binary(max_size=40))
def test_a_right_sum_over_a_wrong_content_is_no_crash(at: int, length: int, put_in: bytes) -> None:
    body = WHOLE[:-32]
    damaged = body[:at] + put_in + body[at + length :]
    with contextlib.suppress(Corrupt, InvalidArgument):
        opened(damaged + sha256(damaged).digest())


@given(st.binary(max_size=200))
def test_any_other_file_is_refused(data: bytes) -> None:
    for made in (data, b"COVEY-BACKUP 1\n" + data, b"COVEY-BACKUP " + data):
        with pytest.raises((Corrupt, InvalidArgument)):
            opened(made)
