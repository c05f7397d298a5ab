"""What a failing OCI runtime says, as people are told."""

import pytest

from agent.runtime.oci.complaints import is_dump, message_of, says_crowded, says_missing

MISSING = (
    'time="2024-05-01T10:00:00Z" level=error msg="exec failed: unable to start container process: '
    'exec: \\"/bin/sh\\": stat /bin/sh: no such file or directory"'
)


@pytest.mark.parametrize(
    ("line", "message", "missing"),
    [
        (MISSING, 'exec: "/bin/sh": stat /bin/sh: no such file or directory', True),
        (r'time="x" level=error msg="a \\ \" b" more="c"', 'a \\ " b', False),
        ("executable file `ask` not found in $PATH: No such file or directory", None, True),
        ('time="x" level=error msg="runc create failed: no space left"', "no space left", False),
        ('cut short: msg="abc', None, False),
        ("", None, False),
    ],
)
def test_the_message_without_time_and_quotes(line: str, message: str | None, missing: bool) -> None:
    assert message_of(line) == (line if message is None else message)
    assert says_missing(message_of(line)) is missing


def test_that_there_is_no_room_for_a_process() -> None:
    dump = "runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\nPC=0x7f"
    assert says_crowded(dump)
    assert is_dump(dump)
    assert not is_dump("sh: can't fork: Resource temporarily unavailable")
    assert not says_crowded(MISSING)
