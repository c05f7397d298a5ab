"""What one container sees: its networks' zones, in its order of networks."""

from collections.abc import Mapping

from .codec import BadNameError, Records, wire_name
from .feed import Resolver
from .zone import Zone


class View:
    """Looks a name up in each of a container's networks; the first that knows it answers.

    `zones` is shared by all views and changes under them: a new table is seen by the next query.
    """

    def __init__(self, resolver: Resolver, zones: Mapping[str, Zone]) -> None:
        self.resolver = resolver
        self._zones = zones
        self._networks = tuple(
            (network.network_id, network.name, _suffix(network.name)) for network in resolver.networks
        )

    def lookup(self, name: bytes) -> Records | None:
        """Return the records of a lower-case wire name: `web`, or `web.NETWORK`."""
        for network_id, _, _ in self._networks:
            zone = self._zones.get(network_id)
            if zone is not None and (records := zone.names.get(name)) is not None:
                return records
        for network_id, _, suffix in self._networks:
            if suffix and name.endswith(suffix):
                zone = self._zones.get(network_id)
                if zone is not None and (records := zone.names.get(name[: -len(suffix)] + b"\0")) is not None:
                    return records
        return None

    def reverse(self, name: bytes) -> tuple[str, ...]:
        """Return the names an address has, given its reverse name; the network's name follows if known."""
        for network_id, network_name, suffix in self._networks:
            zone = self._zones.get(network_id)
            if zone is not None and (names := zone.reverse.get(name)):
                return tuple(f"{found}.{network_name}" for found in names) if suffix else names
        return ()


def _suffix(network_name: str) -> bytes:
    try:
        return wire_name(network_name)
    except BadNameError:
        return b""
