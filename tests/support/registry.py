"""A registry on loopback for one test: Debian's docker-registry on a free port, with or without a password."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from devcluster.images.layout import Image, write
from tests.support.ports import free_port

PATIENCE_S = 30
# bcrypt of "secret" with a made-up salt, as htpasswd writes it.
HTPASSWD = "covey:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


class Registry:
    """Where it listens, and where images wait to be pushed."""

    def __init__(self, address: str, directory: Path, credentials: Sequence[str]) -> None:
        self.address = address
        self._directory = directory
        self._credentials = credentials

    def push(self, image: Image, name: str) -> str:
        """Push `image` as `name` (repository:tag); returns the manifest's digest."""
        layout = self._directory / "layouts" / name.replace("/", "_").replace(":", "_")
        digest = write(image, layout, "1")
        self._skopeo(f"oci:{layout}:1", f"docker://{self.address}/{name}")
        return digest

    def push_list(self, images: dict[str, Image], name: str) -> None:
        """Push an image list with one image for each architecture."""
        layout = self._directory / "layouts" / name.replace("/", "_").replace(":", "_")
        entries = []
        for architecture, image in images.items():
            write(image, layout, architecture)
            (entry,) = msgspec.json.decode((layout / "index.json").read_bytes())["manifests"]
            entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
            entries[-1].pop("annotations")
        inner = msgspec.json.encode(
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
        )
        digest = (
            subprocess.run(["sha256sum"], input=inner, capture_output=True, check=True).stdout[:64].decode()
        )
        (layout / "blobs" / "sha256" / digest).write_bytes(inner)
        top = {
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": f"sha256:{digest}",
            "size": len(inner),
            "annotations": {"org.opencontainers.image.ref.name": "1"},
        }
        (layout / "index.json").write_bytes(msgspec.json.encode({"schemaVersion": 2, "manifests": [top]}))
        self._skopeo("--multi-arch=all", f"oci:{layout}:1", f"docker://{self.address}/{name}")

    def _skopeo(self, *arguments: str) -> None:
        command = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", *self._credentials, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr


@contextmanager
def registry(directory: Path, *, password: bool = False, port: int = 0) -> Iterator[Registry]:
    """Run a registry; with `password`, user `covey` and password `secret` are asked for."""
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if password:
        (directory / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    (directory / "config.yml").write_bytes(msgspec.json.encode(config))  # JSON is YAML
    child = subprocess.Popen(
        ["docker-registry", "serve", str(directory / "config.yml")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
    )
    try:
        _wait_for(port, child)
        yield Registry(f"127.0.0.1:{port}", directory, ["--dest-creds=covey:secret"] if password else [])
    finally:
        child.kill()
        child.wait()


def _wait_for(port: int, child: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert child.poll() is None, "docker-registry ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError("docker-registry does not listen")
