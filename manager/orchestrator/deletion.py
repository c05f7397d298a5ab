"""Services and networks that go: first what belongs to them ends, then they are deleted."""

from collections.abc import Iterable

from msgspec.structs import replace

from covey.model.objects import Endpoint, Network, Revision, Service, Task
from covey.model.states import TaskState
from manager.store.draft import Draft
from manager.store.view import BY_NAME, BY_NETWORK, BY_SERVICE

from .reaper import removable
from .turn import Turn
from .users import takers, users


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


def end_network(draft: Draft, network: Network) -> bool:
    """Delete a network that is to go once no task has a place on it; tells whether that is decided.

    A service may have taken it up in the moment when its removal was asked for, and both were granted: then it stays.
    """
    if _taken_up(draft, network):
        draft.put(replace(network, pending_delete=False))
        return True
    endpoints = draft.find(Endpoint, BY_NETWORK, network.id)
    if any(endpoint.task_id for endpoint in endpoints) or draft.find(Service, BY_NETWORK, network.id):
        return False
    for endpoint in endpoints:
        draft.delete(Endpoint, endpoint.id)
    draft.delete(Network, network.id)
    return True


def _taken_up(draft: Draft, network: Network) -> bool:
    """Tell whether a network that is to go has to stay.

    Services that publish ports wait for the next ingress network. And a name that another one has by now is not given
    back: then the network is only kept for as long as somebody is on it.
    """
    if network.spec.ingress or not (users(draft, network) or takers(draft, network)):
        return False
    return not draft.find(Network, BY_NAME, network.spec.name)
