"""Who uses a network: services that are to be on it, and networks that have their settings from it."""

from collections.abc import Iterable

from covey.model.objects import Network, Revision, Service, Task
from covey.model.states import PublishMode
from manager.store.view import BY_NETWORK, BY_SERVICE, View


def users(view: View, network: Network) -> list[Service]:
    """List the services that are to be on a network: as of now, or with tasks that a rollout has yet to come to.

    It may still go back to those.
    """
    found = []
    for revision in _revisions(view, network):
        service = view.get(Service, revision.service_id)
        if service is None or service.pending_delete:
            continue
        tasks = view.find(Task, BY_SERVICE, service.id)
        if service.revision_id == revision.id or any(
            task.revision_id == revision.id and task.desired_state.wants_up and not task.status.state.terminal
            for task in tasks
        ):
            found.append(service)
    return found


def _revisions(view: View, network: Network) -> Iterable[Revision]:
    if not network.spec.ingress:
        return view.find(Revision, BY_NETWORK, network.id)
    return [
        revision
        for revision in view.all(Revision)
        if any(port.publish_mode is PublishMode.INGRESS for port in revision.spec.endpoint.ports)
    ]


def takers(view: View, source: Network) -> list[str]:
    """Name the networks that have their settings from this one."""
    if not source.spec.config_only:
        return []
    name = source.spec.name.casefold()
    return sorted(other.spec.name for other in view.all(Network) if other.spec.config_from.casefold() == name)
