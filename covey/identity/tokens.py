"""Join tokens: `COVEY-1-<digest>-<secret>`.

The digest (SHA-256 of the root certificate, base 36) lets a host that trusts nobody yet know the cluster
it is told to join; the secret lets the cluster know that the host was told. Which of the two secrets
it is decides the role.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives import serialization

from covey.errors import InvalidArgument
from covey.ids import ALPHABET, LENGTH, is_id

from .certificates import load_root

_VERSION = "1"
_PREFIX = f"COVEY-{_VERSION}-"
_DIGEST_CHARS = 50  # 36**50 > 2**256
_FORM = re.compile(rf"{_PREFIX}([0-9a-z]{{{_DIGEST_CHARS}}})-([0-9a-z]{{{LENGTH}}})")
_HINT = "get one with `covey join-token worker` on a manager"


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token taken apart. Shown in full only by `str`; its `repr` keeps the secret out of logs."""

    digest: str
    secret: str

    def __str__(self) -> str:
        """Write the token as people hand it around."""
        return f"{_PREFIX}{self.digest}-{self.secret}"

    def __repr__(self) -> str:
        """Name the token without giving it away."""
        return f"JoinToken({self.digest!r}, ...)"


def parse_token(text: str) -> JoinToken:
    """Take a token apart; raises `InvalidArgument` that says what is wrong, without the secret."""
    text = text.strip()
    if text.startswith("SWMTKN-"):
        raise InvalidArgument(f"this is a Docker Swarm token, not a Covey token; {_HINT}")
    if not text.startswith("COVEY-"):
        raise InvalidArgument(f"a join token begins with {_PREFIX!r}; {_HINT}")
    version = text.split("-")[1]
    if version != _VERSION:
        raise InvalidArgument(
            f"the token is of version {version[:8]!r}, this node knows version {_VERSION!r}; "
            "run the same version of Covey as the manager"
        )
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidArgument(
            f"the token is damaged ({len(text)} characters, not {len(_PREFIX) + _DIGEST_CHARS + 1 + LENGTH} "
            f"lower-case letters and digits); copy all of it, or {_HINT}"
        )
    return JoinToken(match[1], match[2])


def root_digest(root_certificate_pem: bytes) -> str:
    """Give the digest of a root certificate as tokens carry it: base 36, 50 characters, over the DER form."""
    der = load_root(root_certificate_pem).public_bytes(serialization.Encoding.DER)
    number = int.from_bytes(sha256(der).digest(), "big")
    digits = []
    for _ in range(_DIGEST_CHARS):
        number, digit = divmod(number, 36)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def make_token(digest: str, secret: str) -> JoinToken:
    """Put a token together from a root's digest and a secret (an id from strong dice)."""
    assert is_id(secret), "a secret has the form of an id"
    return JoinToken(digest, secret)
