"""The repository's shape, as tests: how long, who may wait, whose names, which words."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("covey", "manager", "agent", "node", "devcluster")
GENERATED = ROOT / "covey" / "v1"
LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 50
EXCEPTIONS = tomllib.loads((Path(__file__).parent / "exceptions.toml").read_text())

# Packages that decide are plain synchronous code, but for these files, which only translate.
DECIDING = ("manager", "agent", "covey/machine", "covey/model")
SHELL = {"driver.py", "server.py", "client.py", "seam.py", "fake.py", "faulty.py", "__main__.py"}

BANNED_CALLS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "random": {
        "random", "randint", "randrange", "choice", "choices", "sample", "shuffle", "uniform",
        "getrandbits", "randbytes", "seed", "gauss", "expovariate", "triangular", "betavariate",
    },
    "os": {"urandom", "fork"},
    "uuid": {"uuid1", "uuid4"},
    "secrets": {"token_bytes", "token_hex", "token_urlsafe", "randbelow", "choice"},
}  # fmt: skip
# Put together from halves, so that this file does not name what it forbids.
FORBIDDEN_WORDS = (
    "/wo" + "rk/",
    "py" + "pi.org",
    "python" + "hosted.org",
    "deb.deb" + "ian.org",
    "proxy.go" + "lang.org",
)


@cache
def sources() -> tuple[Path, ...]:
    """Our own Python files, without what protoc wrote."""
    found = (path for top in TOPS for path in sorted((ROOT / top).rglob("*.py")))
    return tuple(path for path in found if GENERATED not in path.parents)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def decides(path: Path) -> bool:
    inside = any(name_of(path).startswith(f"{package}/") for package in DECIDING)
    return inside and path.name not in SHELL and "io" not in path.parts


def tracked() -> Iterator[tuple[str, str]]:
    """Every text file that git knows, with its text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue


def test_there_is_something_to_look_at() -> None:
    assert len(sources()) > len(TOPS)


def test_files_stay_small() -> None:
    long = {name_of(path) for path in sources() if len(path.read_text().splitlines()) > LONGEST_FILE_LINES}
    allowed = set(EXCEPTIONS["files"])
    assert not long - allowed, "split by idea, or give the reason in exceptions.toml"
    assert not allowed - long, "short again: take it out of exceptions.toml"


def test_functions_fit_a_screen() -> None:
    long = {
        f"{name_of(path)}:{node.name}"
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION_LINES
    }
    allowed = set(EXCEPTIONS["functions"])
    assert not long - allowed, "split by idea, or give the reason in exceptions.toml"
    assert not allowed - long, "short again: take it out of exceptions.toml"


def test_only_the_shell_awaits() -> None:
    asyncs = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    waiting = {
        name_of(path)
        for path in sources()
        if decides(path) and any(isinstance(node, asyncs) for node in ast.walk(tree(path)))
    }
    assert not waiting, f"deciding code never waits; move it to one of {sorted(SHELL)} or an io/ folder"


def banned_calls(module: ast.Module) -> Iterator[str]:
    """Calls that bring in a clock or dice. A parameter that happens to be named `random` is no such thing."""
    nodes = list(ast.walk(module))
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
    for node in imports:
        if isinstance(node, ast.ImportFrom) and node.module in BANNED_CALLS:
            names = [alias.name for alias in node.names if alias.name in BANNED_CALLS[node.module]]
            yield from (f"{node.lineno}: from {node.module} import {name}" for name in names)
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            path = ast.unparse(node.func.value).split(".")
            if path[0] in imported and node.func.attr in BANNED_CALLS.get(path[-1], ()):
                yield f"{node.lineno}: {ast.unparse(node.func)}()"


@pytest.mark.parametrize(
    "text",
    ["import time\ntime.time()", "from random import choice", "import datetime\ndatetime.datetime.now()"],
)
def test_a_planted_clock_is_found(text: str) -> None:
    assert list(banned_calls(ast.parse(text)))


def test_a_seeded_random_may_be_used() -> None:
    assert not list(
        banned_calls(ast.parse("def f(dice): return dice.choice([1, 2])\nrng = random.Random(1)"))
    )


def test_nobody_else_installs_our_names() -> None:
    owners = packages_distributions()
    for name in TOPS:
        assert set(owners.get(name, [])) <= {"covey"}, f"another distribution installs a package named {name}"


def test_every_package_opens_with_prose() -> None:
    def words(path: Path) -> int:
        return len((ast.get_docstring(tree(path)) or "").split())

    thin = {
        name_of(path): words(path) for path in sources() if path.name == "__init__.py" and words(path) < 25
    }
    assert not thin, "say what the package is, how it is used, and the rules inside"


def test_folders_with_code_are_packages() -> None:
    bare = {name_of(path.parent) for path in sources() if not (path.parent / "__init__.py").exists()}
    assert not bare


def test_words_that_do_not_belong_here() -> None:
    found = [f"{name}: {word}" for name, text in tracked() for word in FORBIDDEN_WORDS if word in text]
    assert not found


def test_lock_file_has_hashes_and_names_no_index() -> None:
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert len(entries) > 10
    for entry in entries:
        if not entry.startswith("#"):
            assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert not re.search(r"(?m)^\s*(--index-url|--extra-index-url|--find-links|-i |-f )", text)
    assert "://" not in text


def test_changelog_keeps_its_shape() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert lines[0] == "# Changelog"
    versions = [line for line in lines if line.startswith("## ")]
    assert versions, "at least '## Unreleased'"
    for line in versions:
        assert line == "## Unreleased" or re.fullmatch(r"## \d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\)", line), line
    sections = {line for line in lines if line.startswith("### ")}
    assert sections <= {
        "### Added",
        "### Changed",
        "### Deprecated",
        "### Removed",
        "### Fixed",
        "### Security",
    }
