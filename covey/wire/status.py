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
    InvalidArgument,
    NotFound,
    PeerFault,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)

log = logging.getLogger(__name__)

INTERNAL_ERROR = "internal error"

# Sent with a status that a handler raised, to tell it from those that grpc makes up.
RAISED = (("covey-raised", "1"),)

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


def from_status(code: StatusCode, details: str, address: str, *, raised: bool) -> CoveyError:
    """Make of a status the error that the other side raised; `address` says whose silence it is.

    `raised` tells that a handler on the other side chose the words; else grpc did.
    """
    if code is StatusCode.UNAVAILABLE:
        return Unavailable(details if raised else f"{address} cannot be reached: {_reason(details, address)}")
    if code is StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"{address} did not answer in time")
    if code is StatusCode.CANCELLED:
        return Unavailable(f"{address} ended the call")
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
