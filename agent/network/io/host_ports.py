"""The host's ports that tasks have: claimed, or somebody is told who has them."""

from collections.abc import Iterable

from covey.errors import FailedPrecondition

from ..probe import port_of, shared_port
from .claims import Claims
from .lookout import tell


class HostPorts:
    """`remarks` are of the ports that are forwarded although a program has them, too."""

    def __init__(self) -> None:
        self._claims = Claims()
        self._shared: dict[str, str] = {}  # what was said of each

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to say of ports that others have as well."""
        return tuple(self._shared.values())

    def claim(self, keys: Iterable[str]) -> None:
        """Claim a task's own ports of this host, or say who has them."""
        for key, program in self._claims.add(keys).items():
            raise FailedPrecondition(
                f"port {port_of(key)} of this node is taken by {program}: stop that, or publish another port"
            )

    def hold(self, forwarded: Iterable[str]) -> None:
        """Claim what is forwarded now. The mesh has its ports on every node, so here others give way."""
        shared = self._claims.keep(forwarded)
        for key in shared.keys() - self._shared:
            tell(shared_port(key, shared[key]))
        self._shared = {key: str(shared_port(key, shared[key])) for key in shared}

    def close(self) -> None:
        """Let go of all."""
        self._claims.close()
