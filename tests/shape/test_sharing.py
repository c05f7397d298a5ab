"""Whoever asks for the session's cluster is in one process with all the others: else there would be two of it."""

import ast
from pathlib import Path

import pytest

from tests.support import scopes

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests" / "e2e").glob("test_*.py"))
CLUSTER = {"stand", "session_stand"}


def asks_for_it(file: Path) -> bool:
    """Whether a test or a fixture of the file's takes the session's cluster, whatever its type is said to be."""
    functions = (each for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.FunctionDef))
    return any(
        argument.arg in CLUSTER
        for function in functions
        if function.name.startswith("test_") or function.decorator_list
        for argument in function.args.args
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_sessions_cluster_is_used_by_one_process(file: Path) -> None:
    scope = scopes.scope_of(str(file.relative_to(ROOT)))
    assert (scope == scopes.SESSIONS_CLUSTER) == asks_for_it(file)


def test_those_on_it_come_first_and_clusters_of_their_own_last() -> None:
    handed = ["tests/e2e/test_managers.py", "tests/unit/test_a.py", scopes.SESSIONS_CLUSTER]
    assert sorted(handed, key=scopes.turn) == handed[::-1]
