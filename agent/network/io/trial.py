"""Can this kernel keep the address of a client of the routing mesh? Found out by making it do so.

What `desired.way_back` adds to a task's namespace is added, as it is, to a scratch one that goes at once.
"""

from ipaddress import ip_network
from pathlib import Path

from covey.errors import CoveyError
from covey.io import netns

from .. import ops
from ..desired.way_back import Return, way_back
from ..firewall import Family
from ..ops import Operation
from ..state import Address, Kind, Link
from . import sysctl
from .kernel import carry_out
from .places import Places

_SCRATCH = "mesh"
_LINK = "eth0"
_SUBNETS = {Family.IPV4: ip_network("10.0.0.0/24"), Family.IPV6: ip_network("fd00::/64")}
_ADDRESSES = {Family.IPV4: "10.0.0.2/24", Family.IPV6: "fd00::2/64"}
_WAY_OUT = {Family.IPV4: "10.0.1.2", Family.IPV6: "fd01::2"}


def cannot_keep_client_address(directory: Path) -> str:
    """Why not, or nothing if it can. `directory` is where the scratch namespace is bound meanwhile."""
    directory.mkdir(parents=True, exist_ok=True)
    places = Places(directory)
    path = places.path(_SCRATCH)
    assert path is not None
    try:
        netns.delete(path)
        spoken = tuple(_SUBNETS) if sysctl.has_ipv6() else (Family.IPV4,)
        subnets = {family: _SUBNETS[family] for family in spoken}
        carry_out(
            places, _steps(way_back(_LINK, subnets, {family: _WAY_OUT[family] for family in spoken}), spoken)
        )
    except (CoveyError, OSError) as error:
        return (
            f"tasks here see the ingress node instead of the client: {str(error)[:300]}; it takes Linux 5.16 "
            "with CONFIG_NETFILTER_EGRESS, CONFIG_NF_TABLES and CONFIG_IP_MULTIPLE_TABLES"
        )
    finally:
        places.close()
        netns.delete(path)
    return ""


def _steps(back: Return, spoken: tuple[Family, ...]) -> list[Operation]:
    other = Link("other", Kind.VETH, master="bridge", peer=(_SCRATCH, _LINK))
    own = Link(_LINK, Kind.VETH, peer=(_SCRATCH, "other"))
    steps: list[Operation] = [
        ops.CreateNetns(_SCRATCH),
        ops.CreateLink(_SCRATCH, Link("bridge", Kind.BRIDGE)),
        ops.CreateLink(_SCRATCH, other, own),
        ops.SetLink(_SCRATCH, own),
        *(ops.AddAddress(_SCRATCH, Address(_LINK, _ADDRESSES[family])) for family in spoken),
    ]
    steps += [ops.AddRoute(_SCRATCH, route) for route in back.routes]
    steps += [ops.AddPolicy(_SCRATCH, policy) for policy in back.policies]
    steps += [ops.SetNeighbour(_SCRATCH, link, ip, mac) for (link, ip), mac in back.neighbours.items()]
    return [*steps, *(ops.ReplaceTable(_SCRATCH, table) for table in back.tables)]
