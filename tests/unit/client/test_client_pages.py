"""What is true of a network, in pages."""

import pytest

from covey.client.pages import joined, paged
from covey.client.views import NetworkBackend, NetworkFollower, NetworkService, NetworkTruth
from covey.model.objects import ClusterVersion, Endpoint


def told(nodes: list[int], services: list[int]) -> NetworkTruth:
    return NetworkTruth(
        ClusterVersion(1, 7),
        tuple(
            NetworkFollower(f"n{at}", endpoints=tuple(Endpoint(id=f"{at}-{each}") for each in range(count)))
            for at, count in enumerate(nodes)
        ),
        tuple(
            NetworkService(f"s{at}", backends=tuple(NetworkBackend(f"{at}-{each}") for each in range(count)))
            for at, count in enumerate(services)
        ),
        "waits for 1 task to end",
    )


@pytest.mark.parametrize(
    ("nodes", "services", "pages"),
    [([], [], 1), ([0, 3], [4, 0], 2), ([25], [25, 2], 6), ([10, 10, 10], [], 3), ([0] * 25, [1], 3)],
)
def test_what_is_cut_is_joined_again(nodes: list[int], services: list[int], pages: int) -> None:
    whole = told(nodes, services)
    cut = list(paged(whole, 10))
    assert joined(cut) == whole
    assert len(cut) == pages
    for page in cut:
        held = sum(len(n.endpoints) for n in page.nodes) + sum(len(s.backends) for s in page.services)
        assert held <= 10
    assert [bool(page.removal) for page in cut] == [True, *(False,) * (pages - 1)]
