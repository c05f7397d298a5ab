"""Services and networks that go: first what belongs to them ends, then they are deleted."""

from collections.abc import Iterable

from covey.model.objects import Endpoint, Network, Revision, Service, Task
from covey.model.states import TaskState
from manager.store.view import BY_NETWORK, BY_SERVICE

from .reaper import removable
from .turn import Turn


def remove_service(turn: Turn, service: Service, tasks: Iterable[Task]) -> bool:
    """Have the tasks of a service stop and go, then the service itself; tells whether it is gone."""
    remain = False
    for task in tasks:
        if turn.exhausted:
            return False
        ending = turn.desire(task, TaskState.REMOVE)
        if turn.ownerless(ending):
            ending = turn.orphan(ending)
        if removable(ending):
            turn.forget(ending)
        else:
            remain = True
    if remain:
        return False
    for revision in turn.draft.find(Revision, BY_SERVICE, service.id):
        turn.draft.delete(Revision, revision.id)
    turn.draft.delete(Service, service.id)
    return True


def remove_network(turn: Turn, network: Network) -> bool:
    """Delete a network once no task has a place on it; tells whether it is gone."""
    endpoints = turn.draft.find(Endpoint, BY_NETWORK, network.id)
    if any(endpoint.task_id for endpoint in endpoints) or turn.draft.find(Service, BY_NETWORK, network.id):
        return False
    for endpoint in endpoints:
        turn.draft.delete(Endpoint, endpoint.id)
    turn.draft.delete(Network, network.id)
    return True
