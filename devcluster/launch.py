"""Start a program as a member of a dev cluster: in its cgroup, its network, under its hostname.

    python -m devcluster.launch --cgroup G --net FILE --hostname NAME --log FILE -- PROGRAM ARGUMENTS

It prints the program's process id and ends; the program lives on, in a session of its own, its output in
the log. A process of its own because all that it enters is entered for good.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from . import cgroups, namespaces


def launch(cgroup: str, net: Path, hostname: str, log: Path, program: list[str]) -> int:
    """The process id of `program`, started where it belongs."""
    cgroups.join(cgroup)
    namespaces.enter(net)
    namespaces.own_hostname(hostname)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        started = subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )
    return started.pid


def main() -> None:
    """Read the command line and start the program it names."""
    parser = argparse.ArgumentParser(prog="devcluster.launch")
    parser.add_argument("--cgroup", required=True)
    parser.add_argument("--net", type=Path, required=True)
    parser.add_argument("--hostname", required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("program", nargs="+")
    asked = parser.parse_args()
    pid = launch(asked.cgroup, asked.net, asked.hostname, asked.log, asked.program)
    sys.stdout.write(f"{pid}\n")


if __name__ == "__main__":
    main()
