import os
from pathlib import Path

import pytest

from agent.logs.client import _parts
from agent.logs.files import LogFiles
from agent.logs.lines import Joiner, Line, Record, parse
from agent.session.messages import LogOptions
from covey import limits

ALL = LogOptions()


def line(second: int, text: str, stream: str = "stdout", tag: str = "F") -> bytes:
    return f"2024-05-01T12:00:{second:02d}.000000000+02:00 {stream} {tag} {text}\n".encode()


def texts(records: list[Record]) -> list[str]:
    return [record.data.decode() for record in records]


def read(path: Path, options: LogOptions = ALL) -> list[str]:
    files = LogFiles(path, options)
    try:
        return texts(list(files.history()))
    finally:
        files.close()


def test_a_line_is_time_stream_tag_and_text() -> None:
    assert parse(b"1970-01-01T01:00:01.000000005+01:00 stderr F a  b ") == Line(
        1_000_000_005, True, True, b"a  b "
    )
    assert parse(b"1970-01-01T00:00:01Z stdout P x") == Line(10**9, False, False, b"x")
    empty = parse(b"1970-01-01T00:00:01.5+00:00 stdout F ")
    assert empty == Line(1_500_000_000, False, True, b"")


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff\xfe",
        b"x y z",
        b"2024-13-01T00:00:00Z stdout F x",
        b"2024-01-01T00:00:00 stdout F x",
        b"1 2",
    ],
)
def test_what_is_no_line_is_left_out(bad: bytes) -> None:
    assert parse(bad) is None


def test_parts_are_put_together_per_stream() -> None:
    joiner = Joiner()
    assert joiner.feed(Line(1, False, False, b"ab")) is None
    assert joiner.feed(Line(2, True, True, b"error")) == Record(2, True, b"error")
    assert joiner.feed(Line(3, False, True, b"cd")) == Record(1, False, b"abcd")


def test_a_line_without_end_comes_in_bounded_parts() -> None:
    joiner = Joiner()
    part = b"x" * 8192
    got = [r for n in range(20) if (r := joiner.feed(Line(n, False, False, part))) is not None]
    assert [len(r.data) for r in got] == [limits.container_log_record_bytes_max] * 2


def test_history_runs_through_rotated_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    (tmp_path / "log.2").write_bytes(line(1, "a"))
    (tmp_path / "log.1").write_bytes(line(2, "b") + line(3, "long", tag="P"))
    path.write_bytes(line(4, "er") + line(5, "c", "stderr"))
    assert read(path) == ["a", "b", "longer", "c"]
    assert read(path, LogOptions(no_stdout=True)) == ["c"]
    assert read(path, LogOptions(no_stderr=True)) == ["a", "b", "longer"]
    since = parse(line(3, "").rstrip(b"\n"))
    assert since is not None
    assert read(path, LogOptions(since_ns=since.at_ns)) == ["longer", "c"]


@pytest.mark.parametrize("tail", [0, 1, 2, 3, 99, 2**63 - 1])
def test_tail_counts_from_the_end(tmp_path: Path, tail: int) -> None:
    path = tmp_path / "log"
    (tmp_path / "log.1").write_bytes(line(1, "a"))
    path.write_bytes(line(2, "b") + line(3, "c"))
    assert read(path, LogOptions(tail=tail)) == ["a", "b", "c"][max(0, 3 - tail) :]


def test_tail_of_a_big_file_does_not_depend_on_where_a_window_begins(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(line(n % 60, f"{n} " + "x" * (n % 997)) for n in range(2000)))
    for tail in (1, 100, 500, 1999):
        assert [t.split()[0] for t in read(path, LogOptions(tail=tail))] == [
            str(n) for n in range(2000 - tail, 2000)
        ]


def test_what_is_appended_is_told_once_across_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line(1, "a") + line(2, "half", tag="P"))
    files = LogFiles(path, ALL)
    with path.open("ab") as writer:
        got = texts(list(files.history()))
        writer.write(line(3, "done") + b"2024-05-01T12:00:04.0")
        writer.flush()
        got += texts(files.appended())
        os.rename(path, tmp_path / "log.1")
        writer.write(b"+02:00 stdout F b\n")
        writer.flush()
        got += texts(files.appended())
        writer.write(line(5, "c"))
    path.write_bytes(line(6, "d"))
    for _ in range(4):
        got += texts(files.appended())
    files.close()
    assert got == ["a", "halfdone", "b", "c", "d"]


def test_a_log_that_is_not_there_yet_is_followed_from_its_beginning(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "log", ALL)
    assert list(files.history()) == []
    assert files.appended() == []
    (tmp_path / "log").write_bytes(line(1, "a"))
    assert texts(files.appended()) == ["a"]
    files.close()


def test_a_batch_of_long_lines_is_sent_in_parts() -> None:
    long = limits.container_log_batch_bytes // 2
    batch = [
        (Record(n, False, bytes(size)), "t") for n, size in enumerate([1, long, long, 5, 3 * long, 1, 1])
    ]
    assert [[r.at_ns for r, _ in part] for part in _parts(batch)] == [[0, 1], [2, 3], [4], [5, 6]]
    assert limits.container_log_batch_bytes + limits.container_log_record_bytes_max < limits.request_bytes_max
