"""What one container sees: its networks' zones, in its order of networks."""

from collections.abc import Iterator, Mapping

from .codec import BadNameError, Records, wire_name
from .feed import Resolver
from .message import labels
from .zone import Target, Zone


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

    def targets(self, name: bytes) -> tuple[Target, ...] | None:
        """Return where `_PORT._PROTOCOL.SERVICE` is, given as a lower-case wire name; None if that is not ours.

        Empty if the service has no port of this name and protocol.
        """
        parts = labels(name)
        if len(parts) < 3 or not (parts[0].startswith(b"_") and parts[1].startswith(b"_")):
            return None
        port, protocol = (part[1:].decode("utf-8", "replace") for part in parts[:2])
        service = name[len(parts[0]) + len(parts[1]) + 2 :]
        for zone, network_name, wire in self._places(service):
            found = zone.targets(port, protocol, wire)
            if found is not None:
                named = f".{network_name}" if network_name else ""
                return tuple(Target(f"{each.name}{named}", each.port, each.records) for each in found)
        return None

    def _places(self, name: bytes) -> Iterator[tuple[Zone, str, bytes]]:
        """Where a name could be known, in the order of `lookup`: the zone, its network's name, and the name there."""
        for scoped in (False, True):
            for network_id, network_name, suffix in self._networks:
                zone = self._zones.get(network_id)
                if zone is None or (scoped and not (suffix and name.endswith(suffix))):
                    continue
                yield zone, network_name if suffix else "", name[: -len(suffix)] + b"\0" if scoped else name


def _suffix(network_name: str) -> bytes:
    try:
        return wire_name(network_name)
    except BadNameError:
        return b""
