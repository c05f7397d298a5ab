"""The image `load/web`: `keepalive_server.py` with this machine's Python, as little of it as it needs."""

import json
import py_compile
import subprocess
import sys
import tempfile
from pathlib import Path

from devcluster import namespaces
from devcluster.images import demo, layout
from devcluster.place import REGISTRY, Place

_SCRIPT = Path(__file__).parent / "keepalive_server.py"
_PYTHON = Path(sys.executable).resolve()
_FLAGS = ("-I", "-S")
_LOADED = (
    "import json, sys; known = set(sys.modules); import heapq, os, selectors, signal, socket, time;"
    "found = {name: getattr(module, '__file__', None) for name, module in sys.modules.items()};"
    "print(json.dumps([file for name, file in found.items() if file and not name.startswith('json')]))"
)


def push(place: Place) -> str:
    """Put the image into a dev cluster's registry in two versions; returns its name without the version."""
    with tempfile.TemporaryDirectory() as made:
        for version in ("1", "2"):
            sample = demo.Sample("load/web", version, _image(version))
            layout.write(sample.image, Path(made) / sample.folder, sample.tag)
            enter = namespaces.command(place.netns(REGISTRY), [])
            demo.push(sample.reference, Path(made), place.registry, enter)
    return f"{place.registry}/load/web"


def _image(version: str) -> layout.Image:
    config: dict[str, object] = {
        "Entrypoint": [str(_PYTHON), *_FLAGS, "/server.pyc"],
        "Env": ["PATH=/bin:/usr/bin", f"VERSION={version}"],
        "WorkingDir": "/",
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGTERM",
    }
    server = (layout.Entry("server.pyc", _compiled(_SCRIPT)),)
    return layout.Image((layout.busybox_layer(), tuple(_python()), server), config)


def _python() -> list[layout.Entry]:
    """The interpreter, the modules that the server imports, compiled, and the libraries of all."""
    asked = subprocess.run([_PYTHON, *_FLAGS, "-c", _LOADED], capture_output=True, text=True, check=True)
    modules = sorted(set(map(Path, json.loads(asked.stdout))))  # some have two names
    binaries = [_PYTHON, *(each for each in modules if each.suffix == ".so")]
    listed = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=True).stdout
    libraries = {Path(word) for line in listed.splitlines() for word in line.split() if word.startswith("/")}
    libraries = {each for each in libraries if not str(each).endswith(":")}
    files = [*((each, each.read_bytes()) for each in (*binaries, *libraries))]
    for module in modules:
        if module.suffix == ".py":
            cache = module.parent / "__pycache__" / f"{module.stem}.{sys.implementation.cache_tag}.pyc"
            files += [(module, module.read_bytes()), (cache, _compiled(module))]
    known = {"", "/", "/usr", "/bin", "/etc", "/var", "/root", "/proc", "/sys", "/dev", "/tmp"}
    folders = {str(parent) for path, _ in files for parent in path.parents} - known
    return [
        *(layout.directory(folder.lstrip("/")) for folder in sorted(folders)),
        *(layout.Entry(str(path).lstrip("/"), data, 0o755) for path, data in sorted(files)),
    ]


def _compiled(module: Path) -> bytes:
    """A module's bytecode, to be used whatever the times of files are."""
    with tempfile.NamedTemporaryFile(suffix=".pyc") as file:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(module), file.name, doraise=True, invalidation_mode=mode)
        return Path(file.name).read_bytes()
