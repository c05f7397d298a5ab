"""Options as click knows them: types that read by `covey.cli.parse`, and sets that many commands share."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import IntEnum
from typing import Any, TypeVar

import click

from covey.client.host import Staleness
from covey.errors import Refused

from .show.text import age

F = TypeVar("F", bound=Callable[..., Any])

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class Parsed(click.ParamType[Any]):
    """A parameter read by a function of `covey.cli.parse`; what it refuses is a usage error."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read `value`, unless it is a default that was read before."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except Refused as error:
            self.fail(str(error), param, ctx)


class Number(click.ParamType[int]):
    """A whole number between two bounds."""

    name = "number"

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; what is none, or too small or too large, is a usage error."""
        if isinstance(value, int):
            return value
        text = str(value)
        if not _NUMBER.fullmatch(text) or not self._least <= int(text) <= self._most:
            self.fail(f"{text!r} is not a whole number from {self._least} to {self._most}", param, ctx)
        return int(text)


class Form(click.Choice[str]):
    """How results are printed. Docker's templates are not read, and jq does what they do."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the form."""
        if "{{" in str(value):
            self.fail(f"{value!r}: templates are not read here; print json and pick with jq", param, ctx)
        return super().convert(value, param, ctx)


class Named(click.Choice[str]):
    """One member of an enumeration, by its name as Docker writes it (`stop-first`)."""

    def __init__(self, enumeration: type[IntEnum], without: IntEnum | None = None) -> None:
        self._members = {word(member): member for member in enumeration if member is not without}
        super().__init__(list(self._members), case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the member."""
        if isinstance(value, IntEnum):
            return value
        return self._members[super().convert(value, param, ctx)]


def word(member: IntEnum) -> str:
    """Write a member of an enumeration as people do: lower case, with dashes."""
    return member.name.lower().replace("_", "-")


def words(enumeration: type[IntEnum]) -> tuple[str, ...]:
    """Write all members of an enumeration as people do."""
    return tuple(word(member) for member in enumeration)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the options that were given: click has None for the others, and () for those that repeat."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def example(*lines: str) -> str:
    """Return the epilog of a command's help."""
    return (
        "\b\n" + ("Example:" if len(lines) == 1 else "Examples:") + "".join(f"\n  {line}" for line in lines)
    )


def filters(known: str, *, short: bool = True, **values: Iterable[str]) -> Callable[[F], F]:
    """Add `--filter`; `known` names the keys, space-separated, and `values` those of a key that has few.

    Where -f has another meaning, there is no `short` form.
    """
    from_text = Parsed("filter", lambda text: _filter(text, tuple(known.split()), values))
    return click.option(
        *(("-f",) if short else ()),
        "--filter",
        "filters",
        type=from_text,
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Show only what matches; keys: {known.replace(' ', ', ')}. The same key twice means either.",
    )


def _filter(text: str, known: tuple[str, ...], values: Mapping[str, Iterable[str]]) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or key not in known:
        raise Refused(f"{text!r} is not a filter: write KEY=VALUE; the keys are {', '.join(known)}")
    few = tuple(values.get(key.replace("-", "_"), ()))
    if few and value.lower() not in few:
        raise Refused(f"{text!r}: no {key} is called {value!r}; there are {', '.join(few)}")
    return key, value.lower() if few else value


def passes(filters: tuple[tuple[str, str], ...], values: Mapping[str, Callable[[str], bool]]) -> bool:
    """Tell whether something passes: for each key, one of the wanted values must hold."""
    wanted: dict[str, list[str]] = {}
    for key, value in filters:
        wanted.setdefault(key, []).append(value)
    return all(any(values[key](value) for value in choices) for key, choices in wanted.items())


def labelled(labels: Mapping[str, str]) -> Callable[[str], bool]:
    """Return what tells whether `KEY`, or `KEY=VALUE`, is among the labels."""

    def is_there(text: str) -> bool:
        key, equals, value = text.partition("=")
        return key in labels and (not equals or labels[key] == value)

    return is_there


quiet_ids = click.option("-q", "--quiet", is_flag=True, help="Print only ids, one a line.")

output_format = click.option(
    "--format",
    "form",
    type=Form(["table", "json"]),
    default="table",
    show_default=True,
    help="Print a table, or one JSON array.",
)


def inspected(command: F) -> F:
    """Add how what a command shows of single objects is printed: as one JSON array, or for reading."""
    form = click.option(
        "--format", "form", type=Form(["json"]), default="json", help="JSON is the only format."
    )
    return click.option("--pretty", "readable", is_flag=True, help="Print for reading instead of JSON.")(
        form(command)
    )


no_trunc = click.option("--no-trunc", is_flag=True, help="Print ids and messages in full.")

no_resolve = click.option("--no-resolve", is_flag=True, help="Print ids instead of names.")

detach = click.option(
    "-d",
    "--detach",
    is_flag=True,
    help="Return at once instead of waiting until the tasks run.",
)


def _stale(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    reading = Staleness()
    ctx.obj = replace(ctx.obj, stale=reading)
    ctx.call_on_close(lambda: _tell_age(reading.age_ms))


def _tell_age(age_ms: int | None) -> None:
    if age_ms is not None:
        known = age(age_ms / 1000) if age_ms < 1000 else f"up to {age(age_ms / 1000)}"
        old = "of an unknown age" if age_ms < 0 else f"{known} old"
        click.echo(f"Note: this is {old}: the manager answered without asking the others.", err=True)


stale = click.option(
    "--stale",
    is_flag=True,
    expose_value=False,
    callback=_stale,
    help="Show what this manager knows, at once and however old, also where no majority of managers answers.",
)
