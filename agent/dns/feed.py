"""What the agent tells the DNS server, and how it travels: length-prefixed msgpack frames on a unix socket.

Every request carries a sequence number and is answered by one `Verdict`. Requests state what shall be, so that
sending one twice does no harm and a new connection simply sends everything again, ending with `Retain`, which
drops what the agent no longer knows. The one exception saves work: `ChangeTable` follows a table that this
connection has carried before, and says which version it changes.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from covey import limits
from covey.errors import PeerFault
from covey.model.tables import NetworkTable, NetworkTableDelta

LENGTH_BYTES = 4


class Message(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What all messages share."""


class Upstream(Message, frozen=True):
    """A server for other people's names.

    `from_node` asks from the node's network namespace, as is right for the node's own resolvers (which may
    listen on its loopback). Otherwise the question leaves from the container's namespace, as is right for
    servers a user named: they may be containers on an overlay.
    """

    address: str
    port: int = 53
    from_node: bool = True


class ResolverNetwork(Message, frozen=True):
    """A network the container is on. `name` lets `web.NAME` be asked for; empty means it cannot."""

    network_id: str
    name: str = ""


class Resolver(Message, frozen=True):
    """One container's name server. The first network that knows a name answers.

    `netns` is the path of the container's network namespace. `search`, `ndots` and `options` are what its
    resolv.conf says; the server itself only uses `ndots`: if a user set it, single-label names that no
    network knows are not asked elsewhere.
    """

    task_id: str
    netns: str
    networks: tuple[ResolverNetwork, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int | None = None
    options: tuple[str, ...] = ()


class SetTable(Message, frozen=True, tag="table"):
    """This is the table of one network now."""

    table: NetworkTable


class ChangeTable(Message, frozen=True, tag="change"):
    """The table of one network has changed so. Only for a server that has the version it applies to."""

    change: NetworkTableDelta


class DropTable(Message, frozen=True, tag="drop-table"):
    """The network is gone from this node."""

    network_id: str


class SetResolver(Message, frozen=True, tag="resolver"):
    """This container shall be served. The verdict comes once its sockets are open."""

    resolver: Resolver


class DropResolver(Message, frozen=True, tag="drop-resolver"):
    """This container is gone."""

    task_id: str


class Retain(Message, frozen=True, tag="retain"):
    """These exist and nothing else: drop every other table and resolver."""

    network_ids: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()


class Ask(Message, frozen=True, tag="ask"):
    """Say what you serve; with `anew`, work all names out anew first, and lead every port 53 here again."""

    anew: bool = False


class Tally(Message, frozen=True, tag="tally"):
    """Say what you have dropped."""


Body = SetTable | ChangeTable | DropTable | SetResolver | DropResolver | Retain | Ask | Tally


class Request(Message, frozen=True):
    """One wish of the agent, numbered from 1 on each connection."""

    seq: int
    body: Body


class Serving(Message, frozen=True):
    """What is served: a digest of each network's names (`serving.fingerprint`), and the containers.

    `unled` are those whose port 53 does not lead here, with why.
    """

    zones: dict[str, str] = {}
    task_ids: tuple[str, ...] = ()
    unled: dict[str, str] = {}


class Verdict(Message, frozen=True):
    """The server's answer to request `seq`; an empty `error` means done. `serving` answers `Ask`.

    `dropped` answers `Tally`: by container and reason, how much of what came from there was dropped since it was opened.
    """

    seq: int
    error: str = ""
    serving: Serving | None = None
    dropped: dict[str, dict[str, int]] | None = None


Frame = TypeVar("Frame", Request, Verdict)


def frame(message: Request | Verdict) -> bytes:
    """Return `message` as it travels. Raises ValueError if it is over the bound."""
    body = msgspec.msgpack.encode(message)
    if len(body) > limits.dns_frame_bytes_max:
        raise ValueError(f"a message of {len(body)} bytes is over the {limits.dns_frame_bytes_max} allowed")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class Deframer(Generic[Frame]):
    """Cuts a byte stream into messages of one type."""

    def __init__(self, kind: type[Frame]) -> None:
        self._decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes, yield the messages they complete; raises PeerFault on foreign bytes."""
        self._buffer += data
        while len(self._buffer) >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
            if length > limits.dns_frame_bytes_max:
                raise PeerFault(
                    f"a frame of {length} bytes on the DNS feed, over the {limits.dns_frame_bytes_max} "
                    "allowed: agent and DNS server must be of one version, restart coveyd"
                )
            end = LENGTH_BYTES + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[LENGTH_BYTES:end])
            del self._buffer[:end]
            try:
                yield self._decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise PeerFault(
                    f"a frame on the DNS feed cannot be read ({error}); agent and DNS server must be of one "
                    "version: restart coveyd"
                ) from error
