"""coveyd's settings: `/etc/covey/coveyd.toml`, overridden by flags. A wrong one is named, with the remedy."""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from covey import limits
from covey.errors import InvalidArgument
from covey.model import generic
from covey.model.specs import GenericResource

DEFAULT_FILE = Path("/etc/covey/coveyd.toml")
_LEVELS = ("debug", "info", "warning", "error")
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_LABEL = re.compile(r"[A-Za-z0-9_.-]+")
_REGISTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """The settings, checked. In the file they have the names of the flags (`state-dir = "..."`).

    `cpus` and `memory` are what the node offers; 0 and "" mean all the host has. So is `generic_resource`, of which
    Covey knows nothing but what is said here. `label` is what is said of the host itself (`engine.labels.KEY`); people
    label nodes by `covey node update`.
    """

    state_dir: str = "/var/lib/covey"
    run_dir: str = "/run/covey"
    node_name: str = ""
    cpus: float = 0
    memory: str = ""
    cgroup_parent: str = "/covey"
    resolv_conf: str = "/etc/resolv.conf"
    insecure_registry: tuple[str, ...] = ()
    log_level: str = "info"
    generic_resource: tuple[str, ...] = ()
    label: tuple[str, ...] = ()

    @property
    def nano_cpus(self) -> int:
        """The CPUs offered, in billionths; 0 means all."""
        return round(self.cpus * 1_000_000_000)

    @property
    def memory_bytes(self) -> int:
        """The memory offered; 0 means all."""
        return parse_size(self.memory) if self.memory else 0

    @property
    def generic_resources(self) -> tuple[GenericResource, ...]:
        """The generic resources offered; raises `InvalidArgument`."""
        return generic.offered(self.generic_resource, "--generic-resource")

    @property
    def engine_labels(self) -> dict[str, str]:
        """What constraints and preferences know as `engine.labels.KEY`; raises `InvalidArgument`."""
        return _labels(self.label)


def load(file: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Read the file (the default one may be missing), let the flags that were given override it, check."""
    source = str(file or DEFAULT_FILE)
    values = _read(file) if file is not None else _read_default()
    values.update({name.replace("_", "-"): value for name, value in flags.items() if value not in (None, ())})
    values.setdefault("node-name", socket.gethostname())
    try:
        settings = msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(Settings))
        raise InvalidArgument(f"{source}: {error}; the settings are {known}") from error
    _check(settings)
    return settings


def parse_size(text: str) -> int:
    """Read an amount of memory such as `512m` or `1.5g` (powers of 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(
            f"memory {text!r} is not an amount; write bytes, or a number with k, m, g or t: 2g"
        )
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `disk=ssd`, or `disk` alone; the keys are such as a constraint can name."""
    found = dict[str, str]()
    for text in texts:
        key, _, value = text.partition("=")
        if not _LABEL.fullmatch(key):
            raise InvalidArgument(
                f"--label {text!r} is not KEY=VALUE with a key of letters, digits, -, _ and .: write disk=ssd"
            )
        if key in found:
            raise InvalidArgument(f"--label {key}={found[key]} and {text}: give each key once")
        found[key] = value
    size = sum(len(text.encode()) for text in texts)
    if size > limits.engine_labels_bytes_max:
        most = limits.engine_labels_bytes_max
        raise InvalidArgument(
            f"--label: {size} bytes are more than the {most} a host may have; use covey node update --label-add"
        )
    return found


def _read_default() -> dict[str, Any]:
    return _read(DEFAULT_FILE) if DEFAULT_FILE.exists() else {}


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise InvalidArgument(f"{file}: there is no such configuration file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file}: not TOML: {error}") from error
    except OSError as error:
        raise InvalidArgument(f"{file}: cannot be read: {error.strerror}") from error


def _check(settings: Settings) -> None:
    for flag, path in (
        ("state-dir", settings.state_dir),
        ("run-dir", settings.run_dir),
        ("resolv-conf", settings.resolv_conf),
        ("cgroup-parent", settings.cgroup_parent),
    ):
        if not path.startswith("/") or "\0" in path or ".." in Path(path).parts:
            raise InvalidArgument(f"--{flag} {path!r} is not an absolute path; begin it with /")
    if Path(settings.state_dir) == Path(settings.run_dir):
        raise InvalidArgument(
            f"--state-dir and --run-dir are both {settings.run_dir!r}; give two directories"
        )
    longest = os.fsencode(Path(settings.run_dir) / "manager.sock")
    if len(longest) > limits.unix_path_bytes_max:
        raise InvalidArgument(
            f"--run-dir {settings.run_dir!r} is too long: sockets in it may have "
            f"{limits.unix_path_bytes_max} bytes in all; choose a shorter one"
        )
    name = settings.node_name
    if not name or not name.isprintable() or len(name) > limits.hostname_length_chars_max or " " in name:
        raise InvalidArgument(f"--node-name {name!r} is not a host's name; use letters, digits, - and .")
    host_cpus = os.cpu_count() or 1
    if not 0 <= settings.cpus <= host_cpus:
        raise InvalidArgument(f"--cpus {settings.cpus:g} is not between 0 and the {host_cpus} this host has")
    if settings.memory and settings.memory_bytes < limits.memory_bytes_min:
        raise InvalidArgument(f"--memory {settings.memory!r} is less than {limits.memory_bytes_min} bytes")
    for registry in settings.insecure_registry:
        if not _REGISTRY.fullmatch(registry):
            raise InvalidArgument(
                f"--insecure-registry {registry!r} is not HOST or HOST:PORT, without http:// and path"
            )
    _ = settings.generic_resources, settings.engine_labels  # which say what is wrong with them
    if settings.log_level not in _LEVELS:
        raise InvalidArgument(f"--log-level {settings.log_level!r} is not one of {', '.join(_LEVELS)}")
