"""Drawing the progress of a service while it converges."""

import re
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from covey import ids
from covey.model.states import TaskState

from ..options import word
from .text import first_line
from .verdict import Place, Verdict

_LADDER = [state for state in TaskState if state <= TaskState.RUNNING]
_BAR_CHARS = 24
_OTHER_LINES = 4
_ERROR_LINES = 50
_ID = re.compile(rf"\b[{ids.ALPHABET}]{{{ids.LENGTH}}}\b")


class Screen(Protocol):
    """Where progress is shown."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, verdict: Verdict, steady_for_s: float) -> None:
        """Show one moment. `steady_for_s` counts down while what runs is being watched for a while."""
        ...


def screen(quiet: bool) -> Screen:
    """Choose: nothing, lines for a log, or a living display for a terminal."""
    if quiet:
        return Silent()
    console = Console()
    return Living(console) if console.is_terminal else Lines()


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, verdict: Verdict, steady_for_s: float) -> None:
        """Show nothing."""


class Lines(Silent):
    """Prints a line when the count changes, and each error once."""

    def __init__(self) -> None:
        self._said = set[tuple[str, str]]()
        self._last = ""

    def show(self, verdict: Verdict, steady_for_s: float) -> None:
        """Print what is new."""
        overall = overall_text(verdict)
        if overall != self._last:
            click.echo(overall)
            self._last = overall
        for place in verdict.places:
            # A task and those that come after it often fail in the same words, but for their ids.
            said = _ID.sub("", place.error)
            if said and (place.name, said) not in self._said and len(self._said) < _ERROR_LINES:
                self._said.add((place.name, said))
                click.echo(f"task {place.name}: {place.error}")
                if len(self._said) == _ERROR_LINES:
                    click.echo("further errors are not shown here; `covey service ps` has them")


class Living:
    """Redraws one line per task, as many as the terminal has room for; those that lag come first."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, verdict: Verdict, steady_for_s: float) -> None:
        """Redraw."""
        room = max(1, self._console.height - _OTHER_LINES)
        shown = verdict.places
        if len(shown) > room:
            shown = tuple(sorted(shown, key=lambda place: place.good))[:room]
        text = Text(overall_text(verdict) + "\n", no_wrap=True, overflow="ellipsis")
        for place in shown:
            of = f"/{verdict.desired}" if verdict.desired else ""
            text.append(f"{place.name}{of}: ".rjust(9))
            text.append(_bar(place), style="green" if place.good else "")
            text.append(f" {word(place.state):<10}")
            if place.error and not place.good:
                before = "before: " if place.past else ""
                text.append(f" {before}{first_line(place.error)}", style="red")
            text.append("\n")
        if len(verdict.places) > len(shown):
            text.append(f"  and {len(verdict.places) - len(shown)} more\n")
        if verdict.converged and steady_for_s > 0:
            text.append(f"verify: the tasks must keep running for {steady_for_s:.0f} s more\n")
        text.rstrip()
        self._live.update(text, refresh=True)


def overall_text(verdict: Verdict) -> str:
    """Return the line that counts."""
    return verdict.overall or f"overall progress: {verdict.running} out of {verdict.desired} tasks"


def _bar(place: Place) -> str:
    done = len(_LADDER) - 1 if place.state is TaskState.COMPLETE else 0
    step = _LADDER.index(place.state) if place.state in _LADDER else done
    filled = round(_BAR_CHARS * step / (len(_LADDER) - 1))
    return "[" + "=" * filled + ">" * (filled < _BAR_CHARS) + " " * (_BAR_CHARS - filled - 1) + "]"
