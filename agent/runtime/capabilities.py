"""Which Linux capabilities a container gets: Docker's default set, plus and minus what the user says.

The default set is the one Docker Engine and podman publish; names are those of capabilities(7), with or
without `CAP_`, in either case. `ALL` stands for every capability.
"""

from collections.abc import Iterable

from covey.errors import InvalidArgument
from covey.model.capability import CAPABILITIES

DEFAULT_CAPABILITIES = tuple(
    "CAP_" + name
    for name in [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)

ALL_CAPABILITIES = tuple(sorted("CAP_" + name for name in CAPABILITIES))


def resolve(add: Iterable[str], drop: Iterable[str]) -> tuple[str, ...]:
    """The final set, sorted. `drop` wins over `add`, except that `drop ALL` leaves what `add` names."""
    added, dropped = {_name(each) for each in add}, {_name(each) for each in drop}
    base = set() if "ALL" in dropped else set(DEFAULT_CAPABILITIES)
    if "ALL" in added:
        base = set(ALL_CAPABILITIES)
    return tuple(sorted((base | added) - dropped - {"ALL"}))


def _name(text: str) -> str:
    name = text.strip().upper()
    if name == "ALL":
        return name
    name = name if name.startswith("CAP_") else "CAP_" + name
    if name not in ALL_CAPABILITIES:
        raise InvalidArgument(
            f"capability {text!r} is unknown; use a name of capabilities(7) such as NET_ADMIN, or ALL"
        )
    return name
