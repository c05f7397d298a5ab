"""Snapshots as bytes: all objects at one index, in chunks small enough to be sent one by one."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Raw

from covey import errors, limits
from covey.model.objects import Object

from .entry import decode_object, encode_object
from .kinds import Kind
from .tables import Tables

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[int, Raw]])


def encode(rows_by_kind: Mapping[Kind, Mapping[str, Object]]) -> Iterator[bytes]:
    """Give the chunks of what `Tables.objects` gave; each can be read by itself."""
    chunk: list[tuple[int, Raw]] = []
    size = 0
    for rows in rows_by_kind.values():
        for obj in rows.values():
            tag, raw = encode_object(obj)
            chunk.append((tag, raw))
            size += len(memoryview(raw))
            if size >= limits.snapshot_chunk_bytes:
                yield _encoder.encode(chunk)
                chunk, size = [], 0
    if chunk:
        yield _encoder.encode(chunk)


def decode(index: int, chunks: Iterable[bytes]) -> Tables:
    """Build the tables a snapshot was taken of; raises `Corrupt`."""
    return Tables(index, objects(chunks))


def objects(chunks: Iterable[bytes]) -> Iterator[Object]:
    """Give the objects of a snapshot one by one; raises `Corrupt`."""
    for chunk in chunks:
        try:
            rows = _decoder.decode(chunk)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise errors.Corrupt(f"a chunk of a snapshot cannot be read ({error})") from error
        for tag, raw in rows:
            yield decode_object(tag, raw)
