"""A task's place on a LAN of the node: a macvlan link over one of the node's own interfaces.

The task speaks there with its own MAC address, and it leaves by the LAN's gateway, unless the network is internal: what
came in from beyond the LAN must go back that way, so such a task has no interface to the gateway bridge.
"""

from collections.abc import Iterator, Mapping

from covey.errors import FailedPrecondition
from covey.model import network_options

from ..seam import Attachment, Sandbox
from ..state import Kind, Link, Macvlan, Route
from .addressing import mac, subnet
from .facts import Host, of_lan, own_addresses
from .way_back import ANYWHERE


def parent(attachment: Attachment) -> str:
    """The node's interface by which a macvlan network goes."""
    return network_options.parent(attachment.network.spec.options)


def link(attachment: Attachment, place: str) -> Link:
    """The task's interface; without the option its MTU is that of the node's."""
    options = attachment.network.spec.options
    made = Macvlan(parent(attachment), network_options.mode(options))
    own = mac(attachment.endpoint.number)
    return Link(place, Kind.MACVLAN, network_options.mtu(options), own, macvlan=made)


def lans(sandbox: Sandbox) -> list[Attachment]:
    """The sandbox's attachments to macvlan networks."""
    return [each for each in sandbox.attachments if of_lan(each.network)]


def parents_of(sandboxes: Mapping[str, Sandbox]) -> dict[str, str]:
    """The interfaces that tasks' networks go by, each with the name of one of these."""
    return {parent(each): each.network.spec.name for box in sandboxes.values() for each in lans(box)}


def way_out(sandbox: Sandbox) -> Attachment | None:
    """The place by whose gateway a task leaves: its first that is not on an internal network."""
    return next((each for each in lans(sandbox) if not each.network.spec.internal), None)


def routes(attachment: Attachment, place: str, host: Host) -> Iterator[Route]:
    """The route out in each family, by the LAN's gateway."""
    for family, own in own_addresses(attachment, host):
        net = str(subnet(attachment.network, own))
        gateway = next(each.gateway for each in attachment.network.subnets if each.cidr == net)
        yield Route(ANYWHERE[family], gateway, place)


def check_parents(sandbox: Sandbox, host: Host) -> None:
    """Raise `FailedPrecondition` if the node lacks an interface that a task's network goes by."""
    for each in lans(sandbox):
        if parent(each) not in host.interfaces:
            known = ", ".join(sorted(host.interfaces)) or "none"
            raise FailedPrecondition(
                f"network {each.network.spec.name or each.network.id}: this node has no interface {parent(each)} that it "
                f"could go by (there are {known}); constrain the service to nodes that have it, or make it here"
            )
