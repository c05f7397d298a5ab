"""The manager's process: `python -m manager --config RUN/node.json`; coveyd starts it."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import covey.wire  # noqa: F401  before grpc is imported by anything: it sets what TLS versions grpc takes
from covey.errors import CoveyError
from covey.io import logs
from covey.model import node_config
from manager.collector import spare_the_old
from manager.driver import run


def main() -> int:
    """Run a manager; returns 0 after SIGTERM, 1 if it had to give up."""
    parser = argparse.ArgumentParser(prog="manager", description="One of a cluster's managers.")
    parser.add_argument("--config", type=Path, required=True, help="what coveyd wrote for its processes")
    arguments = parser.parse_args()
    failed = False
    try:
        config = node_config.load(arguments.config)
        logs.configure("manager", config.log_level)
        spare_the_old()
        asyncio.run(_main(config))
    except* CoveyError as group:
        for error in group.exceptions:
            logging.getLogger("manager").error("%s", error)
        failed = True
    return int(failed)


async def _main(config: node_config.NodeConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(config, stop)


if __name__ == "__main__":
    sys.exit(main())
