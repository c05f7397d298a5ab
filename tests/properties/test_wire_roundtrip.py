"""Any object survives the wire and the disk unchanged."""

import enum
import typing
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from covey.model.objects import KINDS, Object
from covey.v1 import objects_pb2
from covey.wire.codec import from_message, to_message

SCALARS: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(alphabet=st.characters(codec="utf-8"), max_size=5),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    type(None): st.none(),
}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Draw values of a field's type; every field is drawn, so that no default hides a loss."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(SCALARS[str], SCALARS[str], max_size=2)
    if arguments:
        return st.one_of([values(argument) for argument in arguments])
    if issubclass(annotation, msgspec.Struct):
        return st.builds(annotation, **{n: values(t) for n, t in typing.get_type_hints(annotation).items()})
    return st.sampled_from(annotation) if issubclass(annotation, enum.Enum) else SCALARS[annotation]


objects = st.one_of([values(kind) for kind in KINDS])


@given(objects)
def test_the_wire_keeps_every_object(value: Object) -> None:
    message = to_message(value, getattr(objects_pb2, type(value).__name__))
    again = type(message).FromString(message.SerializeToString())
    assert from_message(again, type(value)) == value


@given(objects)
def test_the_disk_keeps_every_object(value: Object) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type(value)) == value
