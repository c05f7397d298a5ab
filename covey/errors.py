"""The errors Covey raises on purpose, told apart by whose fault they are.

Three families answer the reader's first question. `Refused`: somebody asked for what cannot be had, and
the message says what was wrong, with the value, and what to do. `PeerFault`: another program or machine
broke the rules. `Bug`: we did. Everything else that escapes is a `Bug` nobody has named yet.
"""


class CoveyError(Exception):
    """The root of the family; never raised itself."""


class Refused(CoveyError):
    """A request that cannot be granted. The message names the value and the remedy."""


class InvalidArgument(Refused):
    """A value is malformed or contradicts another one; asking again unchanged cannot help."""


class NotFound(Refused):
    """The object named does not exist."""


class AlreadyExists(Refused):
    """The name is taken."""


class Conflict(Refused):
    """The object changed since it was read: read it again and repeat the request."""


class FailedPrecondition(Refused):
    """The request is sound, but not in the present state (a network still in use, a node still up)."""


class PermissionDenied(Refused):
    """The caller is known and may not do this."""


class Unauthenticated(Refused):
    """The caller's certificate or token proves nothing here: wrong, expired or of another cluster."""


class ResourceExhausted(Refused):
    """A pool or a bound is used up (addresses, ports, queue places)."""


class Unavailable(CoveyError):
    """Somebody who should answer does not, for now; trying again may help."""


class LogFailed(Unavailable):
    """The log can no longer promise durability and has stopped; only opening it anew can help."""


class NotLeader(Unavailable):
    """This manager does not lead, so it can order nothing; nothing was written."""


class Unreachable(Unavailable):
    """Nobody could be reached: the request was not even sent."""


class Interrupted(Unavailable):
    """A request was sent and no answer came: nobody knows whether it was carried out."""


class PeerFault(CoveyError):
    """A peer sent what the protocol does not allow."""


class Corrupt(CoveyError):
    """Bytes on our own disk are not what was written there. The message names file and remedy."""


class Bug(CoveyError):
    """We broke our own rule."""
