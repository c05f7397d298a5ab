"""The model on the wire: structs to protobuf messages and back, by field name.

One rule serves every type: a struct field and the message field of the same name mean the same thing, so
no object needs a converter of its own. A test holds every model field to a proto field. What travels is
what differs from the default, and what is absent decodes as the default.
"""

import types
import typing
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar

import msgspec
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from covey.errors import Bug, InvalidArgument

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=Message)
S = TypeVar("S", bound=msgspec.Struct)


def _once(function: F) -> F:
    """Remember results per argument types (`functools.cache` as the type checkers see it loses them)."""
    return typing.cast(F, cache(function))


def to_message(value: msgspec.Struct, message_type: type[M]) -> M:
    """Turn `value` into a message of the like-named type.

    Raises:
        InvalidArgument: a number is too large for its field, or a text is not Unicode.
    """
    return typing.cast(M, _encoder(type(value), message_type)(value))


def from_message(message: Message, struct_type: type[S]) -> S:
    """Turn `message` into a struct.

    Raises:
        InvalidArgument: a field holds a number that its enumeration does not know.
    """
    return typing.cast(S, _decoder(struct_type, type(message))(message))


class _Field(msgspec.Struct, frozen=True):
    """How one field is carried."""

    name: str
    default: Any
    element: type
    shape: str  # scalar, struct, list, map
    presence: bool
    message_type: type[Message] | None


def _element(annotation: Any) -> tuple[type, str]:
    """Take a field's annotation apart: the type of its elements, and the shape they come in."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is tuple:
        return arguments[0], "list"
    if origin is dict:
        return str, "map"
    if origin in (types.UnionType, typing.Union):
        annotation = next(a for a in arguments if a is not type(None))
    return annotation, "struct" if issubclass(annotation, msgspec.Struct) else "scalar"


@_once
def fields_of(struct_type: type[msgspec.Struct], message_type: type[Message]) -> tuple[_Field, ...]:
    """Pair the fields of a struct with those of its message.

    Raises:
        Bug: a struct field has no message field of its name.
    """
    hints = typing.get_type_hints(struct_type)
    descriptors = {descriptor.name: descriptor for descriptor in message_type.DESCRIPTOR.fields}
    pairs = []
    for field in msgspec.structs.fields(struct_type):
        descriptor = descriptors.get(field.name)
        if descriptor is None:
            raise Bug(
                f"{struct_type.__name__}.{field.name} has no field in {message_type.DESCRIPTOR.full_name}"
            )
        element, shape = _element(hints[field.name])
        nested = None
        if issubclass(element, msgspec.Struct):
            nested = GetMessageClass(typing.cast(Descriptor, descriptor.message_type))
        # Absence of a list is an empty one: the message has no presence for it, whatever our default is.
        default = {} if shape == "map" else () if shape == "list" else field.default
        pairs.append(_Field(field.name, default, element, shape, descriptor.has_presence, nested))
    return tuple(pairs)


def _encode_field(field: _Field) -> Callable[[Any], Any]:
    if field.message_type is None:
        return list if field.shape == "list" else dict if field.shape == "map" else lambda value: value
    encode = _encoder(field.element, field.message_type)
    return (lambda values: [encode(v) for v in values]) if field.shape == "list" else encode


@_once
def _encoder(struct_type: type[msgspec.Struct], message_type: type[Message]) -> Callable[[Any], Message]:
    plan = [(f.name, f.default, _encode_field(f)) for f in fields_of(struct_type, message_type)]

    def encode(value: msgspec.Struct) -> Message:
        present = {}
        for name, default, convert in plan:
            item = getattr(value, name)
            if item is not default and item != default:
                present[name] = convert(item)
        try:
            return message_type(**present)
        except ValueError as error:  # a number too large, a text that is not one
            raise InvalidArgument(f"{struct_type.__name__}: a value cannot be sent ({error})") from error

    return encode


def _enumerated(enumeration: type[IntEnum], name: str) -> Callable[[int], IntEnum]:
    members = {int(member): member for member in enumeration}

    def decode(number: int) -> IntEnum:
        member = members.get(number)
        if member is None:
            known = ", ".join(f"{m.name.lower()}={int(m)}" for m in enumeration)
            raise InvalidArgument(f"{name}: {number} is not one of {known}; is the peer of a newer version?")
        return member

    return decode


def _decode_field(field: _Field) -> Callable[[Any], Any]:
    one: Callable[[Any], Any] = lambda value: value  # noqa: E731  the identity, to be replaced below
    if field.message_type is not None:
        one = _decoder(field.element, field.message_type)
    elif issubclass(field.element, IntEnum):
        one = _enumerated(field.element, field.name)
    if field.shape == "list":
        return lambda values: tuple([one(v) for v in values])
    return dict if field.shape == "map" else one


@_once
def _decoder(
    struct_type: type[msgspec.Struct], message_type: type[Message]
) -> Callable[[Any], msgspec.Struct]:
    plan = [(f.name, f.presence, _decode_field(f)) for f in fields_of(struct_type, message_type)]

    def decode(message: Message) -> msgspec.Struct:
        present = {}
        for name, presence, convert in plan:
            if presence and not message.HasField(name):
                continue
            present[name] = convert(getattr(message, name))
        return struct_type(**present)

    return decode
