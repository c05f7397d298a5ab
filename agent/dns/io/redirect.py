"""Leads 127.0.0.11:53 to our sockets' ports, by nftables in the container's namespace.

`redirect` would rewrite the address to 127.0.0.1, where nobody listens, so it is a DNAT to 127.0.0.11
itself. The chain comes before that of the virtual addresses (-100); the table is replaced as a whole.
"""

from pathlib import Path

from agent.network.firewall import Balance, Base, Chain, Hook, Table, Target, ToAddress, ToPort
from agent.network.io.nftables import readback
from agent.network.io.nftables.transactions import commit
from agent.network.io.wire import NETLINK_NETFILTER, Channel
from agent.network.ops import ReplaceTable
from covey import limits

TABLE = "covey_dns"

_PRIORITY = -110
_DNS_PORT = 53


def redirect_port_53(path: Path, udp_port: int, tcp_port: int) -> None:
    """Replace the table in the namespace at `path`. Raises OSError with the kernel's reason."""
    with Channel(NETLINK_NETFILTER, path) as channel:
        failures = commit(channel, ReplaceTable(str(path), _table(udp_port, tcp_port)))
    if failures:
        raise OSError(failures[0].number, f"nftables rules for port 53: {failures[0]}", str(path))


def redirected(path: Path, udp_port: int, tcp_port: int) -> bool:
    """Tell whether the table stands in the namespace at `path`, as it should. Raises OSError if nobody can tell."""
    with Channel(NETLINK_NETFILTER, path) as channel:
        return readback.tables(channel, {TABLE}).get(TABLE) == _table(udp_port, tcp_port).view()


def _table(udp_port: int, tcp_port: int) -> Table:
    to_us = ToAddress(f"{limits.dns_address}/32")
    rules = tuple(
        (to_us, ToPort(protocol, _DNS_PORT), Balance((Target(limits.dns_address, port),)))
        for protocol, port in (("udp", udp_port), ("tcp", tcp_port))
    )
    return Table(TABLE, (Chain("output", rules, Base("nat", Hook.OUTPUT, _PRIORITY)),))
