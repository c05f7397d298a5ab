"""Programs are run to their end, within a bound, and daemons they leave behind hold nobody up."""

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from covey.errors import Unavailable
from covey.io.process import holder_of, pin, require_program, run, sockets_of


def test_code_and_both_outputs() -> None:
    done = asyncio.run(run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=10))
    assert (done.code, done.stdout, done.stderr, done.complaint) == (3, b"out\n", b"err\n", "err")


def test_much_output_blocks_nobody() -> None:
    done = asyncio.run(run(["/bin/sh", "-c", "head -c 3000000 /dev/zero"], timeout_s=30))
    assert len(done.stdout) == 3_000_000


def test_a_daemon_left_behind_is_not_waited_for() -> None:
    done = asyncio.run(run(["/bin/sh", "-c", "sleep 30 & echo $!"], timeout_s=10))
    os.kill(int(done.stdout), 9)
    assert done.code == 0


def test_one_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(Unavailable, match=r"did not end within 0\.2 s"):
        asyncio.run(run(["/bin/sh", "-c", f"echo $$ > {note}; exec sleep 30"], timeout_s=0.2))
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_cancelling_kills_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    async def scene() -> None:
        task = asyncio.create_task(run(["/bin/sh", "-c", f"echo $$ > {note}; exec sleep 30"], timeout_s=30))
        deadline = time.monotonic() + 10
        while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_a_thread_that_has_the_number_of_an_ended_process_is_no_process() -> None:
    """Numbers come round: what was a container's first process may be any program's thread."""
    enough = threading.Event()
    thread = threading.Thread(target=enough.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        with pytest.raises(ProcessLookupError, match=f"{thread.native_id} is a thread of another"):
            pin(thread.native_id)
    finally:
        enough.set()
        thread.join()
    os.close(pin(os.getpid()))


def test_who_has_a_socket_is_found_while_it_is_open() -> None:
    with socket.socket() as opened:
        name = os.readlink(f"/proc/self/fd/{opened.fileno()}")
        assert dict(sockets_of(os.getpid()))[name] == opened.fileno()
        assert holder_of({name}) == os.getpid()
    assert holder_of({name}) == 0


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match="/no/such"):
        asyncio.run(run(["/no/such"], timeout_s=1))
    with pytest.raises(Unavailable, match="install the package some-package"):
        require_program("no-such-program", "some-package")
