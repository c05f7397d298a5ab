"""Before the first test: the remains of runs that were killed. And the same examples of properties in every run."""

import os

import pytest
from hypothesis import settings

from tests.support import leftovers

# Without a bound on the time of one example, which a busy machine would break. `--hypothesis-profile default`
# looks for examples that no run has seen.
settings.load_profile("ci")


def pytest_sessionstart(session: pytest.Session) -> None:
    shares = hasattr(session.config, "workerinput")  # what shares out has swept, before there were others
    if os.geteuid() == 0 and not shares:
        for each in leftovers.sweep():
            print(f"removed {each} of an earlier run")
