"""What is left: placement preferences, ulimits, times, commands, and credentials."""

import base64
import binascii
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from covey.errors import InvalidArgument
from covey.model import constraint as constraints
from covey.model import reference
from covey.model.specs import GenericResource, RegistryAuth, SpreadPreference, Ulimit

from .amounts import duration_ns

_SPREAD = re.compile(r"(node|engine)\.labels\.\S+")
_ULIMIT = re.compile(r"(\w+)=(-?\d{1,18})(?::(-?\d{1,18}))?")
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


def constraint(text: str) -> str:
    """Read a placement constraint and return it in its plainest form."""
    return str(constraints.parse(text))


def preference(text: str) -> SpreadPreference:
    """Read a placement preference, `spread=node.labels.zone`."""
    key, _, value = text.partition("=")
    if key.strip() != "spread" or not _SPREAD.fullmatch(value):
        raise InvalidArgument(f"{text!r} is not a preference: write it like spread=node.labels.zone")
    return SpreadPreference(value)


def ulimit(text: str) -> Ulimit:
    """Read `NAME=SOFT` or `NAME=SOFT:HARD`; -1 means unlimited."""
    form = _ULIMIT.fullmatch(text)
    if form is None:
        raise InvalidArgument(f"{text!r} is not a ulimit: write it like nofile=1024 or nofile=1024:4096")
    soft = int(form[2])
    hard = int(form[3]) if form[3] else soft
    if min(soft, hard) < -1 or (hard != -1 and (soft > hard or soft == -1)):
        raise InvalidArgument(f"{text!r}: the soft limit is over the hard one; the second number is the hard")
    return Ulimit(form[1].lower().removeprefix("rlimit_"), soft, hard)


def generic_resource(text: str) -> GenericResource:
    """Read a reservation of what nodes offer, `gpu=2`."""
    kind, equals, count = text.partition("=")
    if not equals or not kind.strip() or not re.fullmatch(r"[1-9]\d{0,8}", count):
        raise InvalidArgument(
            f"{text!r} is not a generic resource: write KIND=COUNT, such as gpu=2; which of them a task gets "
            "is the scheduler's to choose"
        )
    return GenericResource(kind=kind.strip(), count=int(count))


def health_test(text: str) -> tuple[str, ...]:
    """Read a health check's command, which the container's shell will run."""
    if not text.strip():
        raise InvalidArgument("the check is empty: write a command, or use --no-healthcheck to have none")
    return ("CMD-SHELL", text)


def command(text: str) -> tuple[str, ...]:
    """Split a command as a shell would, without running one."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InvalidArgument(f"{text!r} cannot be split into words ({error}): check its quotes") from error


def image(text: str) -> str:
    """Check an image reference; it is kept as typed."""
    reference.parse(text)
    return text


def since_ns(text: str, now_ns: int) -> int:
    """Read a time: a duration before now (`10m`), seconds since 1970, or a date as in RFC 3339. UTC without a zone."""
    try:
        return now_ns - duration_ns(text)
    except InvalidArgument:
        pass
    try:
        return int(float(text) * 1e9) if re.fullmatch(r"\d{1,11}(\.\d+)?", text) else _date_ns(text)
    except ValueError:
        raise InvalidArgument(
            f"{text!r} is not a time: write 10m for ten minutes ago, or a date such as 2030-01-31T12:00:00Z"
        ) from None


def _date_ns(text: str) -> int:
    date = datetime.fromisoformat(text)
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return int(date.timestamp()) * 1_000_000_000 + date.microsecond * 1_000


def tail(text: str) -> int:
    """Read what `--tail` takes: a number of lines, or `all`, which is -1."""
    if text == "all":
        return -1
    if not text.isdecimal() or len(text) > 18:
        raise InvalidArgument(f"{text[:40]!r} is not a number of lines: write one, or all")
    return int(text)


def login_files(environment: Mapping[str, str], home: Path, user_id: int) -> list[Path]:
    """List where logins to registries are kept, all in Docker's form: what is set first, then the usual places."""
    set_one = environment.get("REGISTRY_AUTH_FILE")
    docker = environment.get("DOCKER_CONFIG")
    runtime = environment.get("XDG_RUNTIME_DIR")
    return [
        *([Path(set_one)] if set_one else []),
        Path(docker) / "config.json" if docker else home / ".docker" / "config.json",
        (Path(runtime) / "containers" if runtime else Path(f"/run/containers/{user_id}")) / "auth.json",
        home / ".config" / "containers" / "auth.json",
    ]


class _Login(msgspec.Struct):
    auth: str = ""


class _DockerConfig(msgspec.Struct):
    auths: dict[str, _Login] = {}


def credentials(config: bytes, where: str, image_text: str) -> RegistryAuth:
    """Find the credentials for an image's registry in the text of a Docker `config.json`."""
    registry = reference.parse(image_text).registry
    keys = _HUB_KEYS if registry == reference.DOCKER_HUB else (registry, f"https://{registry}")
    try:
        logins = msgspec.json.decode(config, type=_DockerConfig).auths
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"{where} is not a Docker configuration ({error}); log in to {registry}"
        ) from error
    login = next((logins[key].auth for key in keys if key in logins), "")
    try:
        user, colon, password = base64.b64decode(login, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = colon = password = ""
    if not colon:
        remedy = "log in to it, with the password stored in this file rather than by a credential helper"
        raise InvalidArgument(f"{where} has no credentials for {registry}: {remedy}")
    return RegistryAuth(user, password)
