"""What could never be on the nodes there are is refused; what only has to wait is not."""

import pytest
from msgspec.structs import replace

from covey.errors import FailedPrecondition
from covey.model.objects import Node, NodeDescription, NodeStatus
from covey.model.specs import (
    EndpointSpec,
    NodeSpec,
    Placement,
    Platform,
    PortConfig,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from covey.model.states import Availability, NodeState, PublishMode, ServiceModeKind, UpdateOrder
from manager.control.feasible import check_feasible
from manager.store.tables import Tables
from tests.support.cluster_objects import change

NO_PORTS, STOP_FIRST = EndpointSpec(), UpdateConfig()
START_FIRST = UpdateConfig(order=UpdateOrder.START_FIRST)
HOST_PORT = EndpointSpec(
    ports=(PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST),)
)


def nodes(*disks: str, architecture: str = "amd64") -> Tables:
    """A cluster with a node for each kind of disk: one is down, one drained."""
    tables = Tables()
    for number, disk in enumerate(disks):
        change(
            tables,
            Node(
                id=f"n{number}",
                spec=NodeSpec(
                    labels={"disk": disk},
                    availability=Availability.DRAIN if number == 1 else Availability.ACTIVE,
                ),
                description=NodeDescription(platform=Platform("linux", architecture)),
                status=NodeStatus(state=NodeState.DOWN if number == 0 else NodeState.READY),
            ),
        )
    return tables


def service(
    replicas: int = 1,
    most: int = 0,
    *,
    constraints: tuple[str, ...] = (),
    platforms: tuple[Platform, ...] = (),
    endpoint: EndpointSpec = NO_PORTS,
    update: UpdateConfig = STOP_FIRST,
    rollback: UpdateConfig = STOP_FIRST,
    kind: ServiceModeKind = ServiceModeKind.REPLICATED,
) -> ServiceSpec:
    placement = Placement(constraints=constraints, max_replicas_per_node=most, platforms=platforms)
    mode = ServiceMode(kind=kind, replicas=replicas)
    return ServiceSpec(
        name="web",
        task=TaskSpec(placement=placement),
        mode=mode,
        endpoint=endpoint,
        update=update,
        rollback=rollback,
    )


SSD = ("node.labels.disk == ssd",)
IMPOSSIBLE = {
    "replicas: 7 are more than the 6 that replicas-max-per-node 2 allows on 3 nodes in the cluster; ask for fewer, "
    "raise replicas-max-per-node, or add nodes first": service(7, 2),
    "replicas: 2 are more than the 1 that replicas-max-per-node 1 allows on 1 node that can be chosen by "
    "node.labels.disk == ssd": service(2, 1, constraints=SSD),
    "update-order: 'start-first' needs room for one more task while an old one runs, and replicas-max-per-node 2 allows "
    "the 6 replicas and no more on 3 nodes in the cluster; use stop-first": service(6, 2, update=START_FIRST),
    "update-order: 'start-first' needs port 8080 free on one node more than the 1 that run it, and it may run "
    "on 1 node that can be chosen by node.labels.disk == ssd; use stop-first, publish with mode=ingress": (
        service(constraints=SSD, endpoint=HOST_PORT, update=START_FIRST)
    ),
    "rollback-order: 'start-first' needs port 8080 free on one node more than the 3 that run it": service(
        3, endpoint=HOST_PORT, rollback=START_FIRST
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", IMPOSSIBLE)
def test_what_no_node_can_ever_hold_is_refused(sentence: str) -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        check_feasible(nodes("ssd", "hdd", "hdd"), IMPOSSIBLE[sentence])
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "possible",
    [
        service(6, 2),
        service(100),
        service(5, 2, update=START_FIRST),
        service(2, endpoint=HOST_PORT, update=START_FIRST),
        service(3, endpoint=HOST_PORT),
        service(9, update=START_FIRST),
        service(0, 1, endpoint=HOST_PORT, update=START_FIRST),
        service(9, 1, constraints=("node.labels.disk == nvme",)),  # nodes may be given that label yet
        service(9, 1, platforms=(Platform("linux", "riscv64"),)),
        service(9, 1, kind=ServiceModeKind.REPLICATED_JOB),
        service(1, 1, endpoint=HOST_PORT, update=START_FIRST, kind=ServiceModeKind.GLOBAL),
    ],
)
def test_what_only_has_to_wait_is_not(possible: ServiceSpec) -> None:
    check_feasible(nodes("ssd", "hdd", "hdd"), possible)


def test_nothing_is_impossible_before_there_is_a_node() -> None:
    check_feasible(nodes(), service(9, 1, endpoint=HOST_PORT, update=START_FIRST))


def test_platforms_leave_nodes_out() -> None:
    arm = nodes("ssd", "hdd", architecture="aarch64")
    check_feasible(arm, service(2, 1, platforms=(Platform("linux", "arm64"),)))
    with pytest.raises(FailedPrecondition, match="on 2 nodes that can be chosen by platform"):
        check_feasible(
            arm, service(3, 1, platforms=(Platform(architecture="arm64"), Platform("linux", "amd64")))
        )


def test_an_update_of_something_else_goes_through_where_a_node_has_left() -> None:
    view, now = nodes("ssd"), service(2, 1)
    check_feasible(view, replace(now, labels={"team": "a"}), now)
    check_feasible(view, replace(now, task=replace(now.task, force_update=1)), now)
    with pytest.raises(FailedPrecondition, match="replicas: 3 are more than the 1"):
        check_feasible(view, service(3, 1), now)
