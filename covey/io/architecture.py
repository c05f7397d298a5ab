"""This machine's processor architecture, in the words of OCI images."""

import platform

from covey.model import constraint


def architecture() -> str:
    """This machine's architecture, as OCI writes it: `amd64`, `arm64`, `arm`, or what the kernel calls it."""
    return constraint.architecture(platform.machine())
