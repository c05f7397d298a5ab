"""The log in etcd, held to what every log owes the store."""

from collections.abc import Iterator

import pytest

from manager.store.log.seam import Log
from tests.support.etcd_server import Server, open_leading, running
from tests.unit.store import test_log_contract as contract

pytestmark = pytest.mark.root

globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def open_log(server: Server, request: pytest.FixtureRequest) -> contract.Open:
    """Give a way to open one that leads, again and again in the same place."""

    async def make() -> Log:
        return await open_leading(server.access(), request.node.name)

    return make
