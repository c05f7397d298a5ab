"""How devices are called, and by that recognised.

The sockets of wireguard-go bear their names, too, and are the whole host's: so a name says which node it is of.
"""

import re
from hashlib import blake2b

from agent.network.names import TUNNELS_TABLE as GUARD_TABLE

__all__ = ["GUARD_TABLE", "SLOTS", "device", "devices", "is_device"]

SLOTS = 2  # generations that can be in use at a time
_PREFIX = "covey_t"
_DEVICE = re.compile(rf"{_PREFIX}[0-{SLOTS - 1}][0-9a-f]{{6}}")


def device(node_id: str, generation: int) -> str:
    """The device of a generation on a node: 14 bytes, of 15 that a link's name may have."""
    return f"{_PREFIX}{generation % SLOTS}{blake2b(node_id.encode(), digest_size=3).hexdigest()}"


def devices(node_id: str) -> tuple[str, ...]:
    """All devices that a node may have."""
    return tuple(device(node_id, slot) for slot in range(SLOTS))


def is_device(name: str) -> bool:
    """Tell whether a link is called as the device of some node."""
    return _DEVICE.fullmatch(name) is not None
