"""Encryption of what lies in etcd, each value bound to its place.

A value is: flags, the number and the salt it was sealed with (see `manager.raft.io.keys.Seal`), and the sealed bytes.
Each process draws a salt of its own, so readers meet one for every leader there was, and keep the few they saw last.
"""

import secrets
import struct
from collections import OrderedDict

from covey.errors import FailedPrecondition
from manager.raft.io.keys import KEY_BYTES, SALT_BYTES, DataKey, Seal, Unsealable

from .layout import Format, Layout, Part, damaged, encode

_HEAD = struct.Struct(f">BQ{SALT_BYTES}s")
_SALTS_KEPT = 16


class Sealing:
    """Seals and opens one cluster's values. For one thread: two must not draw the same number."""

    def __init__(self, key: bytes, layout: Layout) -> None:
        if len(key) != KEY_BYTES:
            raise FailedPrecondition(
                "STATE/manager/store.msgpack holds no key for what lies in etcd; copy it from another manager"
            )
        self._key = DataKey(key)
        self._layout = layout
        self._salt = secrets.token_bytes(SALT_BYTES)
        self._seal = Seal(self._key, "etcd", self._salt)
        self._others: OrderedDict[bytes, Seal] = OrderedDict()

    @property
    def format(self) -> bytes:
        """What stands beside the log, to tell whether this key reads it."""
        return encode(Format(1, self._layout.cluster_id, self._key.fingerprint))

    def close(self, key: bytes, part: Part) -> bytes:
        """Give the value to put at a key."""
        flags = bytes((part.flags,))
        number, sealed = self._seal.close(part.data, flags + self._layout.place(key))
        return _HEAD.pack(part.flags, number, self._salt) + sealed

    def open(self, key: bytes, value: bytes) -> Part:
        """Read a value; raises `Corrupt` if it is not what was put at this key."""
        try:
            flags, number, salt = _HEAD.unpack_from(value)
            about = bytes((flags,)) + self._layout.place(key)
            return Part(flags, self._of(salt).open(number, value[_HEAD.size :], about))
        except (struct.error, Unsealable) as error:
            raise damaged(key, type(error).__name__) from error

    def _of(self, salt: bytes) -> Seal:
        if salt == self._salt:
            return self._seal
        seal = self._others.pop(salt, None) or Seal(self._key, "etcd", salt)
        self._others[salt] = seal
        if len(self._others) > _SALTS_KEPT:
            self._others.popitem(last=False)
        return seal
