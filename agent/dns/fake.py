"""Names without a server, for the agent's tests."""

from collections.abc import Iterable

from agent.audit.look import Look
from covey.errors import FailedPrecondition, Unavailable
from covey.model.audit import Finding
from covey.model.tables import NetworkTable

from .feed import Resolver
from .seam import Names


class FakeNames:
    """Remembers what was published. A task in `broken` never gets ready, a network never has its table followed."""

    def __init__(self) -> None:
        self.tables: dict[str, NetworkTable] = {}
        self.resolvers: dict[str, Resolver] = {}
        self.broken: dict[str, str] = {}
        self.resets = 0
        self.amiss: list[Finding] = []

    def reset(self, tables: Iterable[NetworkTable], resolvers: Iterable[Resolver]) -> None:
        """Remember these and nothing else."""
        self.resets += 1
        self.tables = {table.network_id: table for table in tables}
        self.resolvers = {resolver.task_id: resolver for resolver in resolvers}

    def set_table(self, table: NetworkTable) -> None:
        """Remember the table."""
        self.tables[table.network_id] = table

    def drop_table(self, network_id: str) -> None:
        """Forget the table."""
        self.tables.pop(network_id, None)

    def set_resolver(self, resolver: Resolver) -> None:
        """Remember the resolver."""
        self.resolvers[resolver.task_id] = resolver

    def drop_resolver(self, task_id: str) -> None:
        """Forget the resolver."""
        self.resolvers.pop(task_id, None)

    async def follows(self, network_id: str, timeout_ms: int | None = None) -> None:
        """Return at once, or fail as `broken` says of the network."""
        if network_id in self.broken:
            raise Unavailable(f"names of network {network_id} may be old: {self.broken[network_id]}")

    async def ready(self, task_id: str, timeout_ms: int | None = None) -> None:
        """Return at once, or fail as `broken` says."""
        if task_id not in self.resolvers:
            raise FailedPrecondition(f"task {task_id} has no resolver: call set_resolver before ready")
        if task_id in self.broken:
            raise Unavailable(f"no names for task {task_id}: {self.broken[task_id]}")

    def remarks(self) -> tuple[str, ...]:
        """Nothing is sent here."""
        return ()

    async def audit(self, *, repair: bool = False) -> Look:
        """Give what was planted in `amiss`; a repair takes it away."""
        if repair:
            self.amiss.clear()
        return Look(len(self.tables) + len(self.resolvers), tuple(self.amiss))


_: type[Names] = FakeNames
