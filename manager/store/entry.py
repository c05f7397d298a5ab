"""Log entries as bytes: a transaction, its proposer's time, and a number to know one's own proposal by.

The first byte is the format. What follows is msgpack: versions expected, objects put (each as its kind's
tag and its own bytes), keys deleted. Entries stay readable for ever: a new layout gets a new format byte,
and the old decoder stays.
"""

import msgspec
from msgspec import Raw, Struct

from covey import errors, limits
from covey.model.objects import Object

from .kinds import KIND_OF_TAG, TAGS, Kind, noun
from .transaction import Expect, Key, Transaction

FORMAT = 1


class Entry(Struct, frozen=True):
    """A transaction on its way through the log.

    `at_ns` is the proposer's UTC time. `proposal` is unique to the proposal while it is in flight, and
    means nothing to anyone but the proposer.
    """

    transaction: Transaction
    at_ns: int = 0
    proposal: int = 0


class _Body(Struct, frozen=True, array_like=True):
    proposal: int
    at_ns: int
    expect: list[tuple[int, str, int]]
    put: list[tuple[int, Raw]]
    delete: list[tuple[int, str]]


_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(_Body)
_object_decoders = {tag: msgspec.msgpack.Decoder(kind) for tag, kind in KIND_OF_TAG.items()}


def encode_object(obj: Object) -> tuple[int, Raw]:
    """Give an object's tag and bytes."""
    return TAGS[type(obj)], Raw(_encoder.encode(obj))


def decode_object(tag: int, data: Raw | bytes) -> Object:
    """Read an object back; raises `Corrupt`."""
    try:
        decoder = _object_decoders[tag]
    except KeyError:
        raise errors.Corrupt(f"objects of kind {tag} are unknown to this version; {_UPGRADE}") from None
    try:
        obj: Object = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Corrupt(
            f"a stored {noun(KIND_OF_TAG[tag])} cannot be read ({error}); {_UPGRADE}"
        ) from error
    return obj


def encode(entry: Entry) -> bytes:
    """Give the bytes of an entry; raises `ResourceExhausted` if it is larger than an entry may be.

    Raises `Bug` if an object holds what its type does not allow.
    """
    data = _encode(entry)
    if len(data) > limits.entry_bytes_max:
        raise errors.ResourceExhausted(
            f"the change is too large: {len(data)} bytes, and at most {limits.entry_bytes_max} can be "
            "committed at once; change fewer objects at a time"
        )
    try:
        decode(data)
    except errors.Corrupt as error:
        # Once in the log it would stop every manager, at every start, for ever.
        raise errors.Bug(f"a transaction that nobody could read back: {error}") from error
    return data


def encoded_bytes(entry: Entry) -> int:
    """Say how large an entry is."""
    return len(_encode(entry))


def _encode(entry: Entry) -> bytes:
    transaction = entry.transaction
    body = _Body(
        entry.proposal,
        entry.at_ns,
        [(TAGS[expect.kind], expect.id, expect.version) for expect in transaction.expect],
        [encode_object(obj) for obj in transaction.put],
        [(TAGS[key.kind], key.id) for key in transaction.delete],
    )
    return bytes((FORMAT,)) + _encoder.encode(body)


def decode(data: bytes) -> Entry:
    """Read an entry back; raises `Corrupt`."""
    if data[:1] != bytes((FORMAT,)):
        raise errors.Corrupt(
            f"a log entry has format {data[:1].hex() or 'nothing'}, not {FORMAT}; {_UPGRADE}"
        )
    try:
        body = _body_decoder.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Corrupt(f"a log entry cannot be read ({error}); {_UPGRADE}") from error
    transaction = Transaction(
        tuple(Expect(_kind(tag), id, version) for tag, id, version in body.expect),
        tuple(decode_object(tag, raw) for tag, raw in body.put),
        tuple(Key(_kind(tag), id) for tag, id in body.delete),
    )
    return Entry(transaction, body.at_ns, body.proposal)


def _kind(tag: int) -> Kind:
    try:
        return KIND_OF_TAG[tag]
    except KeyError:
        raise errors.Corrupt(f"objects of kind {tag} are unknown to this version; {_UPGRADE}") from None


_UPGRADE = "if a newer version of Covey wrote it, run that one; else restore the state from a backup"
