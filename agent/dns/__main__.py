"""The DNS process: `python -m agent.dns --config RUN/node.json`."""

import argparse
import asyncio
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from random import SystemRandom

from covey import limits
from covey.io import logs
from covey.model import node_config
from covey.model.node_config import NodeConfig

from .server import DnsServer


def main() -> None:
    """Serve until SIGTERM or SIGINT, or until neither coveyd is there nor any container."""
    parser = argparse.ArgumentParser(prog="python -m agent.dns", description="Names for containers.")
    parser.add_argument("--config", type=Path, required=True, help="the node.json that coveyd wrote")
    config = node_config.load(parser.parse_args().config)
    logs.configure("dns", config.log_level)
    _raise_file_limit()
    asyncio.run(_serve(config))


async def _serve(config: NodeConfig) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    parent = os.getppid()
    server = DnsServer(config.dns_socket, config.run / "dns", SystemRandom())
    await server.start()
    try:
        while not (_alone(parent) and not server.is_needed()):
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.dns_alone_look_ms / 1000):
                    await ending.wait()
                    break
    finally:
        await server.stop()


def _alone(parent: int) -> bool:
    """Tell whether coveyd has ended. It leaves us behind while containers run, and nobody else would end us."""
    return os.getppid() != parent


def _raise_file_limit() -> None:
    # Two sockets per container and one per forwarded query: the usual soft limit of 1024 is soon met.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
