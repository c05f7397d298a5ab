"""Environment variables: `NAME=value`, `NAME` alone, and files of them."""

import re
from collections.abc import Mapping

from covey.errors import InvalidArgument

_NAME = re.compile(r"[^\s=]+")


def variable(text: str, environment: Mapping[str, str]) -> str | None:
    """Read what `--env` takes. `NAME` alone takes its value from `environment`; None if it is not set there."""
    name, equals, _ = text.partition("=")
    if not _NAME.fullmatch(name) or "\0" in text:
        raise InvalidArgument(f"{text!r} is not NAME=VALUE: the name is empty or has spaces")
    if equals:
        return text
    return f"{name}={environment[name]}" if name in environment else None


def env_file(content: str, name: str, environment: Mapping[str, str]) -> list[str]:
    """Read a file of variables, one a line; empty lines and those beginning with # are skipped."""
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            read = variable(stripped, environment)
        except InvalidArgument as error:
            raise InvalidArgument(f"{name}, line {number}: {error}") from error
        if read is not None:
            found.append(read)
    return found
