"""Looking at the host for what would break the networks (`probe` judges it)."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from covey import limits
from covey.io import netns

from .. import names, ops
from ..firewall import (
    FAMILIES,
    Balance,
    Base,
    Chain,
    Dispatch,
    Family,
    FromAddress,
    Hook,
    Jump,
    KeyKind,
    Masquerade,
    OverTcp,
    Reject,
    RejectCode,
    Reset,
    SentTo,
    Table,
    Target,
    ToThisHost,
    Translated,
    VerdictMap,
)
from ..probe import Survey
from ..state import NODE, Kind, Link, Vxlan
from . import dump, sysctl
from .claims import holder
from .nftables.messages import ANY_FAMILY, BODY_OFFSET, FAMILY_NAMES, GETCHAIN, message
from .nftables.transactions import commit
from .observe import filtered
from .places import Places
from .rtnetlink import bridge, veth, vxlan
from .wire import NETLINK_NETFILTER, Channel, Failure, attributes, string

_SCRATCH = "scratch"
_MISSING = {errno.EOPNOTSUPP, errno.ENOENT, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EINVAL}
_WITH_ADDRESSES = (Family.INET, *FAMILIES)
_NF_DROP = 0
_ADDRESSES = {
    Family.IPV4: ("10.0.0.0/8", "127.0.0.1", "127.0.0.2"),
    Family.IPV6: ("fd00::/8", "fd00::1", "fd00::2"),
}


def survey(
    directory: Path, vxlan_port: int = limits.vxlan_port, missing: dict[str, str] | None = None
) -> Survey:
    """Look at the process's own namespace.

    What the kernel lacks is tried out in a scratch one under `directory`, if that (`missing`) is not known.
    """
    places = Places(directory)
    try:
        return Survey(
            forward_drops=(*_forward_drops(places), *_legacy_forward_drop()),
            routes=_routes(places),
            udp_port_taken_by=holder("udp", vxlan_port),
            missing=_missing(places) if missing is None else missing,
            ipv6=sysctl.has_ipv6(),
            filters_bridged_ipv6=Family.IPV6 in filtered(),
        )
    finally:
        places.close()


def _forward_drops(places: Places) -> Iterator[str]:
    try:
        chains = places.filtering(NODE).dump(message(GETCHAIN, b"", family=ANY_FAMILY))
    except OSError:
        return  # no nf_tables: `_missing` says so
    for _, body in chains:
        entry = attributes(body[BODY_OFFSET:])
        hook = attributes(entry.get(4, b""))
        policy = int.from_bytes(entry.get(5, b"\0\0\0\1"), "big")
        forward = int.from_bytes(hook.get(1, b"\xff"), "big") == Hook.FORWARD
        if forward and policy == _NF_DROP and body[0] in _WITH_ADDRESSES:
            yield f"nftables chain {string(entry[1])}/{string(entry[3])} ({FAMILY_NAMES[body[0]]})"


def _legacy_forward_drop() -> Iterator[str]:
    """iptables-legacy is another firewall beside nf_tables, only seen by its own tool."""
    listed = Path("/proc/net/ip_tables_names")
    tool = shutil.which("iptables-legacy")
    if tool is None or not listed.exists() or "filter" not in listed.read_text().split():
        return
    said = subprocess.run([tool, "-S", "FORWARD"], capture_output=True, text=True, timeout=10, check=False)
    if "-P FORWARD DROP" in said.stdout:
        yield "iptables-legacy chain FORWARD"


def _routes(places: Places) -> tuple[tuple[str, str], ...]:
    found = dump.link_routes(places.routing(NODE))
    return tuple(each for each in found if not names.link_is_ours(NODE, each[1]))


def _missing(places: Places) -> dict[str, str]:
    """Try everything once in a scratch namespace that goes at once."""
    path = places.path(_SCRATCH)
    assert path is not None
    netns.delete(path)
    netns.create(path)
    try:
        return dict(_tried(places))
    finally:
        places.forget(_SCRATCH)
        netns.delete(path)


def _tried(places: Places) -> Iterator[tuple[str, str]]:
    channel = places.routing(_SCRATCH)
    for feature, option, made in (
        ("bridges", "CONFIG_BRIDGE", bridge(Link("b", Kind.BRIDGE))),
        ("VXLAN", "CONFIG_VXLAN", vxlan(Link("x", Kind.VXLAN, vxlan=Vxlan(1, "127.0.0.1", 1)), None)),
    ):
        if _lacks(channel.batch([made])):
            yield feature, option
    with places.opened(_SCRATCH) as descriptor:
        pair = Link("v", Kind.VETH), Link("w", Kind.VETH)
        if _lacks(channel.batch([veth(*pair, descriptor, 0)])):
            yield "veth pairs", "CONFIG_VETH"
    for family in FAMILIES if sysctl.has_ipv6() else (Family.IPV4,):
        try:
            failures = commit(places.filtering(_SCRATCH), _all_of(family))
        except OSError as error:
            failures = [Failure(0, error.errno or errno.EINVAL)]
        if _lacks(failures):
            said = "" if family is Family.IPV4 else " for IPv6"
            yield (
                f"nftables{said} with nat, numgen, hash, fib, masquerade, reject and maps",
                "CONFIG_NF_TABLES and CONFIG_NFT_*",
            )
    try:
        Channel(NETLINK_NETFILTER).close()
    except OSError:
        yield "netfilter netlink", "CONFIG_NETFILTER_NETLINK"


def _lacks(failures: list[Failure]) -> bool:
    return any(each.number in _MISSING for each in failures)


def _all_of(family: Family) -> ops.ReplaceTable:
    """A table with each statement that networks use."""
    some, one, other = _ADDRESSES[family]
    table = Table(
        "covey_probe",
        (
            Chain("out", ((ToThisHost(), Dispatch("m")),), Base("nat", Hook.OUTPUT, -100)),
            Chain("post", ((FromAddress(some), Masquerade()),), Base("nat", Hook.POSTROUTING, 100)),
            Chain(
                "forward",
                ((OverTcp(), Reset()), (Translated(), Reject(RejectCode.PORT_UNREACHABLE))),
                Base("filter", Hook.FORWARD, 0),
            ),
            Chain("one", ((Balance((Target(one, 80), Target(other, 80))),),)),
            Chain("same", ((Balance((Target(one),), by_client=True),), (SentTo("tcp", 80), Jump("one")))),
        ),
        (VerdictMap("m", KeyKind.PORT, {"tcp 80": "one"}),),
        family,
    )
    return ops.ReplaceTable(_SCRATCH, table)
