"""A manager's API on a local socket with a node that only pretends, for tests of the `covey` command.

The store, the planners and the control API are the real ones; the pretended agent moves every task where it
is wanted as soon as it is assigned. Tasks of the image `broken` fail.
"""

import asyncio
import threading
from pathlib import Path
from random import Random

from msgspec.structs import replace

from covey.errors import FailedPrecondition, Unavailable
from covey.io.registry import Resolved
from covey.model.objects import (
    Cluster,
    ClusterVersion,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
    Revision,
    RootCa,
    Task,
    TaskStatus,
)
from covey.model.reference import Reference
from covey.model.specs import IpamConfig, NetworkSpec, NodeSpec, RegistryAuth, Resources
from covey.model.states import NodeRole, NodeState, TaskState
from covey.v1 import control_pb2, node_pb2
from covey.wire import server as wire
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control, NodeDaemon
from manager.audit.server import AuditServer
from manager.backup import open_archive
from manager.backup.server import BackupServer
from manager.control.server import ControlServer
from manager.dispatcher.followed import Followed
from manager.leader.driver import lead
from manager.store.draft import Draft
from manager.store.driver import Store
from tests.support.store_alone import open_alone

TOKEN = "COVEY-1-" + "d" * 50 + "-" + "s" * 25
NODES = ("m1", "w1")


def managers_line(
    name: str, leader: bool = False, voter: bool = True, answers: bool = True
) -> control_pb2.ManagerStatus:
    """One manager's line of the cluster's status."""
    return control_pb2.ManagerStatus(
        node_id=name.ljust(25, "0"),
        hostname=name,
        address=f"{name}.example:2377",
        leader=leader,
        voter=voter,
        reachability="REACHABILITY_REACHABLE" if answers else "REACHABILITY_UNREACHABLE",
        behind_entries=0 if leader else 2,
        raft_id=1,
    )


