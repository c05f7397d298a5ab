"""Placement constraints: `node.labels.disk == ssd`.

The language is Docker Swarm's: a key, `==` or `!=`, and a value compared without regard to case; several
constraints must all hold. The keys are `node.id`, `node.hostname`, `node.ip` (an address or a CIDR),
`node.role` (`manager` or `worker`), `node.platform.os`, `node.platform.arch`, `node.labels.KEY` and
`engine.labels.KEY`. A label that a node does not have equals nothing, so `!=` holds for it.
"""

import re
from functools import lru_cache
from ipaddress import ip_address, ip_network

from msgspec import Struct

from covey.errors import InvalidArgument
from covey.model.objects import Node
from covey.model.states import NodeRole

_FORM = re.compile(r"^\s*(?P<key>[^\s=!]+)\s*(?P<operator>==|!=)\s*(?P<value>\S(?:.*\S)?)\s*$")
_KEY = re.compile(r"^[a-z_][a-z0-9\-_.]+$", re.IGNORECASE)
_VALUE = re.compile(r"^[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+$", re.IGNORECASE)
_NODE_LABEL = "node.labels."
_ENGINE_LABEL = "engine.labels."
_PLAIN_KEYS = ("node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch")
_EXAMPLE = "write it as KEY==VALUE or KEY!=VALUE, for example node.labels.disk==ssd"

# What people and kernels call the architectures that OCI names otherwise.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i386": "386", "i686": "386"}


class Constraint(Struct, frozen=True):
    """One condition on a node. `key` is in canonical case (that of a label's own name is kept)."""

    key: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key} {'==' if self.equal else '!='} {self.value}"

    def holds(self, node: Node) -> bool:
        """Tell whether `node` satisfies the constraint."""
        return _equals(self.key, self.value, node) == self.equal


def parse(text: str) -> Constraint:
    """Read one constraint; raises `InvalidArgument` naming the text and the remedy."""
    form = _FORM.match(text)
    if form is None:
        raise InvalidArgument(f"{text!r} is not a constraint; {_EXAMPLE}")
    key, value = _canonical(form["key"], text), form["value"]
    if _VALUE.match(value) is None:
        raise InvalidArgument(
            f"constraint {text!r}: the value {value!r} has a character no constraint may have; {_EXAMPLE}"
        )
    _check_value(key, value, text)
    return Constraint(key, form["operator"] == "==", value)


@lru_cache(maxsize=4096)
def parse_all(texts: tuple[str, ...]) -> tuple[Constraint, ...]:
    """Read the constraints of a placement. Remembered: planners ask for the same few again and again."""
    return tuple(parse(text) for text in texts)


def _canonical(key: str, text: str) -> str:
    folded = key.lower()
    for prefix in (_NODE_LABEL, _ENGINE_LABEL):
        if folded.startswith(prefix) and len(key) > len(prefix):
            if _KEY.match(key) is None:
                raise InvalidArgument(
                    f"constraint {text!r}: {key!r} is not a label name; use letters, digits, '-', '_' and '.'"
                )
            return prefix + key[len(prefix) :]
    if folded not in _PLAIN_KEYS:
        known = ", ".join((*_PLAIN_KEYS, _NODE_LABEL + "KEY", _ENGINE_LABEL + "KEY"))
        raise InvalidArgument(f"constraint {text!r}: unknown key {key!r}; the keys are {known}")
    return folded


def _check_value(key: str, value: str, text: str) -> None:
    if key == "node.role" and value.lower() not in ("manager", "worker"):
        raise InvalidArgument(f"constraint {text!r}: {value!r} is not a role; use manager or worker")
    if key == "node.ip":
        try:
            ip_network(value, strict=False)
        except ValueError as error:
            raise InvalidArgument(
                f"constraint {text!r}: {value!r} is neither an IP address nor a CIDR such as 10.1.0.0/16"
            ) from error


def _equals(key: str, value: str, node: Node) -> bool:
    if key.startswith(_NODE_LABEL):
        return _same(node.spec.labels.get(key[len(_NODE_LABEL) :]), value)
    if key.startswith(_ENGINE_LABEL):
        return _same(node.description.engine_labels.get(key[len(_ENGINE_LABEL) :]), value)
    platform = node.description.platform
    match key:
        case "node.id":
            return node.id == value  # as Swarm's: ids are compared exactly
        case "node.hostname":
            return _same(node.description.hostname, value)
        case "node.ip":
            return _inside(node.status.address, value)
        case "node.role":
            return (node.role is NodeRole.MANAGER) == (value.lower() == "manager")
        case "node.platform.os":
            return _same(platform.os, value)
        case _:
            return architecture(platform.architecture) == architecture(value)


def architecture(name: str) -> str:
    """Bring an architecture's name to the form OCI writes (`x86_64` is `amd64`)."""
    folded = name.lower()
    return _ARCHITECTURES.get(folded, folded)


def _same(present: str | None, value: str) -> bool:
    return present is not None and present.lower() == value.lower()


def _inside(address: str, value: str) -> bool:
    host = address.rpartition(":")[0] if address.count(":") == 1 else address
    host = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host
    try:
        return ip_address(host) in ip_network(value, strict=False)
    except ValueError:
        return False  # a node that has not said where it is satisfies no address
