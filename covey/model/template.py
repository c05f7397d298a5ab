"""Templates: `web-{{.Task.Slot}}` in host names, environments and mounts, filled in for each task; pure.

The language is the part of Go's `text/template` that Docker Swarm's users write: fields of `FIELDS`, labels as
`.Service.Labels.NAME` or `index .Service.Labels "any.name"`, string literals (which is how a text comes to hold
`{{`), comments, and trimming of the blanks around an action with `{{- ` and ` -}}`. There are no functions, pipes,
variables and conditions. A label that is not there is an empty text, as an index of Go's maps.

    template = { text | "{{" [ "- " ] [ value | comment ] [ " -" ] "}}" }
    value    = field | labels "." NAME | "index" labels string | string

See https://pkg.go.dev/text/template, and `docker service create` under "Create services using templates".
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from msgspec import Struct

from covey.errors import InvalidArgument
from covey.model.names import place_name, task_name
from covey.model.objects import Node, Task
from covey.model.specs import ServiceSpec


class Facts(Struct, frozen=True):
    """What templates can ask for. `task_slot` is the node's id where every node has a task."""

    service_id: str = ""
    service_name: str = ""
    service_labels: Mapping[str, str] = {}
    node_id: str = ""
    node_hostname: str = ""
    node_os: str = ""
    node_architecture: str = ""
    node_labels: Mapping[str, str] = {}
    task_id: str = ""
    task_name: str = ""
    task_slot: str = ""


def facts_of(spec: ServiceSpec, task: Task, node: Node) -> Facts:
    """Collect the facts of a task; `spec` is that of its revision, `node` the one it is on."""
    platform = node.description.platform
    return Facts(
        service_id=task.service_id,
        service_name=spec.name,
        service_labels=spec.labels,
        node_id=node.id,
        node_hostname=node.description.hostname,
        node_os=platform.os,
        node_architecture=platform.architecture,
        node_labels=node.spec.labels,
        task_id=task.id,
        task_name=task_name(spec, task),
        task_slot=place_name(spec.mode.kind, task),
    )


FIELDS: Mapping[str, Callable[[Facts], str]] = {
    ".Service.ID": lambda facts: facts.service_id,
    ".Service.Name": lambda facts: facts.service_name,
    ".Node.ID": lambda facts: facts.node_id,
    ".Node.Hostname": lambda facts: facts.node_hostname,
    ".Node.Platform.OS": lambda facts: facts.node_os,
    ".Node.Platform.Architecture": lambda facts: facts.node_architecture,
    ".Task.ID": lambda facts: facts.task_id,
    ".Task.Name": lambda facts: facts.task_name,
    ".Task.Slot": lambda facts: facts.task_slot,
}
LABELS: Mapping[str, Callable[[Facts], Mapping[str, str]]] = {
    ".Service.Labels": lambda facts: facts.service_labels,
    ".Node.Labels": lambda facts: facts.node_labels,
}


class Field(Struct, frozen=True):
    """A value of `FIELDS`, by its name."""

    name: str


class Label(Struct, frozen=True):
    """One of the labels of `LABELS`."""

    of: str
    key: str


Part = str | Field | Label


def check(field: str, text: str) -> None:
    """Raise `InvalidArgument`, naming the field, the text, the fault and the remedy, unless `text` can be expanded."""
    parts(field, text)


def parts(field: str, text: str) -> tuple[Part, ...]:
    """Give what `text` consists of: literal texts, fields and labels. Raises `InvalidArgument`, as `check`."""
    try:
        return _parsed(text)
    except _Fault as fault:
        shown = text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "..."
        raise InvalidArgument(f"{field}: {shown!r} {fault}") from None


def expand(field: str, text: str, facts: Facts) -> str:
    """Fill in a template; a text without `{{` stays as it is. Raises `InvalidArgument`, as `check`."""
    return "".join(_value(part, facts) for part in parts(field, text))


def _value(part: Part, facts: Facts) -> str:
    match part:
        case Field(name):
            return FIELDS[name](facts)
        case Label(of, key):
            return LABELS[of](facts).get(key, "")
        case str():
            return part


# --- reading ---------------------------------------------------------------------------------------

_BLANKS = " \t\r\n"
_OPEN = re.compile(r"\{\{(-(?=[ \t\r\n]))?")
_BLANK = re.compile(r"[ \t\r\n]+")
_CLOSE = re.compile(r"([ \t\r\n]+-)?\}\}|[ \t\r\n]+\}\}")
_COMMENT = re.compile(r"[ \t\r\n]*/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<chain>(?:\.\w+)+) | (?P<word>\w+) | (?P<raw>`[^`]*`) | (?P<quoted>"(?:[^"\\\n]|\\[^\n])*")""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"""\\(?:(?P<plain>[abfnrtv\\"])|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})"""
    r"""|(?P<octal>[0-7]{3}))|\\(?P<bad>.)"""
)
_PLAIN = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))
_KNOWN = ", ".join((*FIELDS, *(f"{labels}.NAME" for labels in LABELS)))
_INDEX = 'index .Service.Labels "NAME"'
_CODE_POINT_MAX = 0x10FFFF
_SHOWN_CHARS_MAX = 120  # of a text that is at fault


