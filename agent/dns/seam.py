"""What the agent asks of the DNS server of its node. Makes: `client.DnsFeed`, `fake.FakeNames`."""

from collections.abc import Iterable
from typing import Protocol

from agent.audit.look import Look
from covey.model.tables import NetworkTable

from .feed import Resolver


class Names(Protocol):
    """The DNS server as the agent sees it: state is published, never asked for.

    Publishing never blocks and never fails: what is wanted is kept, sent as soon as the server listens,
    and sent again whenever either side was restarted. Only the latest state of each thing is sent.
    """

    def reset(self, tables: Iterable[NetworkTable], resolvers: Iterable[Resolver]) -> None:
        """These exist and nothing else. Call it once at start; until then the server keeps what it has."""
        ...

    def set_table(self, table: NetworkTable) -> None:
        """This is the network's table now."""
        ...

    def drop_table(self, network_id: str) -> None:
        """The network is gone from this node; no error if it was never there."""
        ...

    def set_resolver(self, resolver: Resolver) -> None:
        """Serve this container (or serve it differently)."""
        ...

    def drop_resolver(self, task_id: str) -> None:
        """The container is gone; no error if it was never there."""
        ...

    async def follows(self, network_id: str, timeout_ms: int | None = None) -> None:
        """Wait until names are answered by the network's newest table, at most `timeout_ms` (a default of 1 s).

        Raises Unavailable with the server's reason, or if the time is over. Fine if the network is gone.
        """
        ...

    async def ready(self, task_id: str, timeout_ms: int | None = None) -> None:
        """Wait until the container's newest resolver is open, at most `timeout_ms` (a default of 5 s).

        Call it before the container starts. Raises Unavailable with the server's reason, or if the time
        is over; FailedPrecondition if no resolver was set for the task.
        """
        ...

    def remarks(self) -> tuple[str, ...]:
        """Say which containers lately sent what had to be dropped, as far as it is known now: for people to read."""
        ...

    async def audit(self, *, repair: bool = False) -> Look:
        """Ask the server what it serves and say what differs from what was published.

        With `repair`, have it told everything anew first. Raises Unavailable if it does not answer.
        """
        ...
