"""The gRPC side of services: requests are read, checked, and turned into transactions."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

from msgspec.structs import replace

from covey import limits
from covey.errors import NotFound, Refused, Unavailable
from covey.io.registry import Resolved
from covey.model import difference, reference
from covey.model.objects import Cluster, Network, Service, Task
from covey.model.specs import RegistryAuth, ServiceSpec
from covey.v1 import control_pb2 as pb
from covey.v1 import objects_pb2, specs_pb2
from covey.wire.codec import from_message, to_message
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control
from manager.control import validate
from manager.control.lookup import find_service
from manager.control.paging import pages
from manager.explaining.driver import Explanations
from manager.rehearsal.driver import Make, Rehearsals
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.io.aside import Aside
from manager.store.view import BY_SERVICE
from manager.store.watch import Lagged

from . import changes, describing
from .author import author

log = logging.getLogger(__name__)

ResolveImage = Callable[[reference.Reference, RegistryAuth | None], Awaitable[Resolved]]


class ServiceServer:
    """Serves what `covey.v1.Control` has on services.

    `resolve_image` asks a registry for a digest and platforms. `node_id` is this manager's, for the history.
    """

    def __init__(self, store: Store, dice: Random, resolve_image: ResolveImage, node_id: str) -> None:
        self._store = store
        self._dice = dice
        self._resolve_image = resolve_image
        self._node_id = node_id
        aside = Aside(store)
        self._rehearsals = Rehearsals(aside, dice)
        self._explanations = Explanations(aside)

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [
            bind(Control.create_service, self._create_service),
            bind(Control.list_services, self._list_services),
            bind(Control.get_service, self._get_service),
            bind(Control.update_service, self._update_service),
            bind(Control.remove_service, self._remove_service),
            bind(Control.roll_back_service, self._roll_back_service),
            bind(Control.stop_service, self._stop_service),
            bind(Control.start_service, self._start_service),
            bind(Control.plan_service, self._plan_service),
            bind(Control.explain_service, self._explain_service),
            bind(Control.list_revisions, self._list_revisions),
            bind(Control.watch_service, self._watch_service),
        ]

    # --- changing ---

    async def _create_service(
        self, request: pb.CreateServiceRequest, caller: Caller
    ) -> pb.CreateServiceResponse:
        spec, warnings = await self._checked(request.spec, request.resolve_image)
        service = await self._store.update(
            lambda draft: changes.create_service(draft, spec, self._dice, self._author(draft, caller))
        )
        log.info("%s created service %s (%s)", caller, spec.name, service.id)
        return pb.CreateServiceResponse(service_id=service.id, warnings=warnings)

    async def _update_service(
        self, request: pb.UpdateServiceRequest, caller: Caller
    ) -> pb.UpdateServiceResponse:
        spec, warnings = await self._checked(request.spec, request.resolve_image, request.service_id)
        await self._store.update(
            lambda draft: changes.update_service(
                draft,
                request.service_id,
                request.version,
                spec,
                self._dice,
                force=request.force,
                author=self._author(draft, caller),
            )
        )
        log.info("%s updated service %s", caller, spec.name)
        return pb.UpdateServiceResponse(warnings=warnings)

    def _author(self, draft: Draft, caller: Caller) -> str:
        return author(draft, caller, self._node_id)

    def _vxlan_port(self) -> int:
        return next((cluster.spec.vxlan_port for cluster in self._store.all(Cluster)), limits.vxlan_port)

    async def _checked(
        self, message: specs_pb2.ServiceSpec, resolve: bool, service_id: str = ""
    ) -> tuple[ServiceSpec, list[str]]:
        """Read a spec that came, see that it is sound, and give it its image's digest; with warnings."""
        spec = from_message(message, ServiceSpec)
        validate.check_service(spec, self._vxlan_port())
        return await self._pin_image(changes.with_credentials(self._store, service_id, spec), resolve)

    async def _pin_image(self, spec: ServiceSpec, resolve: bool) -> tuple[ServiceSpec, list[str]]:
        """Turn the image's tag into a digest, so that every node runs the same; or warn that it stays one.

        With it comes which platforms the image is for, so that no node gets it that cannot run it.
        """
        container, placement = spec.task.container, spec.task.placement
        image = reference.parse(container.image)
        found, warnings = Resolved(image.digest or container.image_digest, placement.platforms), list[str]()
        if resolve and not image.digest:
            try:
                found = await self._resolve_image(image, container.registry_auth)
            except (Refused, Unavailable) as error:
                found = Resolved("")
                warnings.append(
                    f"{error}. Nodes will pull it by its tag, and may come to run different images."
                )
        container = replace(container, image_digest=found.digest)
        placement = replace(placement, platforms=found.platforms)
        return replace(spec, task=replace(spec.task, container=container, placement=placement)), warnings

    async def _roll_back_service(
        self, request: pb.RollBackServiceRequest, caller: Caller
    ) -> pb.RollBackServiceResponse:
        brought_back = await self._store.update(
            lambda draft: changes.roll_back_service(
                draft,
                request.service_id,
                request.version,
                request.revision,
                self._dice,
                now_ns=time.time_ns(),
                author=self._author(draft, caller),
            )
        )
        log.info("%s rolled back service %s to revision %d", caller, request.service_id, brought_back.number)
        return pb.RollBackServiceResponse(revision=brought_back.number)

    async def _stop_service(self, request: pb.StopServiceRequest, caller: Caller) -> pb.StopServiceResponse:
        await self._store.update(lambda draft: changes.stop_service(draft, request.service_id))
        log.info("%s stopped service %s", caller, request.service_id)
        return pb.StopServiceResponse()

    async def _start_service(
        self, request: pb.StartServiceRequest, caller: Caller
    ) -> pb.StartServiceResponse:
        await self._store.update(lambda draft: changes.start_service(draft, request.service_id))
        log.info("%s started service %s", caller, request.service_id)
        return pb.StartServiceResponse()

    async def _plan_service(self, request: pb.PlanServiceRequest, caller: Caller) -> pb.PlanServiceResponse:
        make, warnings = await self._planned(request)
        rehearsed = await self._rehearsals.rehearse(make)
        before = rehearsed.before if rehearsed.before is not None else ServiceSpec()
        names = {network.id: network.spec.name for network in self._store.all(Network)}
        found = difference.changes(before, rehearsed.after, names) if request.service_id else []
        return pb.PlanServiceResponse(
            steps=rehearsed.steps[: limits.plan_steps_max],
            changes=[to_message(change, pb.FieldChange) for change in found],
            warnings=[*warnings, *rehearsed.warnings, *_left_out(len(rehearsed.steps))],
            rollout=rehearsed.rollout,
        )

    async def _planned(self, request: pb.PlanServiceRequest) -> tuple[Make, list[str]]:
        """Give what is to be rehearsed: the very change that a request would make."""
        service_id, version = request.service_id, request.version

        def roll_back(draft: Draft, dice: Random) -> str:
            number, now_ns = request.revision, time.time_ns()
            changes.roll_back_service(draft, service_id, version, number, dice, now_ns=now_ns)
            return service_id

        if request.roll_back:
            return roll_back, []
        spec, warnings = await self._checked(request.spec, request.resolve_image, service_id)

        def create(draft: Draft, dice: Random) -> str:
            return changes.create_service(draft, spec, dice).id

        def update(draft: Draft, dice: Random) -> str:
            changes.update_service(draft, service_id, version, spec, dice, force=request.force)
            return service_id

        return update if service_id else create, warnings

    async def _explain_service(
        self, request: pb.ExplainServiceRequest, caller: Caller
    ) -> pb.ExplainServiceResponse:
        return await self._explanations.explain(request.target)

    async def _remove_service(
        self, request: pb.RemoveServiceRequest, caller: Caller
    ) -> pb.RemoveServiceResponse:
        await self._store.update(lambda draft: changes.remove_service(draft, request.service_id))
        log.info("%s removed service %s", caller, request.service_id)
        return pb.RemoveServiceResponse()

    # --- reading ---

    async def _get_service(self, request: pb.GetServiceRequest, caller: Caller) -> pb.GetServiceResponse:
        service = find_service(self._store, request.service)
        return pb.GetServiceResponse(detail=describing.describe(self._store, service))

    async def _list_services(
        self, request: pb.ListServicesRequest, caller: Caller
    ) -> AsyncIterator[pb.ListServicesResponse]:
        # One that is being removed has given up its name already, and is no longer found by it either.
        present = [service for service in self._store.all(Service) if not service.pending_delete]
        listed = [describing.describe(self._store, service) for service in present]
        for page in pages(listed):
            yield pb.ListServicesResponse(services=page)

    async def _list_revisions(
        self, request: pb.ListRevisionsRequest, caller: Caller
    ) -> AsyncIterator[pb.ListRevisionsResponse]:
        for page in pages(describing.revisions(self._store, request.service_id)):
            yield pb.ListRevisionsResponse(revisions=page)

    async def _watch_service(
        self, request: pb.WatchServiceRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchServiceResponse]:
        if self._store.get(Service, request.service_id) is None:
            raise NotFound(f"there is no service {request.service_id!r}")
        watch = self._store.watch()
        try:
            touched, pause_s, lost = True, limits.watch_batch_ms / 1000, 0
            while (service := self._store.get(Service, request.service_id)) is not None:
                if touched:
                    begun_s = time.monotonic()
                    yield await self._progress(service)
                    # What belongs together gathers meanwhile; and a service of thousands of tasks, whose
                    # every moment is megabytes, must not keep the manager from its work.
                    spent_s = time.monotonic() - begun_s
                    pause_s = max(limits.watch_batch_ms / 1000, spent_s * limits.watch_rest_factor)
                try:
                    async with asyncio.timeout(limits.leader_missed_ms / 2000):
                        commits = await watch.batch()
                except TimeoutError:
                    # In silence, see whether there would be news: nothing comes to a manager that is cut off.
                    touched, lost = False, 0 if self._store.standing.leader or caller.stale else lost + 1
                    if lost > 1:
                        raise Unavailable(
                            "this manager hears of no leader any more, so it hears of no changes; ask another one"
                        ) from None
                    continue
                except Lagged:
                    watch.close()
                    watch, touched = self._store.watch(), True
                    continue
                if not commits:
                    raise Unavailable("this manager is stopping; ask again")
                await asyncio.sleep(pause_s)
                changes = [change for commit in commits for change in commit.changes]
                touched = any(_concerns(change.before or change.after, service.id) for change in changes)
        finally:
            watch.close()

    async def _progress(self, service: Service) -> pb.WatchServiceResponse:
        """Give one moment; of many tasks the messages are made by and by, as they stood at the start."""
        tasks = self._store.find(Task, BY_SERVICE, service.id)
        response = pb.WatchServiceResponse(detail=describing.describe(self._store, service))
        for page in pages(tasks):
            response.tasks.extend([to_message(task, objects_pb2.Task) for task in page])
            await asyncio.sleep(0)
        return response


def _concerns(item: object, service_id: str) -> bool:
    """Tell whether a changed object is the service, or one of its tasks."""
    match item:
        case Service(id=id) if id == service_id:
            return True
        case Task(service_id=id) if id == service_id:
            return True
        case _:
            return False


def _left_out(steps: int) -> list[str]:
    if steps <= limits.plan_steps_max:
        return []
    listed = limits.plan_steps_max
    return [
        f"of {steps} steps and tasks that stay, the first {listed} are listed; the change would come to all"
    ]
