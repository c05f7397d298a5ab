import typing

import pytest

from agent.session.client import DOWN, UP, decode, encode
from agent.session.messages import Down, LogOptions, LogSubscription, Register, StatusReport, Up
from covey.model.assignments import TaskReport
from covey.model.objects import ClusterVersion, NodeDescription, TaskStatus
from covey.model.states import TaskState
from covey.v1.dispatcher_pb2 import AgentMessage, ManagerMessage
from covey.wire.codec import fields_of, from_message, to_message


def test_every_kind_of_message_has_its_struct() -> None:
    assert set(UP.values()) == {f.name for f in AgentMessage.DESCRIPTOR.fields}
    assert set(DOWN) == {f.name for f in ManagerMessage.DESCRIPTOR.fields}
    assert set(UP) == set(typing.get_args(Up))
    assert set(DOWN.values()) == set(typing.get_args(Down))


@pytest.mark.parametrize("name", sorted(DOWN))
def test_every_field_is_on_the_wire(name: str) -> None:
    message_type = type(getattr(ManagerMessage(), name))
    assert {f.name for f in fields_of(DOWN[name], message_type)} == {
        f.name for f in message_type.DESCRIPTOR.fields
    }


def test_what_is_said_arrives() -> None:
    register = Register(NodeDescription(hostname="a"), ClusterVersion(2, 3))
    assert from_message(encode(register).register, Register) == register
    status = TaskStatus(state=TaskState.FAILED, exit_code=0, err="x")
    report = StatusReport(4, (TaskReport("t1", status),))
    assert from_message(encode(report).status_report, StatusReport) == report
    assert encode(NodeDescription(hostname="b")).WhichOneof("kind") == "description"


def test_what_is_heard_is_understood_and_what_is_unknown_is_left() -> None:
    wanted = LogSubscription("l1", ("t1", "t2"), LogOptions(follow=True, tail=0))
    assert (
        decode(ManagerMessage(log_subscription=to_message(wanted, type(ManagerMessage().log_subscription))))
        == wanted
    )
    assert decode(ManagerMessage()) is None
