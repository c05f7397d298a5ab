from typing import Any

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import ResourceExhausted
from covey.model.objects import Service
from covey.model.specs import PortConfig
from covey.model.states import MeshMode, Protocol, PublishMode
from manager.allocator.ports import Ports, numbered


class Book:
    """Services, and the ports they were given."""

    def __init__(self) -> None:
        self.ports = Ports()
        self.services: dict[str, Service] = {}

    def give(self, name: str, *wanted: PortConfig) -> list[int]:
        service = self.services.get(name) or Service(id=name, name=name)
        given = self.ports.allocate(service, wanted, {(Protocol.UDP, 4789)})
        self.services[name] = replace(service, ports=given)
        self.ports.observe(name, self.services[name])
        return [port.published_port for port in given]


def port(published: int = 0, target: int = 80, **more: Any) -> PortConfig:
    return PortConfig(target_port=target, published_port=published, **more)


HOST = {"publish_mode": PublishMode.HOST}
UDP = {"protocol": Protocol.UDP}


def test_dynamic_ports_come_one_after_the_other_and_stay() -> None:
    book = Book()
    assert book.give("a", port(), port(target=81)) == [30000, 30001]
    assert book.give("b", port()) == [30002]
    assert book.give("a", port(target=81), port()) == [30001, 30000]


def test_a_freed_dynamic_port_waits_for_its_turn() -> None:
    book = Book()
    book.give("a", port())
    book.ports.observe("a", None)
    assert book.give("b", port()) == [30001]


def test_an_ingress_port_is_one_services_alone() -> None:
    book = Book()
    assert book.give("a", port(8080)) == [8080]
    assert book.give("a", port(8080)) == [8080]
    with pytest.raises(ResourceExhausted, match="8080/tcp is taken by service a"):
        book.give("b", port(8080))
    with pytest.raises(ResourceExhausted, match="8080/tcp is taken by service a"):
        book.give("b", port(8080, **HOST))
    assert book.give("b", port(8080, **UDP)) == [8080]


def test_on_different_addresses_of_the_hosts_one_number_is_different_ports() -> None:
    book = Book()
    assert book.give("a", port(8080, published_address="192.0.2.1")) == [8080]
    assert book.give("b", port(8080, published_address="127.0.0.1")) == [8080]
    for more in ({"published_address": "192.0.2.1"}, {}, {**HOST, "published_address": "127.0.0.1"}):
        with pytest.raises(ResourceExhausted, match="8080/tcp is taken by service"):
            book.give("c", port(8080, **more))


@pytest.mark.parametrize("mode", list(PublishMode))
def test_a_service_may_have_one_number_on_several_addresses_and_give_it_up(mode: PublishMode) -> None:
    book = Book()
    first, second = (
        port(8080, published_address=address, publish_mode=mode) for address in ("192.0.2.1", "127.0.0.1")
    )
    assert book.give("a", first, second) == [8080, 8080]
    assert book.give("a", first, second) == [8080, 8080]
    assert book.give("a", second) == [8080]
    book.ports.observe("a", None)
    assert book.give("b", port(8080)) == [8080]
    assert not list(book.ports.differences(book.ports))


def test_how_the_mesh_answers_changes_no_number() -> None:
    book = Book()
    assert book.give("a", port()) == [30000]
    assert book.give("a", port(mesh=MeshMode.LOCAL)) == [30000]
    asked = (port(mesh=MeshMode.MASQUERADE),)
    assert numbered(asked, book.services["a"]) == (port(30000, mesh=MeshMode.MASQUERADE),)


def test_host_ports_may_be_shared_by_services_on_different_nodes() -> None:
    book = Book()
    assert book.give("a", port(8080, **HOST)) == [8080]
    assert book.give("b", port(8080, **HOST)) == [8080]
    with pytest.raises(ResourceExhausted, match="service a"):
        book.give("c", port(8080))


@pytest.mark.parametrize("taken", [port(2377), port(2378), port(4789, **UDP)])
def test_coveys_own_ports_are_not_given(taken: PortConfig) -> None:
    with pytest.raises(ResourceExhausted, match=str(taken.published_port)):
        Book().give("a", taken)


def test_a_dynamic_port_keeps_out_of_the_way_of_given_ones() -> None:
    book = Book()
    assert book.give("a", port(), port(30000, 81)) == [30001, 30000]


def test_a_health_port_is_taken_like_an_ingress_port() -> None:
    book = Book()
    first = limits.published_port_first
    local: dict[str, Any] = {"mesh": MeshMode.LOCAL, "health_port": first}
    assert book.give("a", port(8080, **local), port(8081, 81, **local), port(target=82)) == [
        8080,
        8081,
        first + 1,
    ]
    with pytest.raises(ResourceExhausted, match=f"{first}/tcp is taken by service a"):
        book.give("b", port(first))
    with pytest.raises(ResourceExhausted, match=f"{first}/tcp is taken by service a"):
        book.give("b", port(8090, **local))
    book.ports.observe("a", None)
    assert book.give("b", port(8090, **local)) == [8090]


def test_each_port_that_asks_for_no_number_has_its_own() -> None:
    book = Book()
    asked = (port(), port(8080), port())
    assert book.give("a", *asked) == [30000, 8080, 30001]
    given = [each.published_port for each in numbered(asked, book.services["a"])]
    assert given == [30000, 8080, 30001]
    reordered = (port(8080), port(), port())
    assert [each.published_port for each in numbered(reordered, book.services["a"])] == [8080, 30000, 30001]
    assert [each.published_port for each in numbered((port(), port(), port()), book.services["a"])][
        -1
    ] == 30001
    assert [each.published_port for each in numbered((port(), port()), None)] == [0, 0]