class _Fault(Exception):
    """What is wrong with a text, as the end of a sentence that begins with it."""


class _Token(Struct, frozen=True):
    kind: str
    text: str


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Part, ...]:
    """Read a template. Remembered: every task of a service has the same few."""
    found: list[Part] = []
    at, trim = 0, False
    while (start := text.find("{{", at)) >= 0:
        opening = _OPEN.match(text, start)
        assert opening is not None, "it begins with the braces that were found"
        literal = text[at:start].lstrip(_BLANKS) if trim else text[at:start]
        found.append(literal.rstrip(_BLANKS) if opening[1] else literal)
        at, part, trim = _action(text, opening.end())
        found.append(part)
    found.append(text[at:].lstrip(_BLANKS) if trim else text[at:])
    return tuple(part for part in found if part != "")


def _action(text: str, start: int) -> tuple[int, Part, bool]:
    """Read an action from behind its braces; returns its end, its value, and whether it trims what follows."""
    if comment := _COMMENT.match(text, start):
        closing = _CLOSE.match(text, comment.end())
        if closing is None:
            raise _Fault("has a comment that does not end its action; write {{/* ... */}}")
        return closing.end(), "", bool(closing[1])
    at, tokens = start, list[_Token]()
    while (closing := _CLOSE.match(text, at)) is None:
        if blank := _BLANK.match(text, at):
            at = blank.end()
        if at >= len(text):
            raise _Fault(f"does not end what {text[start - 2 : start + 20]!r} begins; close it with }}}}")
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            raise _Fault(
                f"has {text[at : at + 10]!r} in an action, which is not understood; use one of {_KNOWN}"
            )
        tokens.append(_Token(token.lastgroup, token[0]))
        at = token.end()
    return closing.end(), _part(tokens), bool(closing[1])


def _part(tokens: list[_Token]) -> Part:
    """Give the value of an action."""
    match tokens:
        case []:
            raise _Fault(f"has empty braces; use one of {_KNOWN}")
        case [_Token("chain", chain)]:
            return _field(chain)
        case [_Token("raw" | "quoted" as kind, literal)]:
            return _string(kind, literal)
        case [_Token("word", "index"), _Token("chain", labels), _Token("raw" | "quoted" as kind, key)]:
            if labels not in LABELS:
                raise _Fault(f"takes an index of {labels}; there is one of {' and '.join(LABELS)}")
            return Label(labels, _string(kind, key))
        case [_Token("word", "index"), *_]:
            raise _Fault(f"has an index that is not like {_INDEX}")
        case [_Token("word", word), *_]:
            raise _Fault(f"calls {word!r}, and there are no functions but index; use one of {_KNOWN}")
        case _:
            raise _Fault(f"has several values in one pair of braces; give each its own, or use {_INDEX}")


def _field(chain: str) -> Part:
    if chain in FIELDS:
        return Field(chain)
    for labels in LABELS:
        if chain == labels:
            raise _Fault(f'names all of {chain}; name one of them: {chain}.NAME, or index {chain} "NAME"')
        if chain.startswith(f"{labels}."):
            key = chain.removeprefix(f"{labels}.")
            if "." in key:
                raise _Fault(f'names {chain}, whose key has dots in it; write index {labels} "{key}"')
            return Label(labels, key)
    raise _Fault(f"names {chain}, which does not exist; there are {_KNOWN}")


def _string(kind: str, literal: str) -> str:
    """Read a literal as Go does: between backquotes everything is as it stands, a carriage return aside."""
    inner = literal[1:-1]
    return inner.replace("\r", "") if kind == "raw" else _ESCAPE.sub(_unescaped, inner)


def _unescaped(escape: re.Match[str]) -> str:
    if escape["plain"]:
        return _PLAIN[escape["plain"]]
    number = (
        int(escape["octal"], 8)
        if escape["octal"]
        else int(escape["x"] or escape["u"] or escape["U"] or "0", 16)
    )
    surrogate = 0xD800 <= number <= 0xDFFF
    # Go's \x and octal escapes are bytes; only those that are characters by themselves can be had here.
    byte = escape["u"] is None and escape["U"] is None
    if escape["bad"] or surrogate or number > (0x7F if byte else _CODE_POINT_MAX):
        raise _Fault(f"has the escape {escape[0]!r}, which no text can hold; write the character itself")
    return chr(number)
