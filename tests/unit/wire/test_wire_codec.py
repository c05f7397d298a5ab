"""Every model struct has its message, field for field, and survives the trip."""

import msgspec
import pytest

from covey.errors import InvalidArgument
from covey.model import assignments, objects, specs, tables
from covey.model.states import RestartCondition, TaskState
from covey.v1 import assignments_pb2, objects_pb2, specs_pb2, tables_pb2
from covey.wire.codec import fields_of, from_message, to_message

PAIRS = [
    (struct, getattr(protos, name))
    for module, protos in (
        (specs, specs_pb2),
        (objects, objects_pb2),
        (tables, tables_pb2),
        (assignments, assignments_pb2),
    )
    for name, struct in vars(module).items()
    if isinstance(struct, type)
    and issubclass(struct, msgspec.Struct)
    and struct.__module__ == module.__name__
    and name not in ("Spec", "Part")
]


@pytest.mark.parametrize(("struct", "message"), PAIRS, ids=lambda c: c.__name__)
def test_model_and_proto_have_the_same_fields(struct: type[msgspec.Struct], message: type) -> None:
    ours = {field.name for field in fields_of(struct, message)}
    assert ours == set(message.DESCRIPTOR.fields_by_name)  # type: ignore[attr-defined]


def test_defaults_other_than_zero_survive_as_zero() -> None:
    policy = specs.RestartPolicy(condition=RestartCondition.NONE, delay_ns=0)
    assert from_message(to_message(policy, specs_pb2.RestartPolicy), specs.RestartPolicy) == policy


def test_a_list_that_is_as_it_is_by_default_arrives() -> None:
    spec = specs.ClusterSpec()
    assert spec.address_pools, "the default is a list that is not empty"
    assert from_message(to_message(spec, specs_pb2.ClusterSpec), specs.ClusterSpec) == spec


def test_what_is_absent_decodes_as_the_default() -> None:
    assert from_message(specs_pb2.ServiceSpec(), specs.ServiceSpec) == specs.ServiceSpec()


def test_an_unknown_exit_code_differs_from_zero() -> None:
    unknown, zero = objects.TaskStatus(), objects.TaskStatus(exit_code=0)
    for status in (unknown, zero):
        assert from_message(to_message(status, objects_pb2.TaskStatus), objects.TaskStatus) == status


def test_a_number_no_enumeration_knows_is_refused_by_name() -> None:
    message = objects_pb2.TaskStatus(state=7)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="state: 7 is not one of new=0"):
        from_message(message, objects.TaskStatus)
    assert from_message(objects_pb2.TaskStatus(), objects.TaskStatus).state is TaskState.NEW


@pytest.mark.parametrize("value", [specs.Resources(pids=1 << 63), specs.RegistryAuth(username="\udcff")])
def test_what_the_wire_cannot_carry_is_refused(value: msgspec.Struct) -> None:
    message_type = getattr(specs_pb2, type(value).__name__)
    with pytest.raises(InvalidArgument, match=f"{type(value).__name__}: a value cannot be sent"):
        to_message(value, message_type)
