"""Identifiers: 25 base-36 characters, 128 random bits, never reused.

The types are distinct for the reader and the type checker; at run time each is a plain string. The dice
are an argument, so that deciding code stays deterministic.
"""

from random import Random
from typing import NewType

ClusterId = NewType("ClusterId", str)
NodeId = NewType("NodeId", str)
ServiceId = NewType("ServiceId", str)
RevisionId = NewType("RevisionId", str)
TaskId = NewType("TaskId", str)
NetworkId = NewType("NetworkId", str)
EndpointId = NewType("EndpointId", str)
SessionId = NewType("SessionId", str)

LENGTH = 25
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id(dice: Random) -> str:
    """Draw a fresh identifier from `dice` (128 bits, padded to 25 base-36 digits)."""
    number = dice.getrandbits(128)
    digits = []
    for _ in range(LENGTH):
        number, digit = divmod(number, 36)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def is_id(text: str) -> bool:
    """Tell whether `text` has the form of an identifier."""
    return len(text) == LENGTH and all(c in ALPHABET for c in text)
