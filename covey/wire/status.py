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


def from_status(code: StatusCode, details: str, address: str) -> CoveyError:
    """Make of a status the error that the other side raised; `address` says whose silence it is."""
    if code is StatusCode.UNAVAILABLE:
        before, failed, reason = details.partition("last error: ")
        if failed:  # grpc's own: nobody was reached
            return Unavailable(f"{address} cannot be reached: {reason.rpartition(' error: ')[2]}")
        return Unavailable(f"{address}: {before or 'the connection was lost'}")
    if code is StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"{address} did not answer in time")
    if code is StatusCode.CANCELLED:
        return Unavailable(f"{address} ended the call")
    if code is StatusCode.UNIMPLEMENTED:
        return Unavailable(
            f"{address} does not serve this request ({details}): is it another program or version?"
        )
    if code in _ERRORS:
        return _ERRORS[code](details)
    return Bug(f"{address} answered {code.name}: {details}; its log says more")
