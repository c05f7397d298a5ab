"""The commands of the docs' pages that stand on a cluster which is there, typed on the session's."""

from pathlib import Path

import pytest

from tests.support.pages import EXPECTED, ON_A_CLUSTER, PAGES, RUN, blocks, look_at, typed
from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


@pytest.mark.parametrize("page", ON_A_CLUSTER, ids=lambda page: page.name)
def test_the_commands_of_a_page(page: Path, stand: Stand) -> None:
    said = typed(page, stand.place)
    stand.power_on()
    for row in stand.rows("node", "ls"):
        for label in row["spec"]["labels"]:  # type: ignore[index]
            stand.covey("node", "update", "--label-rm", label, str(row["id"]))
    look_at(page, said)


def test_every_page_that_is_run_is_looked_at() -> None:
    assert {page.name for page in RUN} == set(EXPECTED)


def test_most_commands_are_run() -> None:
    run = sum(len(blocks(page)[0]) for page in PAGES)
    reasons = [f"{page.name}: {reason}" for page in PAGES for reason in blocks(page)[1]]
    assert run > 1.5 * len(reasons), f"{run} blocks are run, and these are not:\n" + "\n".join(reasons)
