"""Looks through sqlite's write-ahead file for damage that sqlite would take for its end.

A frame that fails its checksum ends the file for sqlite, whatever follows: a power loss may have torn the
last transaction, which nobody was told of. But a byte that changed in an earlier one would undo in silence
what was acknowledged. The two can be told apart: every commit is fsynced before the next transaction is
written, and a frame's checksum goes on from that of the frame before. So a frame that continues a commit
proves that the commit was durable; if sqlite would not get as far as that commit, the file is damaged.
Damage to the last transaction, or to the header of the frame before it, looks like a torn end and cannot be
found.

(The format: sqlite's "Database File Format", section 4, "The Write-Ahead Log".)
"""

import struct
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoints, salts, checksums
_FRAME = struct.Struct(">6I")  # page, pages after a commit or 0, salts, checksums
_SUMMED_BYTES = 8  # of the frame's header, and then the page
_MAGIC = 0x377F0682  # the last bit says in which byte order checksums are added up
_PAGE_BYTES = 4096  # of what we write
_MASK = 0xFFFFFFFF
_Pair = tuple[int, int]


class _Frame(Struct, frozen=True):
    commits: bool
    salts: _Pair  # those of the round; what an earlier one left further on, once brought home, has others
    sums: _Pair  # as they stand there
    summed: bytes

    def continues(self, sums: _Pair, swapped: bool) -> bool:
        """Say whether this was written after something with those sums."""
        return _add(self.summed, sums, swapped) == self.sums


def lost_frame(path: Path) -> int | None:
    """Give the number of a frame whose commit was durable and that sqlite would not reach, if there is one."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return None
        magic, _, page_bytes, _, *salts, one, two = _HEADER.unpack(header)
        swapped = (magic & 1) != (sys.byteorder == "big")
        sums = (one, two)
        sound = magic & ~1 == _MAGIC and _add(header[:24], (0, 0), swapped) == sums
        if not sound:
            page_bytes, swapped = _PAGE_BYTES, sys.byteorder == "big"
        before: _Frame | None = None
        for number, frame in enumerate(_frames(file, page_bytes)):
            if number == 0 and not sound:
                salts = list(frame.salts)
            this_round = frame.salts == tuple(salts)
            if sound:
                sound = this_round and frame.continues(sums, swapped)
                sums = frame.sums
            elif (
                before is not None and before.commits and this_round and frame.continues(before.sums, swapped)
            ):
                return number - 1
            before = frame
    return None


def _frames(file: BinaryIO, page_bytes: int) -> Iterator[_Frame]:
    while len(data := file.read(_FRAME.size + page_bytes)) == _FRAME.size + page_bytes:
        _, pages, salt, pepper, one, two = _FRAME.unpack_from(data)
        summed = data[:_SUMMED_BYTES] + data[_FRAME.size :]
        yield _Frame(bool(pages), (salt, pepper), (one, two), summed)


def _add(data: bytes, sums: _Pair, swapped: bool) -> _Pair:
    words = array("I", data)
    if swapped:
        words.byteswap()
    one, two = sums
    pairs = iter(words)
    for even, odd in zip(pairs, pairs, strict=True):
        one = (one + even + two) & _MASK
        two = (two + odd + one) & _MASK
    return one, two
