"""Generic resources: what nodes have that Covey knows nothing of (`gpu=UUID-1`, `ssd=3`), counted and handed out.

A node names each one of a kind, or says how many of it there are, not both, as in Docker's `node-generic-resources`.
Tasks reserve a number of a kind. A container learns what it was given from `DOCKER_RESOURCE_<KIND>`, as with Swarm.
"""

import re
from collections.abc import Iterable

from covey import limits
from covey.errors import InvalidArgument
from covey.model.specs import GenericResource

_KIND = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_COUNT = re.compile(r"[+-]?[0-9]+")
_VALUE = re.compile(r"[!-+\--<>-~]+")  # what can be printed, but for blanks, commas and the equals sign


def kind_fault(kind: str) -> str:
    """Judge the name of a kind: the end of a sentence that begins with it, nothing if it is sound."""
    if len(kind) <= limits.name_length_chars_max and _KIND.fullmatch(kind):
        return ""
    most = limits.name_length_chars_max
    return f"is not a kind of resource; use up to {most} letters, digits, -, _ and . such as gpu"


def offered(texts: Iterable[str], field: str = "generic-resource") -> tuple[GenericResource, ...]:
    """Read what a node has: `gpu=UUID-1` for one by its name, `ssd=3` for a number; several with commas between.

    Raises `InvalidArgument` naming `field`, the value and the remedy.
    """
    found = [_one(field, part.strip()) for text in texts for part in text.split(",")]
    named, counted = set[tuple[str, str]](), set[str]()
    with_names = {each.kind for each in found if each.value}
    for each in found:
        mine = f"{field} {each.kind}={each.value or each.count}"
        if each.value and (each.kind, each.value) in named:
            raise InvalidArgument(f"{mine}: that one is given twice; give each once")
        if not each.value and each.kind in counted:
            raise InvalidArgument(f"{mine}: how many there are is given twice; give it once")
        if each.kind in counted or (not each.value and each.kind in with_names):
            raise InvalidArgument(
                f"{mine}: a kind is either counted or has names; give a number, or all the names"
            )
        if each.value:
            named.add((each.kind, each.value))
        else:
            counted.add(each.kind)
    size = sum(len(each.kind) + len(each.value) for each in found)
    if size > limits.generic_resources_bytes_max:
        raise InvalidArgument(
            f"{field}: {len(found)} with {size} bytes of names are more than the "
            f"{limits.generic_resources_bytes_max} bytes a node may have; give a number, or shorter names"
        )
    return tuple(found)


def _one(field: str, text: str) -> GenericResource:
    kind, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        raise InvalidArgument(
            f"{field}: {text!r} is not KIND=NAME or KIND=NUMBER; write gpu=UUID-1, or ssd=3"
        )
    if fault := kind_fault(kind):
        raise InvalidArgument(f"{field}: {kind!r} {fault}")
    if _COUNT.fullmatch(value):
        if not 0 < (count := int(value[:12])) <= limits.generic_resource_count_max:
            most = limits.generic_resource_count_max
            raise InvalidArgument(
                f"{field}: {text!r} is not a number from 1 to {most}; leave out what is not there"
            )
        return GenericResource(kind=kind, count=count)
    if not _VALUE.fullmatch(value):
        raise InvalidArgument(
            f"{field}: {text!r} has a name with blanks, = or odd characters in it; use others"
        )
    return GenericResource(kind=kind, value=value, count=1)


def variables(given: Iterable[GenericResource]) -> tuple[str, ...]:
    """What a container is told of what its task was given: `DOCKER_RESOURCE_GPU=UUID-1,UUID-2`."""
    values = dict[str, list[str]]()
    for each in given:
        values.setdefault(each.kind.upper(), []).append(each.value or str(each.count))
    return tuple(f"DOCKER_RESOURCE_{kind}={','.join(values[kind])}" for kind in sorted(values))


def describe(resources: Iterable[GenericResource]) -> str:
    """Write resources as people do: `gpu=UUID-1, gpu=UUID-2, ssd=3`."""
    return ", ".join(f"{each.kind}={each.value or each.count}" for each in resources)