class CliStand:
    """Runs in a thread of its own, as another process would. `with CliStand(path) as stand: ...`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = f"unix://{root}/covey.sock"
        self.status = control_pb2.GetClusterStatusResponse(
            managers=[
                managers_line("m1", leader=True),
                managers_line("m2"),
                managers_line("w1", voter=False),
            ],
            answered_by="m1".ljust(25, "0"),
            has_quorum=True,
            term=3,
            applied_index=7,
            epoch=1,
            store="raft",
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def __enter__(self) -> "CliStand":
        self._thread.start()
        assert self._ready.wait(30), "the stand did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        store = await open_alone(self.root / "state", "c" * 25)
        await store.update(_first_content)
        control = ControlServer(
            store,
            Random(2),
            _resolve,
            _token,
            node_id="m1".ljust(25, "0"),
            followed=lambda _: Followed(ClusterVersion(1, 9), {"m1".ljust(25, "0"): ClusterVersion(1, 7)}),
        )
        people = [
            *control.bindings(),
            *BackupServer(store).bindings(),
            *AuditServer(store, lambda: None, lambda: None, Random(4)).bindings(),
            bind(Control.get_cluster_status, self._status),
        ]
        servers = [
            await wire.serve_unix(self.root / "manager.sock", people),
            await wire.serve_unix(self.root / "covey.sock", _daemon()),
        ]
        running = [asyncio.create_task(lead(store, Random(3))), asyncio.create_task(_pretend(store))]
        self._ready.set()
        await self._stop.wait()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for server in servers:
            await server.stop(1)
        await store.close()

    async def _status(
        self, request: control_pb2.GetClusterStatusRequest, caller: Caller
    ) -> control_pb2.GetClusterStatusResponse:
        return self.status


def _first_content(draft: Draft) -> None:
    draft.put(Cluster(id="c" * 25, root_ca=RootCa(digest="d" * 50)))
    ingress = NetworkSpec(name="ingress", ingress=True, ipam=(IpamConfig(subnet="10.255.0.0/16"),))
    draft.put(Network(id="0" * 25, spec=ingress))
    for name in NODES:
        described = NodeDescription(
            hostname=name, resources=Resources(nano_cpus=8 * 10**9, memory_bytes=2**34)
        )
        role = NodeRole.MANAGER if name == "m1" else NodeRole.WORKER
        status = NodeStatus(state=NodeState.READY, address="192.0.2.1")
        spec = NodeSpec(role=role)
        draft.put(Node(id=name.ljust(25, "0"), spec=spec, description=described, status=status, role=role))


async def _resolve(image: Reference, auth: RegistryAuth | None) -> Resolved:
    if image.registry == "silent.example":
        raise Unavailable(f"{image.registry} does not answer")
    return Resolved("sha256:" + "a" * 64)


async def _token(role: NodeRole, rotate: bool) -> str:
    return TOKEN


def _daemon() -> list[Binding]:
    return [
        bind(NodeDaemon.info, _info),
        bind(NodeDaemon.init, _init),
        bind(NodeDaemon.join, _join),
        bind(NodeDaemon.leave, _leave),
        bind(NodeDaemon.force_new_cluster, _force_new_cluster),
        bind(NodeDaemon.restore, _restore),
        bind(NodeDaemon.set_address, _set_address),
        bind(NodeDaemon.follow_membership, _follow_membership),
    ]


async def _init(request: node_pb2.InitRequest, caller: Caller) -> node_pb2.InitResponse:
    return node_pb2.InitResponse(cluster_id="c" * 25, node_id="m1".ljust(25, "0"), worker_token=TOKEN)


async def _join(request: node_pb2.JoinRequest, caller: Caller) -> node_pb2.JoinResponse:
    return node_pb2.JoinResponse(cluster_id="c" * 25, node_id="w9".ljust(25, "0"))


async def _leave(request: node_pb2.LeaveRequest, caller: Caller) -> node_pb2.LeaveResponse:
    if not request.force:
        raise FailedPrecondition("this node is the last manager; use --force")
    return node_pb2.LeaveResponse()


async def _force_new_cluster(
    request: node_pb2.ForceNewClusterRequest, caller: Caller
) -> node_pb2.ForceNewClusterResponse:
    return node_pb2.ForceNewClusterResponse(cluster_id="c" * 25, node_id="m1".ljust(25, "0"))


async def _restore(request: node_pb2.RestoreRequest, caller: Caller) -> node_pb2.RestoreResponse:
    open_archive(Path(request.path))
    return node_pb2.RestoreResponse(cluster_id="c" * 25, node_id="m1".ljust(25, "0"))


async def _set_address(request: node_pb2.SetAddressRequest, caller: Caller) -> node_pb2.SetAddressResponse:
    return node_pb2.SetAddressResponse()


async def _follow_membership(
    request: node_pb2.FollowMembershipRequest, caller: Caller
) -> node_pb2.FollowMembershipResponse:
    raise AssertionError("it is the agent that says so, not the command")


async def _info(request: node_pb2.InfoRequest, caller: Caller) -> node_pb2.InfoResponse:
    return node_pb2.InfoResponse(
        version="9.9",
        node_id="m1".ljust(25, "0"),
        cluster_id="c" * 25,
        node_name="m1",
        role=1,
        managers=["192.0.2.1:2377"],
        advertise_address="192.0.2.1",
    )


async def _pretend(store: Store) -> None:
    """Be the agents: whatever is assigned runs, whatever is to end has ended."""
    watch = store.watch()
    try:
        while True:
            await store.update(_step)
            await watch.batch()
    finally:
        watch.close()


def _step(draft: Draft) -> None:
    for node in list(draft.all(Node)):
        if node.role is not node.spec.role:
            draft.put(replace(node, role=node.spec.role))
    for task in list(draft.all(Task)):
        wanted = _wanted(draft, task)
        if wanted is not None:
            draft.put(replace(task, status=TaskStatus(state=wanted, err=_error(wanted), at_ns=1)))


def _wanted(draft: Draft, task: Task) -> TaskState | None:
    state, desired = task.status.state, task.desired_state
    if state >= TaskState.COMPLETE or state < TaskState.ASSIGNED:
        return None
    if not desired.wants_up:
        return TaskState.SHUTDOWN
    revision = draft.get(Revision, task.revision_id)
    if revision is not None and "broken" in revision.spec.task.container.image:
        return TaskState.FAILED
    return desired if state < desired else None


def _error(state: TaskState) -> str:
    return "it is broken" if state is TaskState.FAILED else ""
