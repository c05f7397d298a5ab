"""What the docs tell people to type, typed: every `sh` block of a page, in order, in one shell.

A block that cannot be run says why: ```sh no-run: reason
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import cluster
from devcluster.place import Place

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^```(?P<info>(?:sh|bash|console|shell)\b[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
CLUSTER_NAME = re.compile(r"--name first\b")


def blocks(page: Path) -> list[str]:
    """The page's commands that are to be run. Raises where one is not, and does not say why."""
    found = []
    for block in BLOCK.finditer(page.read_text()):
        language, _, rest = block["info"].partition(" ")
        if rest:
            assert re.fullmatch(r"no-run: \S.+", rest), f"{page.name}: '{rest}' is not 'no-run: reason'"
        else:
            assert language == "sh", f"{page.name}: commands are in blocks named sh"
            found.append(block["text"])
    return found


@pytest.fixture
def name() -> Iterator[str]:
    """A cluster of the test's own, in place of the tutorials' one, which a reader may have up."""
    name = f"t{os.getpid()}"
    yield name
    if Place(name).root.exists():
        cluster.down(Place(name))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page(page: Path, name: str) -> None:
    script = "\n".join(["set -eu", *(CLUSTER_NAME.sub(f"--name {name}", text) for text in blocks(page))])
    environment = os.environ | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n---\n{done.stdout}\n---\n{done.stderr}"
    assert "version=" in done.stdout or "demo/web" not in script, done.stdout
