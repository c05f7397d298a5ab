"""What a failing OCI runtime says, as people are told."""

import pytest

from agent.runtime.oci.complaints import message_of, says_missing

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
