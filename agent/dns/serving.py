"""What the DNS server serves, against what the agent told it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from agent.audit.look import Look
from covey.model.audit import Finding
from covey.model.tables import NetworkTable

from .codec import Records
from .feed import Serving
from .zone import Zone


@dataclass(frozen=True, slots=True)
class Told:
    """What the server had been told when it was asked: tables, and the containers it is to serve."""

    tables: Mapping[str, NetworkTable]
    task_ids: frozenset[str]


def fingerprint(names: Mapping[bytes, Records], reverse: Mapping[bytes, tuple[str, ...]]) -> str:
    """A digest of all names of a zone and what they lead to; the order of addresses does not count."""
    digest = blake2b(digest_size=16)
    for name in sorted(names):
        found = names[name]
        digest.update(repr((name, found.ttl_s, sorted(map(str, found.addresses)))).encode())
    for name in sorted(reverse):
        digest.update(repr((name, sorted(reverse[name]))).encode())
    return digest.hexdigest()


def wanted(table: NetworkTable) -> str:
    """The digest of a table's names, all worked out anew. Raises ValueError if it holds what is no address."""
    zone = Zone()
    zone.set_table(table)
    return fingerprint(zone.names, zone.reverse)


def judge(told: Told, wanted: Mapping[str, str], serving: Serving) -> Look:
    """Compare. `wanted` are the digests of the tables told."""
    findings = [
        *_zones(wanted, serving.zones),
        *(
            Finding("DNS", id, "its container's names are not served")
            for id in sorted(told.task_ids - set(serving.task_ids))
        ),
        *(
            Finding("DNS", id, "names are served for it, and it has no container here")
            for id in sorted(set(serving.task_ids) - told.task_ids)
        ),
        *(
            Finding("DNS", id, f"its port 53 does not lead to the DNS server: {why}")
            for id, why in sorted(serving.unled.items())
        ),
    ]
    rows = sum(len(each.endpoints) + len(each.services) for each in told.tables.values())
    return Look(rows + len(told.task_ids), tuple(findings))


def _zones(wanted: Mapping[str, str], served: Mapping[str, str]) -> list[Finding]:
    found = []
    for id in sorted(wanted.keys() | served.keys()):
        if id not in served:
            found.append(Finding("DNS", f"network {id}", "its names are not served"))
        elif id not in wanted:
            found.append(
                Finding("DNS", f"network {id}", "names are served of it, and it is not on this node")
            )
        elif served[id] != wanted[id]:
            found.append(Finding("DNS", f"network {id}", "names lead elsewhere than its table says"))
    return found
