"""resolv.conf: what a container's says, and what the node's says to us. See resolv.conf(5)."""

from ipaddress import ip_address

from covey import limits

from .feed import Resolver, Upstream


def resolv_conf(resolver: Resolver) -> str:
    """Return the text of a container's /etc/resolv.conf: one server, ours.

    `ndots:0`, as with Docker, sends `web` as it stands before any search domain is tried.
    """
    options = [option for option in resolver.options if not option.startswith("ndots:")]
    options.append(f"ndots:{resolver.ndots or 0}")
    lines = [f"nameserver {limits.dns_address}"]
    search = [
        domain for domain in resolver.search if domain != "."
    ]  # `--dns-search .` is Docker's way to say none
    if search:
        lines.append("search " + " ".join(search))
    lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def ndots_of(options: tuple[str, ...]) -> int | None:
    """Return the `ndots` a user set among resolv.conf options, None if none did."""
    for option in reversed(options):
        name, _, value = option.partition(":")
        if name == "ndots" and value.isdecimal():
            return int(value)
    return None


def upstreams_of(text: str) -> tuple[Upstream, ...]:
    """Return the servers that the node's resolv.conf names, at most three; other lines are skipped, as libc does."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and _is_address(words[1]):
            found.append(Upstream(words[1], from_node=True))
    return tuple(dict.fromkeys(found))[: limits.dns_upstreams_max]


def search_of(text: str) -> tuple[str, ...]:
    """Return the search domains a resolv.conf names; the last line that says so wins."""
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in ("search", "domain"):
            search = tuple(word for word in words[1:] if word != ".")
    return search


def options_of(text: str) -> tuple[str, ...]:
    """Return the options a resolv.conf names, but for `ndots`, which is meant for the node's own search domains."""
    words = [line.split() for line in text.splitlines()]
    found = dict.fromkeys(option for each in words if each and each[0] == "options" for option in each[1:])
    return tuple(option for option in found if not option.startswith("ndots:"))


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
