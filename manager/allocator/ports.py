"""Published ports: an ingress port belongs to one service in the whole cluster, TCP and UDP apart.

Ports of one number that are published on different addresses of the hosts are different ports. A health port is
taken as an ingress port is.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from covey import limits
from covey.errors import ResourceExhausted
from covey.model.objects import Revision, Service
from covey.model.specs import PortConfig
from covey.model.states import Protocol, PublishMode

Port = tuple[Protocol, int]
Place = tuple[Protocol, int, PublishMode, str]
"""What a port is known by while its number changes."""

RESERVED: dict[Port, str] = {
    (Protocol.TCP, limits.control_port): "the managers' control port",
    (Protocol.TCP, limits.bootstrap_port): "the managers' bootstrap port",
}


def numbered(ports: Iterable[PortConfig], service: Service | None) -> tuple[PortConfig, ...]:
    """Give a revision's ports with the numbers that the service was given for those that ask for none.

    A port whose service has none for it yet keeps 0.
    """
    ports = tuple(ports)
    chosen = {(_place(port), port.published_port) for port in ports}
    given: dict[Place, list[int]] = {}
    for port in service.ports if service else ():  # first those of older tasks; see `left_over`
        if (_place(port), port.published_port) not in chosen:
            given.setdefault(_place(port), []).append(port.published_port)
    found = []
    for port in ports:
        numbers = given.get(_place(port))
        free = not port.published_port and numbers
        found.append(replace(port, published_port=numbers.pop(0)) if free and numbers else port)
    return tuple(found)


def left_over(
    service: Service, wanted: Iterable[PortConfig], ports: Iterable[PortConfig], older: Iterable[Revision]
) -> tuple[PortConfig, ...]:
    """Give the host ports that a service does not ask for any more, and that tasks of `older` revisions have still.

    Their numbers were given and stand nowhere else. They come before the `ports` of now.
    """
    past = [port for each in older for port in each.spec.endpoint.ports]
    asked = {_place(port) for port in past if not port.published_port}
    asked -= {_place(port) for port in wanted if not port.published_port}
    chosen = {(_place(port), port.published_port) for port in past}
    left = [
        port
        for port in service.ports
        if port.publish_mode is PublishMode.HOST
        and _place(port) in asked
        and (_place(port), port.published_port) not in chosen
    ]
    now = tuple(ports)
    return tuple(port for port in left if not any(port.meets(each) for each in now))


def _place(port: PortConfig) -> Place:
    return port.protocol, port.target_port, port.publish_mode, port.published_address


class Ports:
    """Who publishes what: a cache of `Service.ports`, updated by `observe`, idempotently.

    Any number of services may publish the same port in host mode, since the scheduler keeps them on
    different nodes; but an ingress port is open on every node, so it suffers no other.
    """

    def __init__(self) -> None:
        self._ingress: dict[Port, set[str]] = {}
        self._host: dict[Port, set[str]] = {}
        self._of: dict[str, tuple[PortConfig, ...]] = {}
        self._names: dict[str, str] = {}
        self._last_given = limits.published_port_last

    def observe(self, id: str, service: Service | None) -> None:
        """Take up the ports a service has. One that is being removed has given up its ingress ports."""
        ports = service.ports if service is not None else ()
        if service is not None and service.pending_delete:
            ports = tuple(port for port in ports if port.publish_mode is PublishMode.HOST)
        ports = tuple(each for port in ports for each in port.opened())
        for port in self._of.pop(id, ()):  # one number may be there twice, on an address each
            book, key = self._book(port), (port.protocol, port.published_port)
            holders = book.get(key, set())
            holders.discard(id)
            if not holders:
                book.pop(key, None)
        for port in ports:
            self._book(port).setdefault((port.protocol, port.published_port), set()).add(id)
        if service is not None:
            self._of[id], self._names[id] = ports, service.name
        else:
            self._names.pop(id, None)

    def differences(self, right: "Ports") -> Iterator[str]:
        """Say where this cache differs from one that is `right`."""
        for id in sorted(self._of.keys() | right._of.keys()):
            if self._of.get(id) != right._of.get(id):
                yield f"the published ports of service {id} are not those it is thought to have"
        for mine, other in ((self._ingress, right._ingress), (self._host, right._host)):
            for protocol, number in sorted(mine.keys() | other.keys()):
                if mine.get((protocol, number)) != other.get((protocol, number)):
                    yield f"port {number}/{protocol.name} is thought to be others' than it is"

    def _book(self, port: PortConfig) -> dict[Port, set[str]]:
        return self._ingress if port.publish_mode is PublishMode.INGRESS else self._host

    def allocate(
        self, service: Service, wanted: tuple[PortConfig, ...], reserved: set[Port]
    ) -> tuple[PortConfig, ...]:
        """Give the ports a service asks for, with numbers; raises `Refused` with the reason.

        A port that asks for no number keeps the one it has.
        """
        given = {place: port for place, port in enumerate(wanted) if port.published_port}
        chosen = [each for port in wanted for each in port.opened() if each.published_port]
        for port in chosen:
            self._check(service.id, port, reserved)
        taken = reserved | {(port.protocol, port.published_port) for port in chosen}
        for place, port in enumerate(wanted):
            if not port.published_port:
                number = self._kept(service, port, taken) or self._dynamic(service.id, port, taken)
                taken.add((port.protocol, number))
                given[place] = replace(port, published_port=number)
        return tuple(given[place] for place in range(len(wanted)))

    def _kept(self, service: Service, port: PortConfig, taken: set[Port]) -> int:
        """The number a port has already, unless something else has it now; 0 if it has none."""
        for has in service.ports:
            number = has.published_port
            same = _place(has) == _place(port)
            if same and (port.protocol, number) not in taken and not self._holder(service.id, port, number):
                return number
        return 0

    def _check(self, service_id: str, port: PortConfig, reserved: set[Port]) -> None:
        key = (port.protocol, port.published_port)
        text = f"{port.published_port}/{port.protocol.name.lower()}"
        if key in RESERVED or key in reserved:
            what = RESERVED.get(key, "the VXLAN port")
            raise ResourceExhausted(f"port {text} is {what}; publish another one")
        holder = self._holder(service_id, port, port.published_port)
        if holder:
            raise ResourceExhausted(f"port {text} is taken by service {holder}; publish another one")

    def _holder(self, service_id: str, port: PortConfig, number: int) -> str:
        """The name of another service that stands in the way of publishing this number."""
        key = (port.protocol, number)
        holders: set[str] = set(self._ingress.get(key, ()))
        if port.publish_mode is PublishMode.INGRESS:
            holders |= self._host.get(key, set())
        asked = replace(port, published_port=number)
        others = (id for id in sorted(holders) if id != service_id)
        return next((self._names[id] for id in others if self._meets(id, asked)), "")

    def _meets(self, service_id: str, port: PortConfig) -> bool:
        """Tell whether a service publishes what would be in the way of `port`."""
        return any(
            each.meets(port) and PublishMode.INGRESS in (each.publish_mode, port.publish_mode)
            for each in self._of[service_id]
        )

    def _dynamic(self, service_id: str, port: PortConfig, taken: set[Port]) -> int:
        for number in self._round():
            if (port.protocol, number) not in taken and not self._holder(service_id, port, number):
                self._last_given = number
                return number
        raise ResourceExhausted(
            f"all dynamic ports from {limits.published_port_first} to {limits.published_port_last} are taken; "
            "publish a port of your own choice"
        )

    def _round(self) -> Iterator[int]:
        """The dynamic range, starting after the number given last."""
        first, last = limits.published_port_first, limits.published_port_last
        for step in range(1, last - first + 2):
            yield first + (self._last_given - first + step) % (last - first + 1)
