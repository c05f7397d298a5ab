"""The one gate: may this caller do this? Asked before every handler runs, whatever the transport."""

from google.protobuf.message import Message

from covey.errors import PermissionDenied, Unauthenticated

from .service import Caller, Method, Role


def authorize(caller: Caller, action: Method[Message, Message], subject: Message | None) -> None:
    """Raise `PermissionDenied` (or `Unauthenticated`) unless `caller` may do `action` to `subject`.

    `subject` is the request, or None for a stream of requests. Roles decide for now; what a node may do only
    to itself is the handler's to check against `caller.node_id`.
    """
    if Role.ANYONE in action.roles or caller.role in action.roles:
        return
    allowed = ", ".join(sorted(role.value for role in action.roles)) or "nobody"
    sentence = f"{action.service}.{action.name} is for {allowed}; the caller is {caller}"
    if caller.role is Role.ANYONE:
        raise Unauthenticated(sentence)
    raise PermissionDenied(sentence)
