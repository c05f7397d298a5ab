"""On which addresses of hosts a service's ports can be published: of families that its tasks have."""

from collections.abc import Sequence

from covey.errors import FailedPrecondition
from covey.model.addressing import is_ipv6
from covey.model.objects import Network
from covey.model.specs import ServiceSpec
from covey.model.states import PublishMode


def check_published_addresses(
    spec: ServiceSpec, joined: Sequence[Network], ingress: Sequence[Network]
) -> None:
    """Raise `FailedPrecondition` if a port is to answer on an address of a family that leads to no task.

    On every node it leads over the ingress network, in host mode by the task's way out, which has the families of all
    its networks (IPv4's if it is on none). While there is no ingress network, the next one may have what is needed.
    """
    meshed = any(port.publish_mode is PublishMode.INGRESS for port in spec.endpoint.ports)
    for port in spec.endpoint.ports:
        asked = port.published_address
        over = [*joined, *(ingress if meshed else ())] if port.publish_mode is PublishMode.HOST else ingress
        if not asked or any(_has(network, ipv6=is_ipv6(asked)) for network in over):
            continue
        family, other = ("IPv6", "IPv4") if is_ipv6(asked) else ("IPv4", "IPv6")
        if port.publish_mode is PublishMode.HOST:
            if over or is_ipv6(asked):
                raise FailedPrecondition(
                    f"published-address: {asked!r} is of {family}, and no network of the service has that; join one "
                    f"that has (covey network create --ipv6), or publish on an {other} address"
                )
        elif over:
            raise FailedPrecondition(
                f"published-address: {asked!r} is of {family}, which the ingress network {over[0].spec.name!r} has "
                f"not; make one that has (covey network create --ingress --ipv6), or publish on an {other} address"
            )


def _has(network: Network, *, ipv6: bool) -> bool:
    return network.spec.ipv6 if ipv6 else network.spec.ipv4
