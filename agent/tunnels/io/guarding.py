"""The guard in nf_tables: put in place in one transaction, and read back."""

import errno

from agent.network.firewall import Family
from agent.network.io.nftables.counting import counted
from agent.network.io.nftables.readback import tables
from agent.network.io.nftables.transactions import commit
from agent.network.io.wire import NETLINK_NETFILTER, Channel
from agent.network.ops import RemoveTable, ReplaceTable
from agent.network.state import NODE

from .. import names
from ..guard import PASSING, Drops, digest_of, table
from ..state import Guard
from .wireguard import TunnelFault


def put(guard: Guard) -> None:
    """Put the guard in place of whatever stands of it."""
    with Channel(NETLINK_NETFILTER) as channel:
        failures = commit(channel, ReplaceTable(NODE, table(guard)))
    for failure in failures:
        raise TunnelFault(f"the kernel denies the firewall table {names.GUARD_TABLE}: {failure}")


def remove() -> None:
    """Take the guard away; fine if there is none."""
    with Channel(NETLINK_NETFILTER) as channel:
        failures = commit(channel, RemoveTable(NODE, names.GUARD_TABLE))
    for failure in failures:
        if failure.number != errno.ENOENT:
            raise TunnelFault(f"the firewall table {names.GUARD_TABLE} cannot be removed: {failure}")


def read() -> tuple[str, Drops]:
    """Read the guard back: its digest, "" if there is none; and what it has dropped."""
    with Channel(NETLINK_NETFILTER) as channel:
        standing = tables(channel, {names.GUARD_TABLE}, Family.INET).get(names.GUARD_TABLE)
        if standing is None:
            return "", Drops()
        packets = counted(channel, names.GUARD_TABLE, Family.INET)
    passing = packets.pop(PASSING, 0)
    return digest_of(standing), Drops(packets.total(), passing)
