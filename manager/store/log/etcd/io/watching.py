"""Following a range of keys from a revision on."""

from collections.abc import AsyncGenerator
from typing import Any

from .client import Compacted, Etcd, Stream


async def watch(
    etcd: Etcd, key: bytes, end: bytes, revision: int, *, deletions: bool
) -> AsyncGenerator[list[Any], None]:
    """Give the events of the keys from `key` up to `end`, from `revision` on, as etcd bundles them; without end.

    Raises `Compacted` if etcd has forgotten some of them, `Unavailable` if the stream broke: then read, and watch anew.
    """
    rpc = etcd.rpc
    stream: Stream = await etcd.stream("Watch", "Watch")
    try:
        create = rpc.WatchCreateRequest(key=key, range_end=end, start_revision=revision)
        if not deletions:
            create.filters.append(rpc.WatchCreateRequest.NODELETE)
        await stream.ask(rpc.WatchRequest(create_request=create))
        while True:
            answer = await stream.answer()
            if answer.compact_revision:
                raise Compacted(f"etcd keeps its history from revision {answer.compact_revision} on")
            if answer.canceled:
                raise Compacted(f"etcd ended a watch: {answer.cancel_reason or 'no reason given'}")
            if answer.events:
                yield list(answer.events)
    finally:
        stream.cancel()
