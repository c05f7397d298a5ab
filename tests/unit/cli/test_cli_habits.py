"""What hands used to `docker` type: taken as it is meant, or refused with what there is instead."""

import errno
import sys

import click
import pytest

from covey.cli.app import OK, REFUSED, USAGE, covey, outcome
from covey.cli.habits import plain, swallowed
from covey.cli.options import passes, words
from covey.model.states import ServiceModeKind


def command(*path: str) -> click.Command:
    found: click.Command = covey
    for name in path:
        assert isinstance(found, click.Group)
        below = found.get_command(click.Context(found), name)
        assert below is not None
        found = below
    return found


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("--detach=true img", "--detach img"),
        ("--detach=false img", "img"),
        ("-d=false -q=1 img", "-q img"),
        ("--read-only=false --no-healthcheck=True img", "--no-read-only --no-healthcheck img"),
        ("--no-read-only=false img", "--read-only img"),
        ("--mode=global --env A=true --name=x img", "--mode=global --env A=true --name=x img"),
        ("-e --detach=true img", "-e --detach=true img"),  # a value, however odd
        ("-dqe --detach=true img", "-dqe --detach=true img"),
        ("img --detach=true --secret x", "img --detach=true --secret x"),  # the container's
        ("-- --detach=true", "-- --detach=true"),
    ],
)
def test_switches_are_read_as_docker_writes_them(typed: str, read: str) -> None:
    assert plain(command("service", "create"), typed.split()) == read.split()


def test_switches_after_a_name_are_read_where_they_may_stand_there() -> None:
    assert plain(command("service", "update"), ["web", "--detach=false", "--force=true"]) == [
        "web",
        "--force",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("service create --detach=maybe img", "'maybe' is neither true nor false; write --detach alone"),
        ("service create --secret key img", "--secret: secrets are not supported yet; mount a file"),
        ("service update --config-add c web", "--config-add: configs are not supported yet"),
        ("service create --log-driver=none img", "--log-driver: what containers write is kept"),
        ("swarm init", "There is no `covey swarm`: those commands stand by themselves"),
        ("stack deploy -c x.yml web", "stack files are not supported yet"),
        ("ps", "covey service ps SERVICE"),
        ("service ls --format {{.Name}}", "templates are not read here; print json and pick with jq"),
        ("node inspect --format {{.ID}} w1", "templates are not read here; print json and pick with jq"),
    ],
)
def test_what_docker_has_and_covey_has_not_is_named(
    words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(words.split()) == USAGE
    assert says in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "typed", ["service list", "service remove", "node list", "node remove", "network list", "network remove"]
)
def test_the_words_that_docker_has_besides_are_taken(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome([*typed.split(), "--help"]) == OK
    assert "Example" in capsys.readouterr().out


def test_an_option_behind_the_image_is_noticed_and_one_of_the_container_is_not() -> None:
    create = command("service", "create")
    assert swallowed(create, ("--replicas=2",)) == "--replicas"
    assert swallowed(create, ("--publish", "80:80")) == "--publish"
    assert swallowed(create, ("--config-file", "x")) is None
    assert swallowed(create, ("-e", "x")) is None
    assert swallowed(create, ("sh", "--replicas")) is None
    assert swallowed(create, ()) is None


def test_the_value_of_a_filter_is_found_whatever_its_case(capsys: pytest.CaptureFixture[str]) -> None:
    ls = command("service", "ls")
    context = ls.make_context("ls", ["--filter", "mode=Replicated", "--filter", "name=Web"])
    assert context.params["filters"] == (("mode", "replicated"), ("name", "Web"))
    assert "replicated-job" in words(ServiceModeKind)
    assert passes(context.params["filters"], {"mode": "replicated".__eq__, "name": "Web".startswith})


class Full:
    """An output on a disk that is full."""

    encoding = "utf-8"
    errors = "strict"

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def test_an_output_that_is_full_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    assert outcome(["service", "--help"]) == REFUSED
    assert capsys.readouterr().err == "Error: the output cannot be written: No space left on device\n"
