"""What the docs tell people to type, typed: every `sh` block of a page, in order, in one shell.

A block that cannot be run says why: ```sh no-run: reason

Pages that begin with `covey dev up` make and remove their cluster; the others stand on one that is there, and
leave no service behind. In place of the tutorials' cluster `first`, which a reader may have up, comes one of ours.
"""

import os
import re
import subprocess
from pathlib import Path

from devcluster.place import Place

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^```(?P<info>(?:sh|bash|console|shell)\b[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
CLUSTER_NAME = re.compile(r"--name first\b")
PAGE_BOUND_S = 240


def blocks(page: Path) -> tuple[list[str], list[str]]:
    """The page's commands that are to be run, and the reasons of those that are not. Raises where one lacks."""
    found, reasons = list[str](), list[str]()
    for block in BLOCK.finditer(page.read_text()):
        language, _, rest = block["info"].partition(" ")
        assert language == "sh", f"{page.name}: commands are in blocks named sh"
        if rest:
            assert re.fullmatch(r"no-run: \S.+", rest), f"{page.name}: '{rest}' is not 'no-run: reason'"
            reasons.append(rest)
        else:
            found.append(block["text"])
    return found, reasons


RUN = [page for page in PAGES if blocks(page)[0]]


def makes_its_cluster(page: Path) -> bool:
    return "covey dev up --name first" in "".join(blocks(page)[0])


ON_A_CLUSTER = [page for page in RUN if not makes_its_cluster(page)]
WITH_THEIR_OWN = [page for page in RUN if makes_its_cluster(page)]


def typed(page: Path, place: Place) -> str:
    """Run a page's commands; returns what was printed."""
    text = "".join(CLUSTER_NAME.sub(f"--name {place.name}", block) for block in blocks(page)[0])
    prelude = "" if makes_its_cluster(page) else f'eval "$(covey dev env --name {place.name})"\n'
    script = f"set -eu\n{prelude}{text}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PAGE_BOUND_S,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n---\n{done.stdout}\n---\n{done.stderr}"
    return done.stdout


def look_at(page: Path, said: str) -> None:
    """See whether a page printed what its reader is led to expect."""
    for expected in EXPECTED.get(page.name, ()):
        assert re.search(expected, said), f"{expected!r} is not in what {page.name} prints:\n{said}"


# What a reader is led to expect, besides exit code 0. A page that is renamed leaves its line behind: see below.
EXPECTED = {
    "README.md": (r"version=1 task=web\.", r"web\.6 .*Running"),
    "first-cluster.md": (r"version=1 task=web\.", r"client\.1\..* \| version=1 "),
    "try-on-one-machine.md": (r"version=1 task=web\.",),
    "publish-a-port.md": (
        r"version=1 task=web\.",
        r"\*:30000->80/tcp|\*:3[0-2]\d{3}->80/tcp",
        r"task=near\..* client=10\.77\.0\.3",
        r'\{"active_tasks": \{"shop": [01]\}\}',
    ),
    "update-and-roll-back.md": (
        r"create api\.1 on ",
        r"State: rollback-completed",
        r"api\.4 .*demo/web:2 .*Running",
        r"restores 2",
        r"0/4 \(stopped\)",
    ),
    "encrypt-a-network.md": (r"verify: Service safe converged", r"[Ee]ncryption: (kernel|wireguard-go)"),
    "run-jobs.md": (
        r"0/0 \(6/6 completed\)",
        r"sums\.0\..* \| 42",
        r"Job where is complete: 3 of 3 tasks",
        r"exit code 1",
        r"fails\.0 .*Failed",
    ),
    "check-health.md": (r"site\.1 .*\(healthy\)", r"unhealthy: .*cannot reach the database"),
    "use-a-registry.md": (r"no such image or tag",),
    "audit-a-cluster.md": (
        r"Nothing amiss on 3 nodes",
        r"Nothing amiss on 1 node ",
        r"Audit of what managers keep: nothing amiss, \d+ things compared, .* ago",
    ),
    "make-networks.md": (
        r"office +overlay .*10\.44\.0\.0/16",
        r"\bshop +overlay ",
        r"Endpoints|ENDPOINTS|VERSION",
    ),
    "drain-a-node.md": (
        r"This node left the cluster",
        r"joined a cluster as a worker",
        r"w2 +Ready",
    ),
    "run-several-managers.md": (
        r"w1 +Ready +Active +Reachable",
        r"yes \(4 of 4",
        r"w1 is now a worker",
        r"yes \(2 of 3",
    ),
    "back-up.md": (r"COVEY-BACKUP 1", r"web\.\d .*Running"),
    "recover-from-lost-quorum.md": (
        r"2 of 3 managers do not answer",
        r"Quorum: yes \(1 of 1 managers answer\)",
        r"web\.\d .*Running",
    ),
    "reserve-generic-resources.md": (
        r"- gpu=UUID-2",
        r"DOCKER_RESOURCE_GPU=UUID-1",
        r"DOCKER_RESOURCE_GPU=UUID-2",
        r"train\.3 .*Pending",
    ),
    "find-out-why.md": (
        r"To do: .*label a node disk=ssd",
        r"picky\.1 +w1 +runs on w1",
        r'"exit code 7"',
    ),
}
