"""The commands of `covey dev`: their help, and what they refuse."""

import os

import click
import pytest
from click.testing import CliRunner

from devcluster.cli import dev


@pytest.mark.parametrize("name", sorted(dev.commands))
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(dev, [name, "--help"])
    assert shown.exit_code == 0
    assert "Example:" in shown.output
    assert "--name" in shown.output


def test_all_the_commands_are_there() -> None:
    assert set(dev.commands) == {
        "up",
        "down",
        "ls",
        "env",
        "exec",
        "kill",
        "start",
        "cut",
        "heal",
        "pause",
        "resume",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="refuses anybody but root first")
@pytest.mark.parametrize(
    "argv",
    [
        ["up", "--name", "BAD"],
        ["up", "--managers", "0"],
        ["up", "--workers", "1000"],
        ["up", "--publish-range", "70000"],
        ["kill", "w1", "--name", "none-such"],
        ["down", "--name", "none-such"],
        ["env", "--name", "none-such"],
    ],
)
def test_bad_input_is_refused_in_one_sentence(argv: list[str]) -> None:
    done = CliRunner().invoke(dev, argv)
    assert done.exit_code in (1, click.UsageError.exit_code)
    assert "Error: " in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
