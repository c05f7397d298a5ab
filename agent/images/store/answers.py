"""Reading what `containers-storage` prints: images, layers and OCI image configurations."""

from collections.abc import Collection, Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct, field
from msgspec.json import Decoder

from agent.images.seam import ImageConfig, ImageHealthcheck, Unused
from covey.errors import Corrupt, InvalidArgument
from covey.model.reference import parse


class StoredImage(Struct, frozen=True):
    """One entry of `images --json`: its id, its topmost layer, and the names it goes by."""

    id: str
    names: tuple[str, ...] | None = None
    layer: str = ""
    data: tuple[str, ...] = field(default=(), name="big-data-names")

    @property
    def config_name(self) -> str:
        """The name of the data item that holds the image's configuration: the id is its digest."""
        return f"sha256:{self.id}"


class StoredLayer(Struct, frozen=True):
    """One entry of `layers --json`."""

    id: str
    parent: str = ""
    bytes: int = field(default=0, name="diff-size")


class _Health(Struct, frozen=True):
    """A `Healthcheck`, as Docker writes it: durations in nanoseconds."""

    test: tuple[str, ...] | None = field(default=None, name="Test")
    interval: int | None = field(default=None, name="Interval")
    timeout: int | None = field(default=None, name="Timeout")
    start_period: int | None = field(default=None, name="StartPeriod")
    start_interval: int | None = field(default=None, name="StartInterval")
    retries: int | None = field(default=None, name="Retries")


class _Config(Struct, frozen=True):
    """The `config` object of an OCI image configuration; null stands for absent almost anywhere."""

    entrypoint: tuple[str, ...] | None = field(default=None, name="Entrypoint")
    cmd: tuple[str, ...] | None = field(default=None, name="Cmd")
    env: tuple[str, ...] | None = field(default=None, name="Env")
    user: str | None = field(default=None, name="User")
    workdir: str | None = field(default=None, name="WorkingDir")
    stop_signal: str | None = field(default=None, name="StopSignal")
    volumes: dict[str, object] | None = field(default=None, name="Volumes")
    ports: dict[str, object] | None = field(default=None, name="ExposedPorts")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    health: msgspec.Raw = field(default=msgspec.Raw(b"null"), name="Healthcheck")
    shell: msgspec.Raw = field(default=msgspec.Raw(b"null"), name="Shell")


class _Configuration(Struct, frozen=True):
    architecture: str = ""
    os: str = ""
    config: _Config | None = None


T = TypeVar("T")
_IMAGES: Decoder[tuple[StoredImage, ...] | None] = Decoder(tuple[StoredImage, ...] | None)
_LAYERS: Decoder[tuple[StoredLayer, ...] | None] = Decoder(tuple[StoredLayer, ...] | None)
_CONFIGURATION = Decoder(_Configuration)
_SHELL: Decoder[tuple[str, ...] | None] = Decoder(tuple[str, ...] | None)
_HEALTH: Decoder[_Health | None] = Decoder(_Health | None)


def images(text: bytes) -> tuple[StoredImage, ...]:
    """The answer to `images --json` or `image --json`."""
    return _decoded(_IMAGES, text, "image list") or ()


def lowerdirs(text: bytes, top: str, root: str) -> tuple[str, ...]:
    """The directories of the layers from `top` down, out of the answer to `layers --json`.

    `Corrupt` if a layer is missing: an image whose layers are not all there cannot be run.
    """
    found = _decoded(_LAYERS, text, "layer list") or ()
    parents = {layer.id: layer.parent for layer in found}
    out: list[str] = []
    layer = top
    while layer:
        if layer not in parents or len(out) > len(parents):
            raise Corrupt(
                f"{root}: layer {layer} of an image is missing; remove the image, it is pulled again"
            )
        out.append(f"{root}/overlay/{layer}/diff")
        layer = parents[layer]
    return tuple(out)


def _names(text: str) -> Iterator[str]:
    """The name under which the store has what is referred to by `text`; none if that is an id."""
    try:
        yield parse(text).pull_name
    except InvalidArgument:
        return


def unused(image_list: bytes, layer_list: bytes, in_use: Collection[str]) -> Unused:
    """The images that are not in use, and the layers that only they need, or none does."""
    every, names = images(image_list), {name for each in in_use for name in _names(each)}
    parents = {layer.id: layer for layer in _decoded(_LAYERS, layer_list, "layer list") or ()}
    needed: set[str] = set()
    used = {each.id for each in every if each.id in in_use or not names.isdisjoint(each.names or ())}
    for image in every:
        layer = image.layer if image.id in used else ""
        while layer in parents and layer not in needed:
            needed.add(layer)
            layer = parents[layer].parent
    size = sum(max(layer.bytes, 0) for id, layer in parents.items() if id not in needed)
    return Unused(len(every) - len(used), size)


def configuration(text: bytes) -> tuple[str, str, ImageConfig]:
    """Operating system, architecture and settings out of an OCI image configuration."""
    read = _decoded(_CONFIGURATION, text, "image configuration")
    config = read.config or _Config()
    health, shell = _healthcheck(config)
    return (
        read.os,
        read.architecture,
        ImageConfig(
            entrypoint=config.entrypoint or (),
            cmd=config.cmd or (),
            env=config.env or (),
            user=config.user or "",
            workdir=config.workdir or "",
            stop_signal=config.stop_signal or "",
            volumes=_keys(config.volumes),
            exposed_ports=_keys(config.ports),
            labels=config.labels or {},
            healthcheck=health,
            shell=shell,
        ),
    )


def _healthcheck(config: _Config) -> tuple[ImageHealthcheck | None, tuple[str, ...]]:
    """The image's health check, and the shell for it.

    What cannot be read is no reason not to run the image in another way, so it is kept as a problem.
    """
    try:
        read = _HEALTH.decode(config.health)
        shell = () if read is None else _SHELL.decode(config.shell) or ()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return ImageHealthcheck(problem=f"or its shell cannot be read ({error})"), ()
    if read is None:
        return None, ()
    durations = (read.interval or 0, read.timeout or 0, read.start_period or 0, read.start_interval or 0)
    return ImageHealthcheck(read.test or (), *durations, read.retries or 0), shell


def _keys(mapping: dict[str, object] | None) -> tuple[str, ...]:
    return tuple(sorted(mapping or {}))


def _decoded(decoder: "Decoder[T]", text: bytes, what: str) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"the image store's {what} cannot be read ({error}); remove the image and pull it again"
        ) from error
