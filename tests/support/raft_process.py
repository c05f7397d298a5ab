"""One member in a process of its own, told by lines on stdin what to do; see `Order`s below.

    python raft_process.py CONFIG.json

CONFIG names the member's id and directory, its port's address, its certificate, and the founding: whether it
founds, or whom it is introduced to. On stdout, one line of JSON per order, and `{"ready": ...}` first.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from covey.identity import NodeIdentity
from manager.raft.entry import Member, Membership
from manager.raft.io.disk import SqliteDisk
from manager.raft.ready import Role
from tests.support.raft_wire import Wired, joined


def member_of(fields: list[Any]) -> Member:
    """Read a member."""
    id, node_id, address, voter = fields
    return Member(id, node_id, address, voter)


async def load(wired: Wired, at_once: int, count: int, size: int) -> dict[str, Any]:
    """Propose `count` entries of `size` bytes, `at_once` at a time; say how long each took."""
    assert wired.replica is not None
    replica, took, todo = wired.replica, list[float](), iter(range(count))
    payload = bytes(size)

    async def one_after_another() -> None:
        for _ in todo:
            before = time.perf_counter()
            await replica.propose([payload])
            took.append(time.perf_counter() - before)

    cpu, started = time.process_time(), time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    elapsed = time.perf_counter() - started
    took.sort()
    return {
        "per_s": count / elapsed,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[len(took) * 99 // 100] * 1000,
        "cpu_us": (time.process_time() - cpu) / count * 1e6,
    }


async def obey(wired: Wired, order: dict[str, Any]) -> Any:
    """Carry out one order."""
    replica = wired.replica
    assert replica is not None
    match order["do"]:
        case "change":
            await replica.change(joined(replica.membership, member_of(order["member"])))
            return True
        case "load":
            return await load(wired, order["at_once"], order["count"], order["size"])
        case "propose":
            await replica.propose([bytes.fromhex(order["data"])])
            return True
        case "read":
            return await replica.read()
        case "look":
            standing = replica.standing
            leads = standing.role is Role.LEADER and replica.applied >= standing.first_index
            return {"leads": leads, "applied": replica.applied, "term": standing.term, "ended": replica.ended}
        case "log":
            return await everything(wired)
        case "stall":
            time.sleep(order["seconds"])  # as a long computation would  # noqa: ASYNC251
            return True
        case "usage":
            used = resource.getrusage(resource.RUSAGE_SELF)
            return {"cpu_s": used.ru_utime + used.ru_stime, "rss_kib": used.ru_maxrss}
        case other:
            raise ValueError(f"no order is called {other}")


async def everything(wired: Wired) -> list[str]:
    """Give the store's entries that are committed here."""
    assert wired.replica is not None
    replica, found, position = wired.replica, list[str](), 0
    async for news in replica.committed(position):
        assert isinstance(news, tuple)
        found += [entry.data.hex() for entry in news if entry.data and entry.kind == 1]
        if news[-1].index >= replica.applied:
            break
    return found


def say(word: Any) -> None:
    """Answer."""
    print(json.dumps(word), flush=True)


async def main(config: dict[str, Any]) -> None:
    """Run the member until stdin ends."""
    pem = [config[part].encode() for part in ("key", "certificate", "root")]
    identity = NodeIdentity.of(*pem)
    wired = Wired(config["cluster_id"], identity)
    await wired.listen(config["address"])
    disk = await SqliteDisk.open(Path(config["directory"]), config["cluster_id"])
    introduced = Membership(tuple(member_of(fields) for fields in config["introduced"]))
    replica = await wired.start(disk, founding=config["founding"], introduced=introduced)
    say({"ready": [replica.own.id, wired.node_id, wired.address]})
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        try:
            say({"answer": await obey(wired, json.loads(line))})
        except Exception as error:  # noqa: BLE001  whatever it is, the other side must hear it
            say({"error": f"{type(error).__name__}: {error}"})
    await wired.stop()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
