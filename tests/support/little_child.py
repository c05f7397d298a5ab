"""A process for coveyd to supervise: little_child.py NAME --config FILE [--stop-tasks].

It notes in RUN/NAME.log what befalls it, and that two of it run at once, which must never be. RUN/NAME.does
may ask for other conduct: `crash` (ends at once), `deaf` (SIGTERM is ignored), `fail` (for --stop-tasks), `hang`
(an agent that takes calls and never answers).
"""

import fcntl
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path


def main() -> None:
    name, config = sys.argv[1], json.loads(Path(sys.argv[3]).read_text())
    run = Path(config["run_dir"])
    conduct = run / f"{name}.does"
    does = conduct.read_text() if conduct.exists() else ""
    note = os.open(run / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(what: str) -> None:
        os.write(note, f"{what} {os.getpid()}\n".encode())

    lock = os.open(run / f"{name}.alone", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("two")
    if "--stop-tasks" in sys.argv:
        say("stop-tasks")
        sys.exit("a task hangs" if does == "fail" else 0)
    if does == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: (say("end"), sys.exit(0)))
    say(f"start {config['node_name']}")
    if does == "crash":
        sys.exit(3)
    if name == "manager" or does == "hang":
        path = run / f"{name}.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
    time.sleep(3600)


if __name__ == "__main__":
    main()
