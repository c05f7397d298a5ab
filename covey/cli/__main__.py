"""The entry point of the `covey` command."""

from .app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
