"""One test host: the real driver inside a network namespace, told what to do line by line on stdin.

Started by the test bed with `nsenter --net=...`. A line is a JSON `Call`; the answer is a line, `Answer`.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from agent.network.driver import NetlinkNetworks
from agent.network.io.survey import survey
from agent.network.probe import findings
from agent.network.seam import Networks, Sandbox
from agent.network.settings import Settings
from covey import limits
from covey.io import netns
from covey.model.objects import Network
from covey.model.tables import NetworkTable


class Call(msgspec.Struct):
    method: str
    sandbox: Sandbox | None = None
    table: NetworkTable | None = None
    name: str = ""
    networks: list[Network] = []
    tables: list[NetworkTable] = []
    sandboxes: list[Sandbox] = []
    processes: dict[str, tuple[int, int]] = {}


class Answer(msgspec.Struct):
    result: str = ""
    error: str = ""
    ms: float = 0.0


async def perform(driver: Networks, call: Call) -> str:
    living = {id: netns.Process(*each) for id, each in call.processes.items()}
    match call.method:
        case "attach":
            assert call.sandbox is not None
            return await driver.attach(call.sandbox)
        case "detach":
            await driver.detach(call.name)
        case "close_ports":
            await driver.close_ports(call.name)
        case "apply":
            assert call.table is not None
            await driver.apply(call.table)
        case "learn":
            await driver.learn(call.networks[0])
        case "forget":
            await driver.forget(call.name)
        case "reconcile":
            return " ".join(
                sorted(await driver.reconcile(call.networks, call.tables, call.sandboxes, living))
            )
        case "audit":
            found = await driver.audit(repair=call.name == "repair", processes=living)
            return "\n".join(f"{each.kind}\t{each.place}\t{each.words}" for each in found.findings)
        case "remarks":
            return "\n".join(driver.remarks())
        case "examine":
            subnets = [each.cidr for network in call.networks for each in network.subnets]
            return "\n".join(str(each) for each in findings(survey(Path(call.name)), subnets, 4789))
        case _:
            raise AssertionError(call.method)
    return ""


async def serve(carry_out: Callable[[bytes], Awaitable[str]]) -> None:
    """Carry out the calls on stdin until it ends, and say of each what came of it."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        before = time.perf_counter()
        try:
            answer = Answer(await carry_out(line))
        except Exception as error:  # noqa: BLE001  told to the test
            answer = Answer(error=f"{type(error).__name__}: {error}")
        answer.ms = (time.perf_counter() - before) * 1000
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


async def main() -> None:
    directory, node_id, address, keeps, restores = sys.argv[1:]
    if restores != "restores":
        limits.firewall_look_s = 3600.0  # tests take tables away and look what comes of it
    logging.basicConfig(level=logging.INFO, format=f"{node_id} %(message)s")
    can = keeps == "keeps"
    driver = NetlinkNetworks(Settings(Path(directory), node_id, address, keeps_client_address=can))
    await serve(lambda line: perform(driver, msgspec.json.decode(line, type=Call)))
    await driver.close()


if __name__ == "__main__":
    asyncio.run(main())
