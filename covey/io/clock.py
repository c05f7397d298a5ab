"""The clock by which drivers tell deciding code how late it is."""

import time


def now_ms() -> int:
    """Milliseconds that only ever grow, from a moment of the kernel's own; the time of day has nothing to do with it."""
    return time.monotonic_ns() // 1_000_000
