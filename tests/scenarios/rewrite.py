"""Write the transcripts of scenarios anew: `python -m tests.scenarios.rewrite [FILE...]`; then read the diff."""

import sys
from pathlib import Path

from tests.support.scenario import scenarios, written_anew


def main(names: list[str]) -> None:
    for path in [Path(name) for name in names] or scenarios():
        before = path.read_text()
        after = written_anew(path)
        if after != before:
            path.write_text(after)
            print(f"{path.name} rewritten")


if __name__ == "__main__":
    main(sys.argv[1:])
