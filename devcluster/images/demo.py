"""The sample images: a web service that says who answers, in two versions, and a client with tools."""

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from covey.errors import Unavailable

from . import layout

# busybox's httpd leaves SIGTERM alone, and the first process of a container is not killed by a signal it
# leaves alone: without the shell each stop would last the whole grace period.
_SERVE = """#!/bin/sh
trap 'exit 0' TERM INT
httpd -f -v -p "${PORT:-80}" -h /www &
wait
"""
_ANSWER = """#!/bin/sh
client=${{REMOTE_ADDR#[}}; client=${{client%]}}; client=${{client#::ffff:}}
printf 'Content-Type: text/plain\\r\\n\\r\\n'
printf 'version={version} task=%s node=%s client=%s\\n' "$COVEY_TASK_NAME" "$COVEY_NODE_NAME" "$client"
"""
references = ("demo/web:1", "demo/web:2", "demo/tools:1")
_TOOLS = ("ping", "curl", "nslookup")
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_PATH = "PATH=/bin:/usr/bin"


@dataclass(frozen=True, slots=True)
class Sample:
    """An image and the name it gets in the registry."""

    name: str
    tag: str
    image: layout.Image

    @property
    def reference(self) -> str:
        """Name and tag."""
        return f"{self.name}:{self.tag}"

    @property
    def folder(self) -> str:
        """The name of its OCI layout."""
        return _folder(self.reference)


def samples() -> Iterator[Sample]:
    """Every sample image."""
    yield from (Sample("demo/web", version, web(version)) for version in ("1", "2"))
    yield Sample("demo/tools", "1", tools())


def web(version: str) -> layout.Image:
    """`demo/web`: answers each request on port 80 with its version, task, node and the client's address."""
    answer = (
        layout.directory("www"),
        layout.directory("www/cgi-bin"),
        layout.text("bin/serve", _SERVE, 0o755),
        layout.text("www/cgi-bin/index.cgi", _ANSWER.format(version=version), 0o755),
    )
    config: dict[str, object] = {
        "Entrypoint": ["/bin/serve"],
        "Env": [_PATH, f"VERSION={version}"],
        "WorkingDir": "/",
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGTERM",
    }
    return layout.Image((layout.busybox_layer(), answer), config)


def tools() -> layout.Image:
    """`demo/tools`: a shell, ping, curl and nslookup, with the libraries they need; it idles by itself."""
    programs = {name: _found(name) for name in _TOOLS}
    busybox = [
        entry for entry in layout.busybox_layer() if entry.path not in {f"bin/{name}" for name in _TOOLS}
    ]
    idle = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 3600 & wait $!; done\n"
    own = [
        *_with_libraries(programs),
        layout.directory("usr/bin"),
        *(layout.copied(f"usr/bin/{name}", path) for name, path in programs.items()),
        layout.text("bin/idle", idle, 0o755),
        layout.text("etc/nsswitch.conf", "hosts: files dns\n"),
    ]
    config: dict[str, object] = {
        "Cmd": ["/bin/idle"],
        "Env": [_PATH],
        "WorkingDir": "/",
        "StopSignal": "SIGTERM",
    }
    return layout.Image((tuple(busybox), tuple(own)), config)


def _found(name: str) -> Path:
    path = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        raise Unavailable(
            f"{name} is not installed, and the image demo/tools is made of it: run `make setup`"
        )
    return Path(path).resolve()


def _with_libraries(programs: dict[str, Path]) -> list[layout.Entry]:
    """The dynamic loader and every library that `programs` need, where they look for them."""
    listed = subprocess.run(["ldd", *map(str, programs.values())], capture_output=True, text=True, check=True)
    libraries = sorted({Path(match) for match in _LIBRARY.findall(listed.stdout)})
    folders = sorted({parent for path in libraries for parent in path.parents if parent != Path("/")})
    known = {Path("/usr")}
    return [
        *(layout.directory(str(folder).lstrip("/")) for folder in folders if folder not in known),
        *(layout.copied(str(path).lstrip("/"), path) for path in libraries),
    ]


def write_all(folder: Path) -> None:
    """Write every sample image below `folder`, as one OCI layout each; what is there and current stays.

    The images are made of this machine's files, so a stamp of those (and of this code) tells what is current.
    Of two who come at once, one writes and the other waits.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, current = folder / "stamp", _stamp()
        if stamp.exists() and stamp.read_text() == current:
            return
        shutil.rmtree(folder, ignore_errors=True)
        for sample in samples():
            layout.write(sample.image, folder / sample.folder, sample.tag)
        stamp.write_text(current)


def _stamp() -> str:
    sources = [Path(__file__), Path(layout.__file__), layout.BUSYBOX, *map(_found, _TOOLS)]
    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def push(reference: str, folder: Path, registry: str, enter: list[str]) -> None:
    """Copy the image written below `folder` into `registry`, by a skopeo that `enter` puts on the fabric."""
    source = f"oci:{folder / _folder(reference)}:{reference.rpartition(':')[2]}"
    target = f"docker://{registry}/{reference}"
    argv = [
        *enter,
        "skopeo",
        "--insecure-policy",
        "copy",
        "--quiet",
        "--dest-tls-verify=false",
        source,
        target,
    ]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"skopeo did not push {reference} to {registry} within 120 s") from error
    if done.returncode != 0:
        raise Unavailable(f"skopeo could not push {reference} to {registry}: {done.stderr.strip()}")


def _folder(reference: str) -> str:
    return reference.replace("/", "-").replace(":", "-")
