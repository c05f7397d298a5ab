"""`python -m devcluster` is `covey dev`."""

from .cli import dev

if __name__ == "__main__":
    dev(prog_name="covey dev")
