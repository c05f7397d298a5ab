"""Durations, sizes and CPUs as people write them."""

_UNITS_NS = (
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
)
_SIZES = (("p", 1 << 50), ("t", 1 << 40), ("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10))


def duration_text(ns: int) -> str:
    """Write nanoseconds as Go does, but without parts that are zero: `1m30s`, `5s`, `0s`."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    said = []
    for unit, length in _UNITS_NS:
        count, ns = divmod(ns, length)
        if count:
            said.append(f"{count}{unit}")
    return sign + "".join(said)


def size_text(size: int) -> str:
    """Write a size by the largest unit that divides it: `64m`, `1536k`, `1000`."""
    for unit, bytes_each in _SIZES:
        if size and size % bytes_each == 0:
            return f"{size // bytes_each}{unit}"
    return str(size)


def cpus_text(nano_cpus: int) -> str:
    """Write billionths of a CPU as CPUs: `0.5`, `2`."""
    return f"{nano_cpus / 1e9:.9f}".rstrip("0").rstrip(".")


def rounded(number: int) -> int:
    """The number's first digit as 1, 2 or 5, and zeros: at most `number`."""
    power = 10 ** (len(str(number)) - 1)
    return max((each * power for each in (1, 2, 5) if each * power <= number), default=0)
