"""A port is published on an address only where that leads to tasks: its family must be one that they have."""

import pytest

from covey.errors import FailedPrecondition
from covey.model.objects import Network
from covey.model.specs import EndpointSpec, NetworkSpec, PortConfig, ServiceSpec
from covey.model.states import PublishMode
from manager.control.networks.publishing import check_published_addresses

OLD = Network(spec=NetworkSpec(name="old"))
BOTH = Network(spec=NetworkSpec(name="both", ipv6=True))
SIX = Network(spec=NetworkSpec(name="six", ipv4=False, ipv6=True))


def spec(address: str, *, host: bool = False) -> ServiceSpec:
    mode = PublishMode.HOST if host else PublishMode.INGRESS
    port = PortConfig(target_port=80, published_port=80, publish_mode=mode, published_address=address)
    return ServiceSpec(endpoint=EndpointSpec(ports=(port,)))


@pytest.mark.parametrize(
    ("wanted", "joined", "ingress"),
    [
        (spec("192.0.2.1"), (), (OLD,)),
        (spec("fd00::1"), (OLD,), (BOTH,)),
        (spec("fd00::1"), (), ()),  # the next ingress network may have it
        (spec("192.0.2.1", host=True), (), ()),
        (spec("fd00::1", host=True), (OLD, SIX), (OLD,)),
        (spec("", host=True), (SIX,), ()),
    ],
)
def test_addresses_that_lead_to_tasks(
    wanted: ServiceSpec, joined: tuple[Network, ...], ingress: tuple[Network, ...]
) -> None:
    check_published_addresses(wanted, joined, ingress)


@pytest.mark.parametrize(
    ("wanted", "joined", "ingress", "says"),
    [
        (spec("fd00::1"), (BOTH,), (OLD,), "is of IPv6, which the ingress network 'old' has not"),
        (spec("fd00::1", host=True), (), (BOTH,), "is of IPv6, and no network of the service has that"),
        (spec("fd00::1", host=True), (OLD,), (), "publish on an IPv4 address"),
        (spec("192.0.2.1", host=True), (SIX,), (), "is of IPv4, and no network of the service has that"),
    ],
)
def test_addresses_that_lead_nowhere(
    wanted: ServiceSpec, joined: tuple[Network, ...], ingress: tuple[Network, ...], says: str
) -> None:
    with pytest.raises(FailedPrecondition, match=says):
        check_published_addresses(wanted, joined, ingress)
