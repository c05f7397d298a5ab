"""The tree of commands as a user meets it: help, examples, and what is refused before anybody is asked."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from covey import limits
from covey.cli.app import USAGE, anew_on_conflict, covey, outcome
from covey.cli.commands.change import _credentials
from covey.errors import Conflict, InvalidArgument
from covey.model.specs import RegistryAuth

OURS = ("init", "join", "leave", "info", "version", "join-token", "node", "service", "network")


def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None and (path or name in OURS):
            yield from leaves(below, (*path, name))


LEAVES = list(leaves(covey, ()))


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_every_command_says_what_it_does_with_an_example(
    path: tuple[str, ...], command: click.Command
) -> None:
    names = covey.context_settings["help_option_names"]  # click keeps what it made first
    text = command.get_help(click.Context(command, info_name=path[-1], help_option_names=names))
    assert command.help
    assert f"  covey {' '.join(path)}" in text.partition("Example")[2]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no help"


def test_the_commands_promised_are_there() -> None:
    assert {" ".join(path) for path, _ in LEAVES} >= {
        *("init", "join", "leave", "info", "version", "join-token"),
        *(f"node {verb}" for verb in ("ls", "inspect", "ps", "update", "rm")),
        *(f"service {verb}" for verb in ("create", "ls", "ps", "inspect", "scale", "update", "rm", "logs")),
        *(f"network {verb}" for verb in ("create", "ls", "inspect", "rm")),
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("service create --publish 99999:80 img", "'99999:80': '99999' is not between 1 and 65535"),
        ("service create --mode global --replicas 2 img", "--replicas 2: a global service"),
        ("service create --constraint node.color==red img", "unknown key 'node.color'"),
        ("service create --env-file /nonexistent img", "/nonexistent"),
        ("service create IMAGE", "'IMAGE'"),
        ("service create", "Missing argument 'IMAGE'"),
        ("service scale web", "'web' is not SERVICE=REPLICAS"),
        ("service logs --since never web", "'never' is not a time"),
        ("service ls --filter color=red", "the keys are id, name, mode, label"),
        ("network create --gateway 10.0.0.1 n", "--gateway 10.0.0.1: it belongs to no subnet"),
        ("join --token nonsense 10.0.0.1", "a join token begins with"),
        ("init --advertise-addr eth0", "'eth0' is not an IP address"),
        ("node update --role king m1", "'king' is not one of"),
        ("nosuch", "No such command 'nosuch'"),
        ("service create --replicas abc img", "'abc' is not a whole number from 0 to 1000000000"),
        ("service create --replicas -1 img", "'-1' is not a whole number from 0 to"),
        ("service rollback --to 0 web", "'0' is not a whole number from 1 to"),
        ("service ls --filter mode=globl", "no mode is called 'globl'; there are replicated, global"),
        ("service ps --filter desired-state=up web", "no desired-state is called 'up'; there are new, "),
        ("node ls --filter role=boss", "no role is called 'boss'; there are worker, manager"),
        ("-H tcp://x service ls", "'tcp://x' is not the socket of a coveyd"),
        (
            "service update --rollback-failure-action rollback web",
            "'rollback' is not one of 'pause', 'continue'",
        ),
        ("service create --with-registry-auth img", "there is no login in /nonexistent/config.json, "),
        ("service create --limit-pids 99999999999999999999 img", "'--limit-pids'"),
        ("service create --ulimit nofile=99999999999999999999 img", "is not a ulimit"),
        ("service scale web=99999999999999999999", "is not SERVICE=REPLICAS"),
        ("service logs --tail 99999999999999999999 web", "is not a number of lines"),
        ("service create --env A=\udcff img", "is not UTF-8"),
        ("service logs --tail few web", "'few' is not a number of lines"),
        ("join 10.0.0.1", "Missing option '--token'"),
    ],
)
def test_wrong_usage_names_the_value(
    words: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "HOME"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    assert outcome(words.split()) == USAGE
    shown = capsys.readouterr()
    assert says in shown.err
    assert not shown.out


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["--help"]) == 0
    assert "Exit codes: 0 done; 1 refused" in capsys.readouterr().out
    assert outcome(["service", "create", "-h"]) == 0


def test_a_change_that_somebody_else_overtook_is_made_anew_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "conflict_pause_ms", 0)
    tried = 0

    async def act() -> str:
        nonlocal tried
        tried += 1
        if tried <= refused:
            raise Conflict("changed since it was read")
        return "done"

    refused = 2
    assert asyncio.run(anew_on_conflict(act)) == "done"
    tried, refused = 0, 1000
    with pytest.raises(Conflict):
        asyncio.run(anew_on_conflict(act))
    assert tried == limits.conflicts_borne_max + 1


def test_logins_are_found_wherever_tools_keep_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in (("DOCKER_CONFIG", "docker"), ("XDG_RUNTIME_DIR", "run"), ("HOME", "home")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "set.json"))
    login = base64.b64encode(b"me:secret").decode()
    kept = tmp_path / "run" / "containers" / "auth.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"auths": {"r.example": {"auth": login}}}))
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {}}))
    assert _credentials("r.example/img") == RegistryAuth("me", "secret")
    with pytest.raises(InvalidArgument, match=r"docker/config.json has no credentials for other.example"):
        _credentials("other.example/img")
