"""The allocator: what has changed, and in which order it is dealt with."""

from collections.abc import Container, Iterator
from random import Random

from msgspec.structs import replace

from covey.errors import Refused
from covey.model.network_options import MACVLAN, OVERLAY
from covey.model.objects import (
    Cluster,
    Endpoint,
    Network,
    Node,
    Object,
    Revision,
    Service,
    Task,
    TaskStatus,
    VirtualIp,
)
from covey.model.reasons import with_reason
from covey.model.states import EndpointMode, Protocol, TaskState
from manager.store.draft import Draft
from manager.store.transaction import Change
from manager.store.view import BY_NODE, BY_SERVICE

from . import endpoints, subnets
from .addresses import Addresses
from .ports import Ports, left_over


class Allocator:
    """Writes into a draft what networks, services, nodes and tasks lack."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._addresses = Addresses()
        self._ports = Ports()
        self._ingress_id = ""
        self._networks: set[str] = set()  # all of them, to look for overlaps and to try again
        self._dirty_networks = False
        self._dirty_services: set[str] = set()
        self._unsettled: set[str] = set()  # services that lack something, or hold what they will give up
        self._dirty_nodes: set[str] = set()
        self._placeless: set[str] = set()  # nodes for which the ingress network had no address left
        self._dirty_tasks: dict[str, None] = {}  # in the order in which they came
        self._leaving: dict[str, None] = {}  # tasks that are to stop: nobody may be sent to them any more
        self._blocked: dict[str, None] = {}
        self._try_again = False  # something changed that may help the blocked
        self._retries: dict[str, None] = {}  # those of them that have yet to be tried again

    @property
    def busy(self) -> bool:
        """Tell whether there is something to look at now."""
        dirty = self._dirty_networks or self._dirty_services or self._dirty_nodes
        tasks = self._leaving or self._dirty_tasks or self._retries or (self._try_again and self._blocked)
        return bool(dirty or tasks)

    @property
    def blocked(self) -> Container[str]:
        """The tasks that must not be scheduled, because they lack an address or a port."""
        return self._blocked

    def observe(self, change: Change) -> None:
        """Take note of a change; `before` may be missing, which only means more to look at."""
        before, after, kind = change.before, change.after, change.kind
        if kind is Task:
            self._observe_task(change.id, before, after)
        elif kind is Endpoint:
            self._addresses.observe_endpoint(change.id, after if isinstance(after, Endpoint) else None)
            self._try_again = self._try_again or after is None
        elif kind is Service:
            service = after if isinstance(after, Service) else None
            self._addresses.observe_service(change.id, service)
            self._ports.observe(change.id, service)
            self._dirty_services.add(change.id)
            self._unsettled.discard(change.id)
            self._try_again = True
        elif kind is Network:
            self._observe_network(change.id, after)
        elif kind is Node:
            self._addresses.observe_node(change.id, after if isinstance(after, Node) else None)
            if before is None or after is None:
                self._dirty_nodes.add(change.id)
        elif kind is Cluster:
            self._dirty_networks = self._try_again = True

    def _observe_task(self, id: str, before: object, after: object) -> None:
        if isinstance(before, Task) and isinstance(after, Task):
            old, new = before.status.state, after.status.state
            same = before.desired_state is after.desired_state and before.status.health is after.status.health
            if same and (old is new or TaskState.PENDING <= new < TaskState.RUNNING):
                return
        if after is None:
            self._blocked.pop(id, None)
        if isinstance(after, Task) and after.status.state.terminal and after.service_id in self._unsettled:
            self._dirty_services.add(after.service_id)
        leaves = (
            isinstance(after, Task) and not after.desired_state.wants_up and not after.status.state.terminal
        )
        (self._leaving if leaves else self._dirty_tasks)[id] = None

    def _observe_network(self, id: str, after: object) -> None:
        network = after if isinstance(after, Network) else None
        self._addresses.observe_network(id, network)
        if network is None:
            self._networks.discard(id)
        else:
            self._networks.add(id)
        if network is not None and network.spec.ingress and not network.pending_delete:
            self._ingress_id = id
        elif self._ingress_id == id:
            self._ingress_id = ""
        self._dirty_networks = self._try_again = True

    def touch(self, obj: Object) -> None:
        """Have whom an object belongs to looked at again: what was written of it has not happened."""
        if isinstance(obj, Endpoint):
            if obj.task_id:
                self._dirty_tasks[obj.task_id] = None
            else:
                self._dirty_nodes.add(obj.node_id)

    def plan(self, draft: Draft, now_ns: int, objects_max: int) -> None:
        """Give what is lacking; about `objects_max` tasks at most, the rest is dealt with next time.

        That holds for tasks that are tried again, too: a freed port may be what ten thousand wait for. Tasks
        that are to stop do not count: whoever stops them in this draft has their endpoints drain with it.
        """
        if self._dirty_networks:
            self._plan_networks(draft)
        self._plan_nodes(draft)
        self._plan_services(draft)
        self._plan_tasks(draft, now_ns, objects_max)

    def _plan_networks(self, draft: Draft) -> None:
        self._dirty_networks = False
        networks = [network for id in sorted(self._networks) if (network := draft.get(Network, id))]
        cluster, hosts = _cluster(draft), subnets.hosts_of(draft.all(Node))
        for network in networks:
            if network.pending_delete or network.spec.config_only or _complete(network):
                continue
            others = [
                other
                for id in sorted(self._networks - {network.id})
                if (other := draft.get(Network, id)) and (other.vni or other.subnets)
            ]
            allocated = subnets.allocate(network, others, cluster, hosts)
            if allocated != network:
                draft.put(allocated)
                self._addresses.observe_network(network.id, allocated)
            if network.spec.ingress and allocated.vni:
                self._dirty_nodes.update(node.id for node in draft.all(Node))

    def differences(self, right: "Allocator") -> Iterator[str]:
        """Say where what is thought to be taken differs from an allocator that is `right`."""
        yield from self._addresses.differences(right._addresses)
        yield from self._ports.differences(right._ports)

    def _plan_nodes(self, draft: Draft) -> None:
        ingress = draft.get(Network, self._ingress_id) if self._ingress_id else None
        ready = ingress is not None and self._addresses.known(ingress.id)
        if self._try_again:
            self._dirty_nodes |= self._placeless
        self._placeless -= self._dirty_nodes
        for node_id in sorted(self._dirty_nodes):
            mine = [e for e in draft.find(Endpoint, BY_NODE, node_id) if not e.task_id]
            if draft.get(Node, node_id) is None:
                for endpoint in mine:
                    draft.delete(Endpoint, endpoint.id)
                    self._addresses.observe_endpoint(endpoint.id, None)
            elif ingress is not None and ready and not any(e.network_id == ingress.id for e in mine):
                made = endpoints.node_endpoint(self._addresses, ingress, node_id, self._dice)
                if made is None:
                    self._placeless.add(node_id)
                else:
                    draft.put(made)
                    self._addresses.observe_endpoint(made.id, made)
        self._dirty_nodes.clear()

    def _plan_services(self, draft: Draft) -> None:
        if self._try_again:
            self._dirty_services |= self._unsettled
        for service_id in sorted(self._dirty_services):
            service = draft.get(Service, service_id)
            if service is not None and not service.pending_delete:
                self._plan_service(draft, service)
        self._dirty_services.clear()

    def _plan_service(self, draft: Draft, service: Service) -> None:
        revision = draft.get(Revision, service.revision_id)
        assert revision is not None, f"the current revision of service {service.name} is there"
        reserved = {(Protocol.UDP, _cluster(draft).spec.vxlan_port)}
        self._unsettled.discard(service.id)
        error, ports, wanted = "", service.ports, revision.spec.endpoint.ports
        try:
            ports = self._ports.allocate(service, wanted, reserved)
            if set(service.ports) - set(ports):
                left = left_over(service, wanted, ports, _older(draft, service))
                ports = (*left, *ports)
                if left:
                    self._unsettled.add(service.id)
        except Refused as refusal:
            error = str(refusal)
        vips: tuple[VirtualIp, ...] = ()
        if revision.spec.endpoint.mode is EndpointMode.VIP:
            targets = endpoints.overlays_of(revision.spec)
            vips, lack = self._virtual_ips(draft, service, targets)
            error = error or lack
        if error:
            self._unsettled.add(service.id)
        after = replace(service, ports=ports, virtual_ips=vips, allocation_error=error)
        if after != service:
            draft.put(after)
            self._ports.observe(after.id, after)
            self._addresses.observe_service(after.id, after)

    def _virtual_ips(
        self, draft: Draft, service: Service, targets: list[str]
    ) -> tuple[tuple[VirtualIp, ...], str]:
        """An address of each family on each network; those the service leaves keep theirs while tasks are on them."""
        had: dict[str, list[VirtualIp]] = {}
        for ip in service.virtual_ips:
            had.setdefault(ip.network_id, []).append(ip)
        vips: list[VirtualIp] = []
        lack = ""
        for network_id in dict.fromkeys(targets):
            if network_id in had:
                vips.extend(had.pop(network_id))
                continue
            network = draft.get(Network, network_id)
            if network is not None and network.spec.driver == MACVLAN:
                continue  # its addresses are a LAN's: names are answered with those of the tasks
            reason, _, given = endpoints.take_address(draft, self._addresses, network_id)
            lack = reason or lack
            vips.extend(VirtualIp(network_id, address) for address in given)
        if had:
            on = {endpoint.network_id for endpoint in draft.find(Endpoint, BY_SERVICE, service.id)}
            vips.extend(ip for network_id, ips in had.items() if network_id in on for ip in ips)
            self._unsettled.add(service.id)
        return tuple(vips), lack

    def _plan_tasks(self, draft: Draft, now_ns: int, objects_max: int) -> None:
        dirty = list(self._dirty_tasks)[:objects_max]
        todo = list(dict.fromkeys((*self._leaving, *dirty)))
        self._leaving.clear()
        for task_id in todo:
            self._dirty_tasks.pop(task_id, None)
            if endpoints.settle(draft, self._addresses, task_id):
                self._try_again = True
                self._dirty_services |= self._unsettled
                self._dirty_nodes |= self._placeless
        if self._try_again:
            self._retries.update(self._blocked)  # behind those whose turn has not come since the last time
        self._try_again = False
        for task_id in dict.fromkeys((*todo, *list(self._retries)[: max(objects_max - len(dirty), 0)])):
            self._retries.pop(task_id, None)
            task = draft.get(Task, task_id)
            if task is None or task.status.state > TaskState.PENDING or not task.desired_state.wants_up:
                self._blocked.pop(task_id, None)
                continue
            self._plan_task(draft, task, now_ns)

    def _plan_task(self, draft: Draft, task: Task, now_ns: int) -> None:
        service, revision = draft.get(Service, task.service_id), draft.get(Revision, task.revision_id)
        assert service is not None, f"the service of task {task.id} is there"
        assert revision is not None, f"the revision of task {task.id} is there"
        reason = service.allocation_error if task.revision_id == service.revision_id else ""
        if not reason:
            networks = endpoints.networks_of(revision.spec, self._ingress_id)
            reason = endpoints.give(draft, self._addresses, task, networks, self._dice)
        if reason:
            self._blocked[task.id] = None
            if task.status.err != reason or task.status.state is TaskState.NEW:
                status = TaskStatus(TaskState.PENDING, "waiting for an address or a port", reason, now_ns)
                draft.put(replace(task, status=with_reason(task, status)))
            return
        freed = task.id in self._blocked
        self._blocked.pop(task.id, None)
        if task.status.state is TaskState.NEW or freed:
            status = TaskStatus(TaskState.PENDING, "waiting for a node", "", now_ns)
            draft.put(replace(task, status=with_reason(task, status)))


def _older(draft: Draft, service: Service) -> list[Revision]:
    """The revisions other than the current one of which a service has tasks that have not ended."""
    tasks = draft.find(Task, BY_SERVICE, service.id)
    ids = {task.revision_id for task in tasks if not task.status.state.terminal} - {service.revision_id}
    return [revision for id in sorted(ids) if (revision := draft.get(Revision, id))]


def _complete(network: Network) -> bool:
    """Tell whether a network has all it needs; only an overlay has a number on the wire."""
    return bool(network.vni if network.spec.driver == OVERLAY else network.subnets)


def _cluster(draft: Draft) -> Cluster:
    return next(iter(draft.all(Cluster)), Cluster())
