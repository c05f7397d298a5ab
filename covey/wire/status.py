"""Our errors as gRPC statuses, and back, so that a refusal reads the same on both sides of the wire."""

import logging

from grpc import StatusCode

from covey import limits
from covey.errors import (
    AlreadyExists,
    Bug,
    Conflict,
    CoveyError,
    FailedPrecondition,
    Interrupted,
    InvalidArgument,
    NotFound,
    NotLeader,
    PeerFault,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unreachable,
)

log = logging.getLogger(__name__)

INTERNAL_ERROR = "internal error"

# Sent with a status that a handler raised, to tell it from those that grpc makes up. What did not happen
# because the manager does not lead may be asked of another one, so that is told apart from other troubles.
RAISED_KEY = "covey-raised"
_RAISED, _RAISED_NOT_LEADER = "1", "not-leader"
# Said of a connection that did not come about; after any other loss nobody knows how far a request came.
_NOT_SENT = "failed to connect to all addresses"

_CODES: dict[type[CoveyError], StatusCode] = {
    InvalidArgument: StatusCode.INVALID_ARGUMENT,
    NotFound: StatusCode.NOT_FOUND,
    AlreadyExists: StatusCode.ALREADY_EXISTS,
    Conflict: StatusCode.ABORTED,
    FailedPrecondition: StatusCode.FAILED_PRECONDITION,
    PermissionDenied: StatusCode.PERMISSION_DENIED,
    Unauthenticated: StatusCode.UNAUTHENTICATED,
    ResourceExhausted: StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: StatusCode.UNAVAILABLE,
}
_ERRORS = {code: kind for kind, code in _CODES.items()}


def to_status(error: BaseException) -> tuple[StatusCode, str]:
    """Say an error as a status. What is not ours to tell is logged here, with its traceback."""
    if isinstance(error, PeerFault):  # to the peer, a broken rule is an argument that was wrong
        error = InvalidArgument(str(error))
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind], str(error)[: limits.status_message_chars_max]
    log.error("a request failed for a reason nobody has named yet", exc_info=error)
    return StatusCode.INTERNAL, INTERNAL_ERROR


def raised_by(error: BaseException) -> tuple[tuple[str, str], ...]:
    """Give the metadata that tells the caller who chose the words."""
    return ((RAISED_KEY, _RAISED_NOT_LEADER if isinstance(error, NotLeader) else _RAISED),)


def from_status(code: StatusCode, details: str, address: str, *, raised: str) -> CoveyError:
    """Make of a status the error that the other side raised; `address` says whose silence it is.

    `raised` is what came under `RAISED_KEY`: a handler on the other side chose the words; else grpc did.
    """
    if code is StatusCode.UNAVAILABLE and raised:
        return NotLeader(details) if raised == _RAISED_NOT_LEADER else Unavailable(details)
    if code is StatusCode.UNAVAILABLE:
        sentence = f"{address} cannot be reached: {_reason(details, address)}"
        return Unreachable(sentence) if _NOT_SENT in details else Interrupted(sentence)
    if code is StatusCode.DEADLINE_EXCEEDED:
        return Interrupted(f"{address} did not answer in time")
    if code is StatusCode.CANCELLED:
        return Interrupted(f"{address} ended the call")
    if code is StatusCode.UNIMPLEMENTED:
        return Unavailable(
            f"{address} does not serve this request ({details}): is it another program or version?"
        )
    if code in _ERRORS and raised:
        return _ERRORS[code](details)
    return Bug(f"{address} answered {code.name}: {details}; its log says more")


def _reason(details: str, address: str) -> str:
    """Take the point out of grpc's long story: `... last error: UNKNOWN: ipv4:ADDRESS: reason`."""
    reason = details.rpartition("last error: ")[2].rpartition(f"{address}: ")[2].rpartition(" error: ")[2]
    return reason.removeprefix("Failed to connect to remote host: ") or "the connection was lost"
