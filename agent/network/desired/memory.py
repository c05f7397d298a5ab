"""What was worked out already, handed on from one `Facts` to the next. Nothing depends on it but speed."""

from dataclasses import dataclass, field

from covey.model.specs import PortConfig

from ..firewall import FAMILIES, Chain, Family
from ..lineage import Derived
from .digest import Digest


@dataclass(frozen=True, slots=True)
class Led:
    """The chains that lead a task's connections in one family to services, and the tables they follow from."""

    digests: dict[str, Digest]
    chains: Derived[str, Chain] = field(default_factory=Derived[str, Chain])
    elements: Derived[str, str] = field(default_factory=Derived[str, str])


@dataclass(frozen=True, slots=True)
class Published:
    """The chains of published ports in one family, by name, and the table they follow from.

    `services` are those that publish a port, by its key in `elements`; `masqueraded` the ports whose clients'
    addresses are not to be kept, by service.
    """

    digest: Digest
    services: Derived[str, tuple[str, ...]] = field(default_factory=Derived[str, tuple[str, ...]])
    chains: Derived[str, Chain] = field(default_factory=Derived[str, Chain])
    elements: Derived[str, str] = field(default_factory=Derived[str, str])
    masqueraded: Derived[str, tuple[PortConfig, ...]] = field(
        default_factory=Derived[str, tuple[PortConfig, ...]]
    )


@dataclass(slots=True)
class Memory:
    """Digests by network and device; by task and family, where its connections are led; the mesh's ports; other nodes."""

    digests: dict[tuple[str, str], Digest] = field(default_factory=dict[tuple[str, str], Digest])
    led: dict[tuple[str, Family], Led] = field(default_factory=dict[tuple[str, Family], Led])
    published: dict[Family, Published] = field(default_factory=dict[Family, Published])
    vteps: tuple[list[frozenset[str]], frozenset[str]] = field(
        default_factory=lambda: (list[frozenset[str]](), frozenset[str]())
    )

    def forget_task(self, task_id: str) -> None:
        """Let go of what was known for a task."""
        for family in FAMILIES:
            self.led.pop((task_id, family), None)

    def forget_network(self, network_id: str) -> None:
        """Let go of what was known of a network."""
        for key in [each for each in self.digests if each[0] == network_id]:
            del self.digests[key]
