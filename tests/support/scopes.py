"""What one process gets of the tests as a whole, and when: see `tests/support/sharing.py`."""

import re
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_CLUSTERS = "tests/e2e/"
SESSIONS_CLUSTER = "the session's cluster"
_ASKS_FOR_IT = re.compile(r"\bstand: Stand\b")


@cache
def scope_of(file: str) -> str:
    if file.startswith(_CLUSTERS) and _ASKS_FOR_IT.search((_ROOT / file).read_text()):
        return SESSIONS_CLUSTER
    return file


def turn(scope: str) -> int:
    """When it is handed out: lower numbers first, and equal ones in the order of collection."""
    return 0 if scope == SESSIONS_CLUSTER else 2 if scope.startswith(_CLUSTERS) else 1
