"""What an OCI runtime says when it fails, without what only its own log needs; pure."""

import re

_LOGGED = re.compile(r'\bmsg="((?:[^"\\]|\\.)*)"')
_FAILED = (
    "runc create failed: ",
    "exec failed: ",
    "unable to start container process: ",
    "container_linux.go: ",
)
_MISSING = ("no such file or directory", "executable file not found", "not found in $path")


def message_of(line: str) -> str:
    """The message in a line of a runtime's log (`time="..." level=error msg="..."`), or the line itself.

    The time must go: two complaints about the same thing are to be the same text.
    """
    logged = _LOGGED.search(line)
    text = re.sub(r"\\(.)", r"\1", logged[1]) if logged else line
    for prefix in _FAILED:
        text = text.removeprefix(prefix)
    return text


def says_missing(text: str) -> bool:
    """Whether a program is not in the container, as far as a complaint tells."""
    return any(phrase in text.lower() for phrase in _MISSING)


def says_crowded(text: str) -> bool:
    """Whether no process or thread could be begun: fork(2) and clone(2) fail with EAGAIN at a bound on them."""
    return "resource temporarily unavailable" in text.lower()


def is_dump(said: str) -> bool:
    """Whether this is what a Go runtime (runc is in Go) writes when it cannot begin a thread, and dies."""
    return said.startswith(("runtime/cgo: pthread_create failed", "runtime: failed to create new OS thread"))
