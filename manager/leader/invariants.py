"""What holds in every state of the store that the leader has written. For tests, simulation and audits.

`validate` reads everything and costs accordingly; it lists all that is wrong, in words. Endpoints follow
their tasks a moment later when somebody else has changed those, so they are only judged `at_rest`: when
the leader has heard of everything and has nothing to do.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from covey.model.addressing import addresses_of, number_of
from covey.model.jobs import extent
from covey.model.objects import Endpoint, Network, Node, Revision, Service, Task
from covey.model.specs import PortConfig
from covey.model.states import (
    Protocol,
    PublishMode,
    ServiceModeKind,
    TaskState,
    UpdateOrder,
)
from manager.allocator.endpoints import networks_of, state_for
from manager.orchestrator.eviction import crowded_out
from manager.scheduler.demand import demand_of, holds_node
from manager.store.view import BY_SERVICE, BY_TASK, View


def validate(view: View, *, at_rest: bool = True) -> list[str]:
    """Say everything that is wrong; an empty list means that all is well."""
    always = (_references, _addresses, _subnets, _ports, _places, _jobs, _hosts)
    checks = (*always, _endpoints, _stopped, _room) if at_rest else always
    return [wrong for check in checks for wrong in check(view)]


def _references(view: View) -> Iterator[str]:
    """What an object refers to is there."""
    for service in view.all(Service):
        if view.get(Revision, service.revision_id) is None:
            yield f"service {service.id} has no revision {service.revision_id}"
    for task in view.all(Task):
        if view.get(Service, task.service_id) is None:
            yield f"task {task.id} has no service {task.service_id}"
        if view.get(Revision, task.revision_id) is None:
            yield f"task {task.id} has no revision {task.revision_id}"
        if task.status.state >= TaskState.ASSIGNED and not task.status.state.terminal and not task.node_id:
            yield f"task {task.id} is {task.status.state.name} without a node"


def _addresses(view: View) -> Iterator[str]:
    """An address on a network is held once, and lies in one of its subnets; who has one has one of each family."""
    held: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for endpoint in view.all(Endpoint):
        network = view.get(Network, endpoint.network_id)
        if network is not None and endpoint.addresses != addresses_of(network.subnets, endpoint.number):
            had = ", ".join(endpoint.addresses) or "no address"
            yield f"endpoint {endpoint.id} has number {endpoint.number} and {had}"
        held[endpoint.network_id].update(endpoint.addresses)
    for service in view.all(Service):
        of: defaultdict[str, list[str]] = defaultdict(list)
        for ip in service.virtual_ips:
            of[ip.network_id].append(ip.address)
        for network_id, ips in of.items():
            held[network_id].update(ips)
            network = view.get(Network, network_id)
            if network is not None and tuple(ips) != addresses_of(network.subnets, number_of(ips[0])):
                yield f"service {service.name} has {', '.join(ips)} on network {network.spec.name}"
    for network_id, addresses in held.items():
        network = view.get(Network, network_id)
        if network is None:
            yield f"addresses are held on network {network_id}, which does not exist"
            continue
        subnets = [ip_network(subnet.cidr) for subnet in network.subnets]
        given = [address for s in network.subnets for address in (s.gateway, *s.reserved.values()) if address]
        kept = {str(ip_address(address)) for address in given}
        for address, times in addresses.items():
            if times > 1:
                yield f"address {address} of network {network.spec.name} is held {times} times"
            if address in kept or not any(ip_address(address) in subnet for subnet in subnets):
                yield f"address {address} is not one that network {network.spec.name} gives"


def _subnets(view: View) -> Iterator[str]:
    """VNIs are unique, and no two subnets overlap."""
    networks = list(view.all(Network))
    for vni, times in Counter(network.vni for network in networks if network.vni).items():
        if times > 1:
            yield f"VNI {vni} is given {times} times"
    spans = sorted(
        (net.version, int(net.network_address), int(net.broadcast_address), network.spec.name)
        for network in networks
        for net in (ip_network(subnet.cidr) for subnet in network.subnets)
    )
    for (family, _, last, name), (version, first, _, other) in itertools.pairwise(spans):
        if family == version and first <= last:
            yield f"networks {name} and {other} overlap"


def _ports(view: View) -> Iterator[str]:
    """An ingress port belongs to one service, and no host port has its number on the same address."""
    ingress: defaultdict[tuple[Protocol, int], list[tuple[str, PortConfig]]] = defaultdict(list)
    host: defaultdict[tuple[Protocol, int], list[tuple[str, PortConfig]]] = defaultdict(list)
    for service in view.all(Service):
        for port in service.ports:
            if not port.published_port:
                yield f"service {service.name} has a port without a number"
            if service.pending_delete and port.publish_mode is PublishMode.INGRESS:
                continue
            book = ingress if port.publish_mode is PublishMode.INGRESS else host
            book[port.protocol, port.published_port].append((service.name, port))
    for key, holders in ingress.items():
        for place, (name, port) in enumerate(holders):
            met = [other for other, theirs in holders[place + 1 :] + host.get(key, []) if theirs.meets(port)]
            if met:
                yield f"port {key[1]}/{key[0].name} belongs to {', '.join([name, *met])}"


def _endpoints(view: View) -> Iterator[str]:
    """Endpoints belong to tasks that have not ended, and tell what state those are in."""
    ingress_id = next((n.id for n in view.all(Network) if n.spec.ingress and not n.pending_delete), "")
    for endpoint in view.all(Endpoint):
        if not endpoint.task_id:
            if view.get(Node, endpoint.node_id) is None:
                yield f"endpoint {endpoint.id} is left of node {endpoint.node_id}"
            continue
        task = view.get(Task, endpoint.task_id)
        if task is None or task.status.state.terminal:
            yield f"endpoint {endpoint.id} is left of task {endpoint.task_id}"
        elif endpoint.node_id != task.node_id:
            yield f"endpoint {endpoint.id} is on node {endpoint.node_id!r}, its task on {task.node_id!r}"
        elif endpoint.state is not state_for(task):
            state = f"{task.status.state.name} ({task.status.health.name}), desired {task.desired_state.name}"
            yield f"endpoint {endpoint.id} is {endpoint.state.name}, its task {state}"
    for task in view.all(Task):
        revision = view.get(Revision, task.revision_id)
        if revision is not None and holds_node(task):
            has = sorted(endpoint.network_id for endpoint in view.find(Endpoint, BY_TASK, task.id))
            if has != sorted(networks_of(revision.spec, ingress_id)):
                yield f"task {task.id} has endpoints on {has}, not on the networks of its revision"


def _places(view: View) -> Iterator[str]:
    """One task at a time is meant to run in a place, unless an update starts first and stops second."""
    places: defaultdict[tuple[str, int, str], list[Task]] = defaultdict(list)
    for task in view.all(Task):
        if TaskState.RUNNING <= task.desired_state < TaskState.SHUTDOWN and not task.status.state.terminal:
            revision = view.get(Revision, task.revision_id)
            everywhere = revision is not None and revision.spec.mode.kind.everywhere
            places[task.service_id, task.slot, task.node_id if everywhere else ""].append(task)
    for (service_id, slot, node_id), tasks in places.items():
        revisions = [view.get(Revision, task.revision_id) for task in tasks]
        start_first = any(
            UpdateOrder.START_FIRST in (r.spec.update.order, r.spec.rollback.order) for r in revisions if r
        )
        if len(tasks) > 1 and not start_first:
            yield f"{len(tasks)} tasks are meant to run in place {slot or node_id} of service {service_id}"


def _jobs(view: View) -> Iterator[str]:
    """Jobs run to their end, within their slots and no more at a time than they may; others run on."""
    live: Counter[str] = Counter()
    for task in view.all(Task):
        service, mine = view.get(Service, task.service_id), view.get(Revision, task.revision_id)
        current = view.get(Revision, service.revision_id) if service is not None else None
        if current is None or mine is None:
            continue
        mode = current.spec.mode
        wrong = TaskState.RUNNING if mode.kind.job else TaskState.COMPLETE
        if task.desired_state is wrong:
            yield f"task {task.id} of service {current.spec.name}, {mode.kind.name}, is desired {wrong.name}"
        if (
            mode.kind is not ServiceModeKind.REPLICATED_JOB
            or mine.restart_generation != current.restart_generation
        ):
            continue
        if task.slot >= extent(mode)[0]:
            yield f"task {task.id} has slot {task.slot} of job {current.spec.name}, which has fewer"
        live[current.id] += task.desired_state.wants_up and not task.status.state.terminal
    for revision_id, tasks in live.items():
        revision = view.get(Revision, revision_id)
        if revision is not None and tasks > (most := extent(revision.spec.mode)[1]):
            yield f"{tasks} tasks of job {revision.spec.name} are meant to run, and {most} at a time may"


def _stopped(view: View) -> Iterator[str]:
    """Nothing is meant to run of a service that people stopped."""
    for service in view.all(Service):
        tasks = view.find(Task, BY_SERVICE, service.id) if service.stopped else ()
        up = [task.id for task in tasks if task.desired_state.wants_up and not task.status.state.terminal]
        if up:
            yield f"service {service.name} is stopped, and {len(up)} tasks of it are meant to run"


def _room(view: View) -> Iterator[str]:
    """No active node has more to run than it has room for: what does not fit any more was told to stop."""
    for node in view.all(Node):
        for task_id, why in crowded_out(view, node).items():
            yield f"task {task_id} is meant to run, and {why}"


def _hosts(view: View) -> Iterator[str]:
    """No node has a host port twice, nor gives one resource that has a name to two tasks."""
    ports: defaultdict[tuple[str, Protocol, int], Counter[str]] = defaultdict(Counter)
    named: Counter[tuple[str, str, str]] = Counter()
    for task in view.all(Task):
        revision = view.get(Revision, task.revision_id)
        if revision is None or not holds_node(task):
            continue
        for protocol, number, address in demand_of(revision, view.get(Service, task.service_id)).ports:
            ports[task.node_id, protocol, number][address] += 1
        named.update((task.node_id, given.kind, given.value) for given in task.generic if given.value)
    for (node_id, protocol, number), addresses in ports.items():
        times = addresses.total() if addresses[""] else max(addresses.values())
        if times > 1:
            yield f"port {number}/{protocol.name} of node {node_id} is published {times} times"
    for (node_id, kind, value), times in named.items():
        if times > 1:
            yield f"{kind} {value} of node {node_id} is given to {times} tasks"
