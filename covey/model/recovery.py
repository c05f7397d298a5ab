"""The order to go on alone, from coveyd to the manager: `STATE/manager/recovery.msgpack`.

`covey init --force-new-cluster` writes it. A manager that starts and finds it makes itself the only member of its
group, then raises the cluster's epoch and makes workers of the other managers' nodes, and removes the file. It may be
interrupted anywhere: the epoch aimed at is written into the file before it is raised, so that it rises once.
"""

from pathlib import Path

import msgspec

from covey.errors import Corrupt
from covey.model.objects import Part


class RecoveryOrder(Part, frozen=True):
    """Go on alone, at `address`. `epoch` is the one to raise the cluster's to; 0: not settled yet."""

    format: int = 1
    cluster_id: str = ""
    node_id: str = ""
    address: str = ""
    epoch: int = 0


def path_in(state_dir: Path) -> Path:
    """Say where the file is."""
    return state_dir / "manager" / "recovery.msgpack"


def encode(order: RecoveryOrder) -> bytes:
    """Give the file's bytes."""
    return msgspec.msgpack.encode(order)


def load(path: Path) -> RecoveryOrder | None:
    """Read the file; None if there is none. Raises `Corrupt` naming it if it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.msgpack.decode(data, type=RecoveryOrder)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"{path}: not the order to go on alone ({error}); remove it, and run `covey init --force-new-cluster` again"
        ) from error
