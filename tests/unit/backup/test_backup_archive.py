"""A backup file is whole, or refused with a sentence that says what is wrong."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from covey.errors import Corrupt, InvalidArgument, Unavailable
from covey.model.objects import Cluster, Node, Object, Task
from covey.v1 import control_pb2 as pb
from covey.wire.service import Caller, Role
from manager.backup import Header, open_archive, pack
from manager.backup.archive import check_content
from manager.backup.server import BackupServer
from manager.store import snapshot
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.kinds import Kind
from manager.store.log.fake import FakeLog
from manager.store.tables import Tables
from tests.support.cluster_objects import change, two_nodes_one_service

HEADER = Header("c", 3, 17, 1_700_000_000_000_000_000, "0.1.0")


def rows(tables: Tables) -> dict[Kind, dict[str, Object]]:
    return tables.objects()


def written(path: Path, tables: Tables, header: Header = HEADER) -> bytes:
    data = b"".join(pack(header, snapshot.encode(rows(tables))))
    path.write_bytes(data)
    return data


def everything(tables: Tables) -> list[Object]:
    return [item for by_id in rows(tables).values() for item in by_id.values()]


@pytest.fixture
def tables() -> Tables:
    return two_nodes_one_service()


def test_what_was_put_in_comes_out(tmp_path: Path, tables: Tables) -> None:
    written(tmp_path / "b", tables)
    archive = open_archive(tmp_path / "b")
    assert archive.header == HEADER
    assert archive.objects() == everything(tables)
    assert archive.objects() == everything(tables), "and again"
    assert check_content(archive, archive.objects()).id == "c"


def test_the_first_line_says_what_it_is(tmp_path: Path, tables: Tables) -> None:
    assert written(tmp_path / "b", tables).startswith(b"COVEY-BACKUP 1\n")


def test_large_states_are_cut_into_chunks(tmp_path: Path) -> None:
    tables = Tables()
    change(tables, Cluster(id="c"), *(Task(id=f"t{i:06}", service_id="s" * 60) for i in range(30_000)))
    pieces = list(pack(HEADER, snapshot.encode(rows(tables))))
    assert len(pieces) > 4
    (tmp_path / "b").write_bytes(b"".join(pieces))
    assert len(open_archive(tmp_path / "b").objects()) == 30_001


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, tables: Tables) -> None:
    path = tmp_path / "b"
    data = written(path, tables)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises((Corrupt, InvalidArgument)) as refused:
            open_archive(path)
        assert str(path) in str(refused.value)
    path.write_bytes(data + b"x")
    with pytest.raises(Corrupt, match="checksum"):
        open_archive(path)


def test_a_single_wrong_bit_is_found(tmp_path: Path, tables: Tables) -> None:
    path = tmp_path / "b"
    data = bytearray(written(path, tables))
    for at in range(0, len(data), 7):
        data[at] ^= 4
        path.write_bytes(data)
        with pytest.raises((Corrupt, InvalidArgument)):
            open_archive(path)
        data[at] ^= 4


def test_other_files_are_told_apart(tmp_path: Path, tables: Tables) -> None:
    path = tmp_path / "b"
    with pytest.raises(InvalidArgument, match="No such file"):
        open_archive(path)
    with pytest.raises(InvalidArgument, match="directory"):
        open_archive(tmp_path)
    path.write_bytes(b"\x1f\x8b a compressed archive of something")
    with pytest.raises(InvalidArgument, match="not a backup"):
        open_archive(path)
    path.write_bytes(b"COVEY-BACKUP 2\n" + b"x" * 100)
    with pytest.raises(Corrupt, match=r"format '2'.*reads 1"):
        open_archive(path)


def test_a_backup_that_holds_another_cluster_is_refused(tmp_path: Path, tables: Tables) -> None:
    path = tmp_path / "b"
    written(path, tables, replace(HEADER, cluster_id="other"))
    archive = open_archive(path)
    with pytest.raises(Corrupt, match="cluster other, and holds c"):
        check_content(archive, archive.objects())
    written(path, Tables())
    archive = open_archive(path)
    with pytest.raises(Corrupt, match="holds none"):
        check_content(archive, archive.objects())


def test_a_backup_is_of_one_index_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    async def story() -> None:
        store = await Store.start(FakeLog())
        try:
            server = BackupServer(store)
            with pytest.raises(Unavailable, match="set up"):
                await anext(server.backup(pb.BackupRequest(), Caller(Role.LOCAL)))

            def fill(draft: Draft) -> None:
                draft.put(Cluster(id="c", epoch=4))
                for i in range(20_000):
                    draft.put(Task(id=f"t{i:06}", service_id="s" * 60))

            await store.update(fill)
            index, expected = store.objects()
            data, number = b"", 0
            async for response in server.backup(pb.BackupRequest(), Caller(Role.LOCAL)):
                data += response.data
                number += 1

                def meddle(draft: Draft, number: int = number) -> None:
                    draft.put(Node(id=f"n{number}"))
                    draft.delete(Task, f"t{number:06}")

                await store.update(meddle)
            assert number > 2
            (tmp_path / "b").write_bytes(data)
            archive = open_archive(tmp_path / "b")
            assert (archive.header.index, archive.header.epoch, archive.header.cluster_id) == (index, 4, "c")
            assert archive.objects() == [item for by_id in expected.values() for item in by_id.values()]
        finally:
            await store.close()

    asyncio.run(story())
