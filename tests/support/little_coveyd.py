"""coveyd itself, but for the processes it supervises: little_coveyd.py STATE RUN [NAME=VALUE...].

NAME=VALUE sets a limit. With KILL_AT=n in the environment it is killed, as by `kill -9`, just before the
n-th change it would make to the names in its state directory: every step that a crash could part from the
next one. It writes `change n` to stderr for each.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import covey.wire  # noqa: F401
from covey import limits
from covey.io import logs
from node import __main__ as coveyd
from node.settings import Settings

CHILD = str(Path(__file__).parent / "little_child.py")


def die_at(number: int, state: str) -> None:
    """Count renames and removals below `state`, and die before the one with this number."""
    count = 0

    def counted(original: Any) -> Any:
        def change(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            directory = options.get("dir_fd")
            base = os.readlink(f"/proc/self/fd/{directory}") + "/" if directory is not None else ""
            if (base + os.fspath(arguments[0])).startswith(state):
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.write(2, f"change {count}\n".encode())
            return original(*arguments, **options)

        return change

    for name in ("replace", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))


def main() -> None:
    state, run, *bounds = sys.argv[1:]
    for bound in bounds:
        name, _, value = bound.partition("=")
        setattr(limits, name, int(value))
    die_at(int(os.environ.pop("KILL_AT", "0")), state)
    logs.configure("coveyd", "info")
    commands = {
        name: (sys.executable, CHILD, name, "--config", f"{run}/node.json")
        for name in ("agent", "dns", "manager")
    }

    def settings() -> Settings:
        file = Path(run) / "node_name"
        name = file.read_text() if file.exists() else "n1"
        return Settings(state_dir=state, run_dir=run, node_name=name)

    asyncio.run(coveyd.run(settings(), commands, settings))


if __name__ == "__main__":
    main()
