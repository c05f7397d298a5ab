"""The interface of image stores: what an image is once it is on this host, and how to get it there."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from covey.model.specs import RegistryAuth


class ImageHealthcheck(Struct, frozen=True):
    """The image's HEALTHCHECK. `test` starts with NONE, CMD or CMD-SHELL; 0 means not given.

    `problem` says what is wrong with one that cannot be read; all else is empty then.
    """

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0
    problem: str = ""


class ImageConfig(Struct, frozen=True):
    """What the image says of how to run it (the `config` of an OCI image configuration).

    `shell` is what its health check is run by if that is a command line; empty means `/bin/sh -c`.
    """

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    healthcheck: ImageHealthcheck | None = None
    shell: tuple[str, ...] = ()


class LocalImage(Struct, frozen=True):
    """An image on this host. `layers` are directories, the topmost first, as overlayfs wants them."""

    id: str
    layers: tuple[str, ...]
    config: ImageConfig = ImageConfig()


class Unused(Struct, frozen=True, gc=False):
    """Images, and how large their layers are that nobody else needs."""

    images: int = 0
    bytes: int = 0


class Images(Protocol):
    """Gets images to this host and finds them there."""

    async def ensure(self, reference: str, auth: RegistryAuth | None = None) -> LocalImage:
        """The image, pulled first unless it is here.

        `reference` is as Docker writes it, `[registry/]repository[:tag][@digest]`; with a digest, exactly
        that manifest. Raises `NotFound` (no such image or tag), `PermissionDenied` (the registry wants
        other credentials), `InvalidArgument` (malformed reference, wrong architecture), `Unavailable`
        (registry or disk).
        """
        ...

    async def remove_unused(self, in_use: Sequence[str]) -> Sequence[str]:
        """Remove every image whose id is not in `in_use`; returns the ids removed."""
        ...

    async def unused(self, in_use: Sequence[str]) -> Unused:
        """Count the images of which neither the id nor a reference is in `in_use`."""
        ...
