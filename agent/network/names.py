"""How our things are called, and by that recognised.

In the node's own namespace, which belongs to the host's owner, every link and table of ours begins with
`covey_`; nothing else there is ours. Inside the namespaces we made, everything is, except for tables that
other parts of the agent keep in a task's namespace (`covey_dns`). Link names have at most 15 bytes, so a
link that belongs to a task carries a hash of the task's and network's ids.
"""

from functools import lru_cache
from hashlib import blake2b

from .firewall import Family
from .state import NODE

LINK_NAME_BYTES_MAX = 15

GATEWAY_BRIDGE = "covey_gw0"
INGRESS_BRIDGE = "covey_in0"
INGRESS_VXLAN = "covey_vx0"
SANDBOX_BRIDGE = "br0"
SANDBOX_VXLAN = "vx0"

VIP_TABLE = "covey_vip"
MESH_TABLE = "covey_mesh"
GATEWAY_TABLE = "covey_gateway"
RETURN_TABLE = "covey_return"
EGRESS_TABLE = "covey_egress"
UNDERLAY_TABLE = "covey_underlay"
TABLES = frozenset({VIP_TABLE, MESH_TABLE, GATEWAY_TABLE, RETURN_TABLE, UNDERLAY_TABLE})
"""Tables of IPv4. IPv6 has the same, each with a `6` behind its name."""
TABLES_IPV6 = frozenset(f"{name}6" for name in TABLES)
TUNNELS_TABLE = "covey_tunnels"
"""The guard of `agent.tunnels`, in the node's own namespace: nothing here touches it."""

LINK_TABLES = frozenset({EGRESS_TABLE})
"""Tables of the family that sees one link's frames: they go with the link."""

_NODE_PREFIX = "covey_"
_SANDBOX_PREFIX = "net-"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def table(name: str, family: Family) -> str:
    """What the table with this name in IPv4 is called in `family`: no two tables have the same name."""
    return f"{name}6" if family is Family.IPV6 else name


def family_of(table_name: str) -> Family:
    """The family that a table of this name is of."""
    if table_name in LINK_TABLES:
        return Family.LINK
    if table_name == TUNNELS_TABLE:
        return Family.INET
    return Family.IPV6 if table_name.endswith("6") else Family.IPV4


def sandbox(network_id: str) -> str:
    """The namespace that holds this node's part of an overlay network."""
    return _SANDBOX_PREFIX + network_id


def network_of(sandbox_name: str) -> str:
    """The network id in the name of a sandbox namespace."""
    return sandbox_name.removeprefix(_SANDBOX_PREFIX)


def gateway_port(task_id: str) -> str:
    """The gateway bridge's end of the link to a task."""
    return _NODE_PREFIX + "g" + _short(task_id)


def ingress_port(task_id: str) -> str:
    """The ingress bridge's end of the link to a task."""
    return _NODE_PREFIX + "i" + _short(task_id)


def overlay_port(task_id: str, network_id: str) -> str:
    """The sandbox bridge's end of the link to a task."""
    return "v" + _short(f"{task_id} {network_id}")


def link_is_ours(namespace: str, link: str) -> bool:
    """Tell whether a link, found in one of the namespaces we look at, is ours to change or remove."""
    return namespace != NODE or link.startswith(_NODE_PREFIX)


@lru_cache(maxsize=65_536)
def _short(text: str) -> str:
    """Eight characters, 40 bits: with 1,000 tasks a clash on one node comes once in two million nodes."""
    number = int.from_bytes(blake2b(text.encode(), digest_size=5).digest(), "big")
    return "".join(_BASE32[(number >> (5 * place)) & 31] for place in range(8))
