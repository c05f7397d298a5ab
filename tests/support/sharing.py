"""How two processes share the tests of `make test`: those that mostly wait beside those that mostly reckon.

A plugin of pytest, for `-p tests.support.sharing -n 2`. One process begins with the tests on the session's dev cluster,
of which there is one only; the other begins with what needs no cluster. Tests that make clusters of their own come
last, to whoever is free: clusters side by side slow each other down. A file stays together, since its tests may share
what is costly to make.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.support.scopes import scope_of, turn


class Sharing(LoadScopeScheduling):
    """Hands out files, and those on the session's cluster as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid.partition("::")[0])

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=turn), last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Sharing:
    config.option.loadscopereorder = False
    return Sharing(config, log)
