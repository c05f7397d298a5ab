"""What hands that are used to `docker` type: other words for a command, `--flag=true`, flags that are not there.

What has an obvious meaning is taken so; what has none here is refused with what there is instead.
"""

from collections.abc import Mapping, Sequence

import click

_ALSO = {"list": "ls", "remove": "rm"}

_ELSEWHERE = {
    "swarm": "those commands stand by themselves here: covey init, join, leave, join-token, cluster",
    "stack": "stack files are not supported yet; covey service create makes one service at a time",
    "secret": "secrets are not supported yet; mount a file that is on the nodes: --mount type=bind,...,readonly",
    "config": "configs are not supported yet; mount a file that is on the nodes: --mount type=bind,...,readonly",
    "ps": "tasks are listed by covey service ps SERVICE and covey node ps NODE",
    "run": "containers belong to services here: covey service create",
    "logs": "write covey service logs SERVICE",
    "inspect": "write covey service inspect, covey node inspect or covey network inspect",
}

_NOT_THERE = {
    "--secret": _ELSEWHERE["secret"],
    "--config": _ELSEWHERE["config"],
    "--log-driver": "what containers write is kept on their nodes, for covey service logs; leave it out",
    "--log-opt": "what containers write is kept on their nodes, for covey service logs; leave it out",
    "--tty": "tasks have no terminal; leave it out",
    "--isolation": "this is of Windows, and Covey runs Linux containers; leave it out",
    "--credential-spec": "this is of Windows, and Covey runs Linux containers; leave it out",
}
"""Flags of `docker service create`; those of `update` end in `-add` and `-rm`."""

_TRUTH = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


class Family(click.Group):
    """Commands that are used by people who know Docker's."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by its name here, or by the one that Docker has besides."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, _ALSO.get(cmd_name, ""))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and put its arguments as click wants them."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is None or isinstance(command, click.Group):
            return name, command, rest
        return name, command, plain(command, rest)


def elsewhere(name: str) -> str | None:
    """Say what there is instead of a command of Docker's that is not here; none if we know no better."""
    return _ELSEWHERE.get(name)


def plain(command: click.Command, arguments: Sequence[str]) -> list[str]:
    """Write `--flag=true` and `-d=false` as click reads them; arguments of the container stay as they are.

    Raises UsageError for what is neither true nor false, and for flags of Docker's that are not here.
    """
    options = {
        name: parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    anywhere = command.context_settings.get("allow_interspersed_args", command.allow_interspersed_args)
    written, rest = list[str](), list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--" or (not word.startswith("-") and not anywhere):
            return [*written, word, *rest]
        name, equals, value = word.partition("=")
        option = options.get(name)
        if option is None:
            _refuse(command, name)
        if option is not None and option.is_flag and equals:
            written += _switch(name, option, value)
            continue
        written.append(word)
        if rest and _takes_next(options, word):
            written.append(rest.pop(0))
    return written


def _refuse(command: click.Command, flag: str) -> None:
    stem = flag.removesuffix("-add").removesuffix("-rm")
    if command.name in ("create", "update") and stem in _NOT_THERE:
        raise click.UsageError(f"{flag}: {_NOT_THERE[stem]}")


def _switch(flag: str, option: click.Option, value: str) -> list[str]:
    wanted = _TRUTH.get(value.lower())
    if wanted is None:
        raise click.UsageError(f"{flag}={value}: {value!r} is neither true nor false; write {flag} alone")
    if wanted:
        return [flag]
    others = option.opts if flag in option.secondary_opts else option.secondary_opts
    return [others[0]] if others else []


def _takes_next(options: Mapping[str, click.Option], word: str) -> bool:
    """Tell whether the word after an option is its value; letters may be joined, as in `-qe NAME=VALUE`."""
    if word.startswith("--"):
        option = options.get(word)
        return option is not None and not option.is_flag
    letters = word[1:]
    for place, letter in enumerate(letters):
        option = options.get(f"-{letter}")
        if option is None or not option.is_flag:
            return option is not None and place == len(letters) - 1
    return False


def swallowed(command: click.Command, arguments: Sequence[str]) -> str | None:
    """Return the option of `command` that stands behind the image, and so went to the container; none if none."""
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    first = arguments[0].partition("=")[0] if arguments else ""
    return first if first in names else None
