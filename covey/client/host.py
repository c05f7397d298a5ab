"""Where the local daemon is: `COVEY_HOST`, and the sockets it stands for."""

import errno
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from covey.errors import FailedPrecondition, InvalidArgument, PermissionDenied, Unavailable

DEFAULT_HOST = "unix:///run/covey/covey.sock"
MANAGER_SOCKET = "manager.sock"
AGENT_SOCKET = "agent.sock"

_SCHEME = "unix://"
_NOBODY = (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR)


@dataclass(slots=True)
class Staleness:
    """Asks for reads that are answered at once, quorum or not; and tells how old their answers may be.

    `age_ms` is for how long the manager has not known that it was up to date; -1: it never has since it was
    started; None: it was up to date, or has not answered.
    """

    age_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """One host, by coveyd's socket. The manager's and the agent's are in the same directory.

    With `stale`, what is read may be old. `user` is who asks, for a service's history: a word, and no proof.
    """

    daemon_socket: Path
    stale: Staleness | None = field(default=None, compare=False)
    user: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `unix:///absolute/path`; raises InvalidArgument for anything else."""
        path = text.removeprefix(_SCHEME)
        if not text.startswith(_SCHEME) or not path.startswith("/"):
            raise InvalidArgument(
                f"COVEY_HOST: {text!r} is not the socket of a coveyd; write it like {DEFAULT_HOST}"
            )
        return cls(Path(path))

    @property
    def manager_socket(self) -> Path:
        """The socket of the manager on this host, if it is one."""
        return self.daemon_socket.parent / MANAGER_SOCKET

    @property
    def agent_socket(self) -> Path:
        """The socket of the agent on this host, if it is a node."""
        return self.daemon_socket.parent / AGENT_SOCKET

    def check_daemon(self) -> None:
        """See that coveyd listens; raises Unavailable or PermissionDenied with the remedy if not."""
        if not _listens(self.daemon_socket):
            raise Unavailable(
                f"no coveyd listens at {self.daemon_socket}; start it (systemctl start coveyd, or covey dev up), "
                "or set COVEY_HOST to the socket of another one"
            )

    def check_manager(self) -> None:
        """See that a manager listens; tells a host without a manager from one without coveyd."""
        if _listens(self.manager_socket):
            return
        self.check_daemon()
        raise FailedPrecondition(
            f"this node is not a manager (nothing listens at {self.manager_socket}): run the command on a "
            "manager, or set COVEY_HOST to one's socket; on a new host, `covey init` makes a cluster"
        )


def _listens(path: Path) -> bool:
    # Trying tells more than looking: a socket file outlives its process, and grpc says little of why.
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.connect(str(path))
    except PermissionError as error:
        raise PermissionDenied(f"{path} is root's alone: run covey as root (sudo covey ...)") from error
    except OSError as error:
        if error.errno in _NOBODY:
            return False
        raise Unavailable(f"{path}: {error.strerror or error}") from error
    return True
