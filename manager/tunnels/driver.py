"""Has the leader look now and then whether tunnels are to get new keys."""

import asyncio
import logging
import time

from covey import limits
from covey.errors import NotLeader, Refused, Unavailable
from covey.model.objects import Cluster
from manager.store.draft import Draft
from manager.store.driver import Store

from .turn import next_turn

log = logging.getLogger(__name__)


async def run_turns(store: Store) -> None:
    """Raise the generation of keys whenever it is time, until cancelled. For the leader."""
    while True:
        due = [each for each in store.all(Cluster) if next_turn(store, each, time.time_ns()) is not None]
        try:
            if due:
                generation = await store.update(_write)
                log.info("tunnels are to have keys of generation %d", generation)
        except (NotLeader, Refused, Unavailable) as error:
            log.warning("tunnels keep their keys a little longer: %s", error)
        await asyncio.sleep(limits.tunnel_rotation_look_s)


def _write(draft: Draft) -> int:
    """Write the turn that is due now, if it still is."""
    generation = 0
    for cluster in draft.all(Cluster):
        changed = next_turn(draft, cluster, time.time_ns())
        if changed is not None:
            draft.put(changed)
        generation = (changed or cluster).tunnels.generation
    return generation
