"""Whatever is typed after `service create` and `update` becomes a spec, or is refused with a sentence."""

from contextlib import suppress
from typing import Any

import click
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from covey.cli.commands.change import LEFT_TO_US, create, update
from covey.cli.options import given as chosen
from covey.cli.service_options import flattened
from covey.cli.spec.change import changed, created
from covey.errors import InvalidArgument, Refused
from covey.model.difference import changes
from covey.model.specs import ServiceSpec
from covey.v1.specs_pb2 import ServiceSpec as Message
from covey.wire.codec import from_message, to_message
from manager.control import validate
from tests.support.sound_service import SOUND

VALUES = st.sampled_from(
    "|0|1|2|-1|0.5|nan|1e9|100001|99999999999999999999|1s|5ms|-1s|1m30s|512m|4m|1k|a|web|a=b|=|a=|A=1|gpu=2|gpu=0|gpu=|"
    "start-first|stop-first|pause|rollback|continue|any|none|vip|dnsrr|8080:80|80|53:53/udp|mode=host,target=80|2377:1|"
    "type=volume,source=x,target=/d|type=bind,source=/a,target=/d|type=tmpfs,target=/d|{{.Task.Slot}}|{{.X}}|{{|"
    "replicated|global|replicated-job|global-job|node.labels.a==b|spread=node.labels.zone|nofile=1:2|db:10.0.0.1|"
    "192.0.2.1|SIGTERM|RTMIN+1|/srv|..|ALL|NET_ADMIN|net.a=1|exit 0|' |\"".split("|")
)
TYPED = st.one_of(VALUES, st.text(max_size=6))


def arguments_of(command: click.Command) -> st.SearchStrategy[list[str]]:
    """Some of a command's options, with anything for their values."""
    flags, valued = list[str](), list[str]()
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.name in LEFT_TO_US:
            continue
        names = [*parameter.opts, *parameter.secondary_opts]
        (flags if parameter.is_flag else valued).extend(name for name in names if name.startswith("--"))
    options = st.tuples(st.sampled_from(valued), TYPED).map("=".join)
    return st.lists(st.one_of(options, options, st.sampled_from(flags)), max_size=6)


def options(command: click.Command, words: list[str]) -> dict[str, Any] | None:
    """Read a command line; None if it is refused."""
    with suppress(click.UsageError):
        parsed = command.make_context(command.name, words).params
        given_options = flattened(chosen(parsed))
        return {name: value for name, value in given_options.items() if name not in LEFT_TO_US}
    return None


def judge(spec: ServiceSpec) -> None:
    """What the command sends, the managers take or refuse, and it is the same on the way and in a plan."""
    with suppress(InvalidArgument):
        sent = to_message(spec, Message)
        assert not changes(spec, from_message(sent, ServiceSpec))
    changes(SOUND, spec)
    with suppress(InvalidArgument):
        validate.check_service(spec)
        event("taken")


@settings(max_examples=300, deadline=None)
@given(arguments_of(create))
def test_what_is_typed_to_create_is_a_spec_or_refused(words: list[str]) -> None:
    found = options(create, [*words, "demo/web:1"])
    if found is not None:
        with suppress(Refused):
            judge(created({"name": "web", **found}))


@settings(max_examples=300, deadline=None)
@given(arguments_of(update))
def test_what_is_typed_to_update_is_a_spec_or_refused(words: list[str]) -> None:
    found = options(update, [*words, "web"])
    if found is not None:
        found.pop("service")
        with suppress(Refused):
            judge(changed(SOUND, found))


@pytest.mark.parametrize(
    "words",
    [
        [
            "--generic-resource=gpu=2",
            "--health-cmd=curl -f http://127.0.0.1/",
            "--health-interval=5s",
            "--drain-time=0s",
        ],
        ["--mode=replicated-job", "--replicas=5", "--max-concurrent=2"],
        ["--mode=global-job", "--restart-condition=any"],
        [
            "--no-healthcheck",
            "--hostname={{.Task.Slot}}x",
            "--update-start-deadline=1m",
            "--replicas-max-per-node=2",
        ],
    ],
)
def test_what_people_mean_is_taken(words: list[str]) -> None:
    found = options(create, [*words, "demo/web:1"])
    assert found is not None
    validate.check_service(created({"name": "web", **found}))
