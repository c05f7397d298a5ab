"""Writing small OCI image layouts from data: layers of entries in, a directory that skopeo understands out.

Follows the OCI image specification 1.0 (image-layout, manifest, config, layer). Times are zero and entries
keep their order, so the same image always has the same digest.
"""

import gzip
import hashlib
import io
import platform
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

BUSYBOX = Path("/bin/busybox")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}


class Entry(Struct, frozen=True):
    """One path of a layer: a file with `data`, a directory, or a symbolic link to `link`.

    A file named `.wh.NAME` removes NAME of the layers below.
    """

    path: str
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    kind: bytes = tarfile.REGTYPE
    link: str = ""


class Image(Struct, frozen=True):
    """An image to write: layers from the bottom up, and the `config` object of its configuration."""

    layers: tuple[tuple[Entry, ...], ...]
    config: dict[str, object] = {}
    architecture: str = _ARCHITECTURES.get(platform.machine(), platform.machine())


def directory(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    """A directory."""
    return Entry(path, mode=mode, kind=tarfile.DIRTYPE, uid=uid, gid=gid)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, mode=0o777, kind=tarfile.SYMTYPE, link=target)


def text(path: str, content: str, mode: int = 0o644) -> Entry:
    """A text file."""
    return Entry(path, content.encode(), mode)


def copied(path: str, source: Path, mode: int = 0o755) -> Entry:
    """A file of this host; symbolic links are followed."""
    return Entry(path, source.read_bytes(), mode)


def busybox_layer(binary: Path = BUSYBOX) -> tuple[Entry, ...]:
    """A root file system that is enough for a shell: busybox under all its names, root and nobody."""
    names = subprocess.run([str(binary), "--list"], capture_output=True, text=True, check=True).stdout.split()
    return (
        *(directory(name) for name in ("bin", "dev", "etc", "proc", "root", "sys", "var", "usr")),
        directory("tmp", 0o1777),
        copied("bin/busybox", binary),
        *(symlink(f"bin/{name}", "busybox") for name in names if name != "busybox"),
        text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        text("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    )


def write(image: Image, directory: Path, tag: str = "latest") -> str:
    """Write `image` as an OCI layout in `directory` (made if missing); returns its manifest digest.

    Push it with `skopeo copy oci:DIRECTORY:TAG docker://...`.
    """
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    descriptors: list[dict[str, object]] = []
    diff_ids: list[str] = []
    for layer in image.layers:
        tar = _tar(layer)
        diff_ids.append(_digest(tar))
        descriptors.append(_put(blobs, gzip.compress(tar, 6, mtime=0), _LAYER))
    config = {
        "architecture": image.architecture,
        "os": "linux",
        "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "covey layout"} for _ in diff_ids],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _put(blobs, msgspec.json.encode(config), _CONFIG),
        "layers": descriptors,
    }
    entry = _put(blobs, msgspec.json.encode(manifest), _MANIFEST)
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    index = {"schemaVersion": 2, "manifests": [entry]}
    (directory / "index.json").write_bytes(msgspec.json.encode(index))
    (directory / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    return str(entry["digest"])


def _tar(entries: Sequence[Entry]) -> bytes:
    """An uncompressed tar with nothing in it that changes from run to run."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.type, info.mode, info.linkname = entry.kind, entry.mode, entry.link
            info.uid, info.gid, info.size = entry.uid, entry.gid, len(entry.data)
            tar.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()


def _put(blobs: Path, data: bytes, media_type: str) -> dict[str, object]:
    digest = _digest(data)
    (blobs / digest.removeprefix("sha256:")).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
