"""What goes down to agents as messages: a table, or a change of one, made once for all the nodes it goes to.

When the leader changes, every node of a network asks for its table at once. A table of ten thousand rows takes 65 ms to
be made a message: for a hundred nodes one after another that would be seconds in which the leader says nothing else.
"""

from dataclasses import dataclass, field

from covey import limits
from covey.model.assignments import Assignments
from covey.model.tables import NetworkTable, NetworkTableDelta
from covey.v1 import assignments_pb2, tables_pb2
from covey.v1.dispatcher_pb2 import ManagerMessage
from covey.wire.codec import to_message


@dataclass(slots=True)
class _Made:
    of: NetworkTable | NetworkTableDelta
    message: ManagerMessage
    used_ms: int


@dataclass(slots=True)
class Encoder:
    """Makes messages, and remembers those of tables for a while. A message is not to be changed by who gets it."""

    made: dict[tuple[str, bool], _Made] = field(default_factory=dict[tuple[str, bool], _Made])

    def encode(self, message: Assignments | NetworkTable | NetworkTableDelta, now_ms: int) -> ManagerMessage:
        """The message that carries `message`: the same object for the same table."""
        match message:
            case Assignments():
                return ManagerMessage(assignments=to_message(message, assignments_pb2.Assignments))
            case NetworkTable() | NetworkTableDelta():
                key = message.network_id, isinstance(message, NetworkTable)
                known = self.made.get(key)
                if known is None or known.of is not message:
                    known = self.made[key] = _Made(message, _encoded(message), now_ms)
                known.used_ms = now_ms
                return known.message

    def forget(self, now_ms: int) -> None:
        """Let go of what nobody asked for lately: it is as large as the table."""
        stale_ms = now_ms - limits.encoded_table_kept_ms
        for key in [key for key, made in self.made.items() if made.used_ms < stale_ms]:
            del self.made[key]


def _encoded(message: NetworkTable | NetworkTableDelta) -> ManagerMessage:
    if isinstance(message, NetworkTable):
        return ManagerMessage(table=to_message(message, tables_pb2.NetworkTable))
    return ManagerMessage(table_delta=to_message(message, tables_pb2.NetworkTableDelta))
