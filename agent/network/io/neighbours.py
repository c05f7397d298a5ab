"""Room for neighbours: the kernel has one table for all its network namespaces, of 1,024 by default.

On a full table connections hang whose first packet would need one more, of whatever container. Each container has
those it lately spoke to on its networks, so that a host with some dozens of busy ones is over it.
"""

from pathlib import Path

from covey import limits

_SETTINGS = Path("/proc/sys/net")
# There are no more than the third; above the second those not in use go at once, above the first now and then.
_BOUNDS = (
    ("gc_thresh3", limits.neighbours_max),
    ("gc_thresh2", limits.neighbours_max // 2),
    ("gc_thresh1", limits.neighbours_max // 8),
)


def make_room(settings: Path = _SETTINGS) -> str:
    """Raise the kernel's bounds to `limits.neighbours_max`, and lower none; say what it denies, nothing if all is well.

    Only the first network namespace of a host shows them: in others this does nothing.
    """
    denied = []
    for family in ("ipv4", "ipv6"):
        for name, wanted in _BOUNDS:
            bound = settings / family / "neigh/default" / name
            try:
                if bound.exists() and int(bound.read_text()) < wanted:
                    bound.write_text(str(wanted))
            except OSError as error:  # in a container, /proc may be read-only
                denied.append(f"net.{family}.neigh.default.{name}={wanted} ({error.strerror})")
    return ", ".join(denied)
