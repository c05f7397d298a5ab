"""Every name and path of a dev cluster, derived from the checkout and the cluster's name."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from covey.errors import InvalidArgument, NotFound

BASE = Path("/var/lib/covey-dev")
CHECKOUT = Path(__file__).resolve().parents[1]
default_name = "dev"
managers_max = 20
workers_max = 250

REGISTRY = "registry"
OUTSIDE = "outside"
FABRIC = "fabric"
registry_port = 5000
fabric_prefix_length = 16
fabric_prefix_length_ipv6 = 64

_FIXED = {REGISTRY: "10.77.0.2", OUTSIDE: "10.77.0.3"}
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_NODE = re.compile(r"([mw])([1-9]\d{0,2})")


@cache
def checkout_digest() -> str:
    """Eight characters that stand for this checkout in every name."""
    return hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]


def address_of(member: str) -> str:
    """The fabric address of a node, the registry or `outside`.

    Every cluster has a fabric of its own, so all of them use the same addresses: m1 is 10.77.1.1 in each.
    """
    if member in _FIXED:
        return _FIXED[member]
    match = _NODE.fullmatch(member)
    if match is None:
        raise NotFound(f"no node is called '{member}': nodes are m1, m2, ... and w1, w2, ...")
    kind, number = match.group(1), int(match.group(2))
    if number > (managers_max if kind == "m" else workers_max):
        raise InvalidArgument(
            f"'{member}' is too many: {managers_max} managers and {workers_max} workers at most"
        )
    return f"10.77.{1 if kind == 'm' else 2}.{number}"


def ipv6_of(member: str) -> str:
    """The IPv6 address that goes with `address_of`: 10.77.1.12 has fd77::1:12 beside it."""
    _, _, kind, number = address_of(member).split(".")
    return f"fd77::{number}" if kind == "0" else f"fd77::{kind}:{number}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one cluster lives."""

    name: str = default_name

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidArgument(
                f"'{self.name}' is no name for a cluster: at most 20 of a-z, 0-9 and '-', a letter first"
            )

    @property
    def tag(self) -> str:
        """The name that no other cluster on this machine has; it also names the cgroups."""
        return f"{self.name}-{checkout_digest()}"

    @property
    def root(self) -> Path:
        """The folder that holds all there is of this cluster."""
        return BASE / self.tag

    @property
    def record(self) -> Path:
        """What the cluster was asked to be."""
        return self.root / "cluster.json"

    @property
    def lock(self) -> Path:
        """Held by the command that changes the cluster."""
        return self.root / "lock"

    def netns(self, member: str) -> Path:
        """The file at which a member's network namespace is held.

        Not under /run/netns: the first `ip netns add` on a machine mounts that folder over itself, and
        would leave a second, hidden mount that keeps every namespace alive.
        """
        return self.root / "netns" / member

    def cgroup(self, member: str) -> str:
        """A member's cgroup, relative to each hierarchy's root."""
        return f"{self.cluster_cgroup}/{member}"

    @property
    def cluster_cgroup(self) -> str:
        """The cgroup above those of all members."""
        return f"covey-dev-{self.tag}"

    def home(self, member: str) -> Path:
        """A member's own folder."""
        return self.root / member

    def state(self, node: str) -> Path:
        """What a node keeps over a power loss."""
        return self.home(node) / "state"

    def run(self, node: str) -> Path:
        """What a node loses with its power."""
        return self.home(node) / "run"

    def log(self, member: str) -> Path:
        """The file that a member's output goes to."""
        return self.home(member) / "log" / "output.log"

    def socket(self, node: str) -> Path:
        """The unix socket on which a node's coveyd answers."""
        return self.run(node) / "covey.sock"

    @property
    def registry(self) -> str:
        """The registry as an image reference writes it."""
        return f"{address_of(REGISTRY)}:{registry_port}"


def places() -> Iterator[Place]:
    """This checkout's clusters, those included that a crash left half made."""
    suffix = f"-{checkout_digest()}"
    for root in sorted(BASE.glob(f"*{suffix}")):
        name = root.name.removesuffix(suffix)
        if _NAME.fullmatch(name):
            yield Place(name)
