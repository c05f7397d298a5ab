"""Small clusters of objects for tests of what managers decide."""

from covey.model.objects import (
    Cluster,
    Endpoint,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
    Object,
    Revision,
    Service,
    Task,
    TaskStatus,
)
from covey.model.specs import NetworkAttachmentSpec, NetworkSpec, ServiceSpec, TaskSpec
from covey.model.states import EndpointState, NodeState, TaskState
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Commit


def change(tables: Tables, *objects: Object) -> Commit:
    """Commit objects as they are given, whatever version the store has."""
    draft = Draft(tables)
    for item in objects:
        draft.put(item)
    return tables.commit(draft.transaction())


def two_nodes_one_service() -> Tables:
    """Node `n1` runs task `t1` of service `web` on network `net`; `n2` runs nothing."""
    tables = Tables()
    spec = ServiceSpec(name="web", task=TaskSpec(networks=(NetworkAttachmentSpec(target="net"),)))
    change(
        tables,
        Cluster(id="c"),
        *[
            Node(
                id=f"n{i}",
                description=NodeDescription(hostname=f"host{i}", data_address=f"192.0.2.{i}"),
                status=NodeStatus(state=NodeState.READY),
            )
            for i in (1, 2)
        ],
        Network(id="net", spec=NetworkSpec(name="net"), vni=4096),
        Service(id="web", name="web", revision_id="r1"),
        Revision(id="r1", service_id="web", number=1, spec=spec),
        task("t1", "n1"),
        endpoint("e1", "t1", "n1", "10.0.0.5"),
    )
    return tables


def task(id: str, node_id: str, state: TaskState = TaskState.ASSIGNED) -> Task:
    """Make a task of `web`."""
    return Task(
        id=id, service_id="web", revision_id="r1", slot=1, node_id=node_id, status=TaskStatus(state=state)
    )


def endpoint(id: str, task_id: str, node_id: str, address: str) -> Endpoint:
    """Make an active endpoint on `net`."""
    return Endpoint(
        id=id,
        network_id="net",
        node_id=node_id,
        task_id=task_id,
        service_id="web",
        addresses=(address,),
        state=EndpointState.ACTIVE,
    )
