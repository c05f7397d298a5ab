"""The floors alone: what runtime and network take for the containers of one node without a cluster."""

import pytest

from tests.bench import floors
from tests.bench.figures import Figure, show

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
COUNT = 100


def test_floors() -> None:
    runtime, network = floors.runtime(COUNT), floors.network(COUNT)
    show(
        f"Floors: {COUNT} containers on one node, without a cluster",
        [
            Figure(
                "the runtime alone: create and start, 4 at a time", [runtime.wall_s], cpu_s=[runtime.cpu_s]
            ),
            Figure("the network alone: namespaces", [network.attach.wall_s], cpu_s=[network.attach.cpu_s]),
            Figure("one table put into force in all of them", [network.table_ms], "ms"),
            Figure(
                "namespaces, and a table after every fifth",
                [network.interleaved.wall_s],
                cpu_s=[network.interleaved.cpu_s],
            ),
        ],
    )
