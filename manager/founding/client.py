"""Asking other managers: to be let in, and whether the cluster went on without this one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from covey import limits
from covey.errors import AlreadyExists, CoveyError, Unavailable
from covey.identity import NodeIdentity
from covey.v1 import control_pb2, raft_pb2
from covey.wire.client import connect_control
from covey.wire.services import Control, Raft
from manager.raft.entry import Membership
from manager.raft.seam import Removed

log = logging.getLogger(__name__)

LoadIdentity = Callable[[], NodeIdentity]


class Candidate(Struct, frozen=True):
    """What a manager says of itself when it asks to be let in."""

    cluster_id: str
    raft_id: int
    address: str


async def join(
    managers: Callable[[], Sequence[str]],
    identity: LoadIdentity,
    own: Candidate,
    tell: Callable[[str], None] = lambda _: None,
) -> Membership:
    """Ask the managers one after the other, again and again, until one lets this manager in.

    This manager must be serving: the leader dials back. What keeps it out is logged whenever that changes, and `tell` is
    told; a manager that is refused today may be let in tomorrow. Raises `Removed` if it can never be, under the id it
    has.
    """
    backoff_ms, told = limits.join_backoff_ms_min, ""
    while True:
        reasons: list[str] = []
        for address in managers():
            try:
                return await ask_to_join(address, identity(), own)
            except Removed:
                raise
            except CoveyError as error:
                reasons.append(f"{address}: {error}")
        reason = "; ".join(reasons) or "this node knows no other manager"
        if reason != told:
            told = reason
            log.warning("not let in by the other managers yet: %s", reason)
            tell(reason)
        await asyncio.sleep(backoff_ms / 1000)
        backoff_ms = min(2 * backoff_ms, limits.join_backoff_ms_max)


async def ask_to_join(address: str, identity: NodeIdentity, own: Candidate) -> Membership:
    """Ask one manager; it forwards to the leader. Raises the errors of the wire, and `Removed`."""
    request = raft_pb2.JoinRaftRequest(cluster_id=own.cluster_id, raft_id=own.raft_id, address=own.address)
    async with connect_control(address, identity) as channel:
        try:
            response = await channel.call(Raft.join_raft, request, limits.join_timeout_s)
        except AlreadyExists as error:  # the id, used up: see manager.roles.admission
            raise Removed(str(error)) from error
    try:
        return msgspec.msgpack.decode(response.membership, type=Membership)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(
            f"{address}: what it answered cannot be read ({error}); are the versions the same?"
        ) from error


AskEpoch = Callable[[str], Awaitable[control_pb2.GetClusterStatusResponse]]


async def ask_epochs(
    addresses: Iterable[str], ask: AskEpoch
) -> list[tuple[str, control_pb2.GetClusterStatusResponse]]:
    """Ask several managers at once how the cluster stands for them; who does not answer in time is left out."""

    async def one(address: str) -> tuple[str, control_pb2.GetClusterStatusResponse] | None:
        try:
            return address, await ask(address)
        except CoveyError:
            return None

    answers = await asyncio.gather(*(one(address) for address in addresses))
    return [answer for answer in answers if answer is not None]


def ask_by(identity: LoadIdentity) -> AskEpoch:
    """Make the way to ask."""

    async def ask(address: str) -> control_pb2.GetClusterStatusResponse:
        async with connect_control(address, identity()) as channel:
            request = control_pb2.GetClusterStatusRequest(local=True)
            return await channel.call(Control.get_cluster_status, request, limits.epoch_ask_timeout_s)

    return ask
