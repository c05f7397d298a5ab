"""A registry's password is in the store and on the wire to nodes, and in nothing that is printed or shown."""

from random import Random

from msgspec.structs import replace

from agent.tasks.assigned import without_credentials
from agent.tasks.events import Pull
from covey.model import difference
from covey.model.objects import Revision
from covey.model.specs import ContainerSpec, RegistryAuth, ServiceSpec, TaskSpec
from manager.control.services import changes, describing
from manager.store.draft import Draft
from manager.store.tables import Tables

PASSWORD = "correct-horse"
AUTH = RegistryAuth("alice", PASSWORD)
SPEC = ServiceSpec(name="web", task=TaskSpec(container=ContainerSpec(image="web:1", registry_auth=AUTH)))


def test_what_is_printed_has_no_password() -> None:
    for printed in (AUTH, SPEC, Revision(spec=SPEC), Pull("t1", "web:1", AUTH), [AUTH], {"auth": AUTH}):
        assert PASSWORD not in f"{printed} {printed!r}"
    assert repr(AUTH) == "RegistryAuth(username='alice', password='...')"
    assert repr(RegistryAuth()) == "RegistryAuth(username='', password='')"


def test_what_is_shown_of_a_service_has_no_password() -> None:
    tables = Tables()
    draft = Draft(tables)
    service = changes.create_service(draft, SPEC, Random(7))
    tables.commit(draft.transaction())
    other = replace(SPEC.task.container, registry_auth=RegistryAuth("bob", PASSWORD * 2))
    differences = difference.changes(SPEC, replace(SPEC, task=replace(SPEC.task, container=other)))
    assert differences, "that the credentials changed is told"
    for shown in (
        describing.describe(tables, service),
        describing.revisions(tables, service.id),
        differences,
        difference.flat(SPEC),
        without_credentials(Revision(spec=SPEC)),
    ):
        assert PASSWORD not in str(shown)
        assert not isinstance(shown, Revision) or shown.spec.task.container.registry_auth != AUTH
