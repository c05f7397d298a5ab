"""A published port that another service has is refused before anything is stored."""

from random import Random

import pytest

from covey.errors import ResourceExhausted
from covey.model.objects import Service
from covey.model.specs import ContainerSpec, EndpointSpec, PortConfig, ServiceSpec, TaskSpec
from covey.model.states import Protocol, PublishMode
from manager.control.services import create_service, remove_service, update_service
from manager.store.draft import Draft
from manager.store.tables import Tables

WEB = PortConfig(target_port=80, published_port=8080)


def spec(name: str, *ports: PortConfig) -> ServiceSpec:
    task = TaskSpec(container=ContainerSpec(image="demo/web"))
    return ServiceSpec(name=name, task=task, endpoint=EndpointSpec(ports=ports))


def created(tables: Tables, name: str, *ports: PortConfig) -> Service:
    draft = Draft(tables)
    service = create_service(draft, spec(name, *ports), Random(name))
    tables.commit(draft.transaction())
    return service


def port(
    mode: PublishMode = PublishMode.INGRESS, protocol: Protocol = Protocol.TCP, number: int = 8080
) -> PortConfig:
    return PortConfig(target_port=1, published_port=number, publish_mode=mode, protocol=protocol)


@pytest.mark.parametrize("mode", PublishMode)
def test_a_taken_port_is_refused_by_name(mode: PublishMode) -> None:
    tables = Tables()
    created(tables, "a", WEB)
    draft = Draft(tables)
    with pytest.raises(ResourceExhausted, match="port 8080/tcp is taken by service a; publish another one"):
        create_service(draft, spec("b", port(mode)), Random(1))
    assert not draft.transaction()


def test_what_does_not_clash_is_taken() -> None:
    tables = Tables()
    created(tables, "a", WEB, port(PublishMode.HOST, number=9000))
    created(tables, "udp", port(protocol=Protocol.UDP))
    created(tables, "other", port(number=8081))
    created(tables, "any", port(number=0))
    created(tables, "beside", port(PublishMode.HOST, number=9000))  # the scheduler keeps them apart


def test_a_removed_service_gives_its_ports_back() -> None:
    tables = Tables()
    service = created(tables, "a", WEB)
    draft = Draft(tables)
    remove_service(draft, service.id)
    tables.commit(draft.transaction())
    created(tables, "b", WEB)


def test_an_update_is_asked_about_new_ports_only() -> None:
    tables = Tables()
    created(tables, "a", WEB)
    mine = created(tables, "b", port(number=9090))
    version = tables.get(Service, mine.id).meta.version  # type: ignore[union-attr]
    update_service(
        Draft(tables), mine.id, version, spec("b", port(number=9090), port(number=9091)), Random(2)
    )
    with pytest.raises(ResourceExhausted, match="taken by service a"):
        update_service(Draft(tables), mine.id, version, spec("b", WEB), Random(2))
