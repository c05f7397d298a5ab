"""One log format for all processes of a node, since they share coveyd's stderr."""

import logging
import sys
import time
from types import TracebackType


def configure(process: str, level: str) -> None:
    """Log to stderr from `level` on (`debug`, `info`, `warning`, `error`), each line naming `process`.

    An exception that ends the process is logged like everything else, so that it too names its process.
    """
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ {process:<7} %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            root.critical("ended by an error nobody has named", exc_info=(kind, error, trace))

    sys.excepthook = uncaught
