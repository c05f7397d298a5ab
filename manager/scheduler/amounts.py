"""Amounts as people read them in the reasons of filters."""

GIB = 1 << 30
MIB = 1 << 20


def in_cpus(nano_cpus: int) -> str:
    """Write a number of CPUs."""
    text = f"{nano_cpus / 1e9:.3f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def in_bytes(count: int) -> str:
    """Write an amount of memory or disk."""
    if count >= GIB:
        return f"{count / GIB:.1f} GiB"
    return f"{count / MIB:.0f} MiB" if count >= MIB else f"{count} bytes"


def apart(needed: int, free: int) -> tuple[str, str]:
    """Write two amounts such that one sees that they differ."""
    texts = in_bytes(needed), in_bytes(free)
    if texts[0] != texts[1]:
        return texts
    texts = f"{needed / MIB:.0f} MiB", f"{free / MIB:.0f} MiB"
    return texts if texts[0] != texts[1] else (f"{needed} bytes", f"{free} bytes")
