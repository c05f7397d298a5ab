"""Asking registries through skopeo: the registry protocol, token servers, mirrors and proxies are its trade.

Shared by managers (which digest does a tag stand for now, and where does it run?) and agents (which copy images with it).
Credentials go through a memory file that only the child process inherits: they are on no disk and in no
argv.
"""

import base64
import hashlib
import ipaddress
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from covey import limits
from covey.errors import CoveyError, InvalidArgument, NotFound, PermissionDenied, Unavailable
from covey.io.process import Finished, require_program, run
from covey.model import platforms
from covey.model.reference import Reference
from covey.model.specs import Platform, RegistryAuth


def skopeo() -> str:
    """The path of skopeo, or `Unavailable` with the package to install."""
    return require_program("skopeo", "skopeo")


def is_insecure(registry: str, insecure: Collection[str]) -> bool:
    """Tell whether plain HTTP and unknown certificates are allowed for `registry` (host with optional port).

    `insecure` holds hosts, host:port pairs and CIDR blocks. Loopback addresses always are, as with Docker.
    """
    host = registry.rpartition(":")[0] if registry.rpartition(":")[2].isdigit() else registry
    if registry in insecure or host in insecure or host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or any(address in block for block in _blocks(insecure))


def _blocks(texts: Collection[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for text in texts:
        if "/" in text:
            try:
                yield ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise InvalidArgument(
                    f"insecure registry {text!r} is no HOST, HOST:PORT or CIDR block"
                ) from None


@contextmanager
def authfile(registry: str, auth: RegistryAuth | None) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Yield the option that gives skopeo `auth` and the descriptors it must inherit; both may be empty."""
    if auth is None or not (auth.username or auth.password):
        yield [], ()
        return
    secret = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
    fd = os.memfd_create("auth")
    try:
        os.write(fd, msgspec.json.encode({"auths": {registry: {"auth": secret}}}))
        yield [f"--authfile=/proc/self/fd/{fd}"], (fd,)
    finally:
        os.close(fd)


class Resolved(NamedTuple):
    """What a reference stands for: a digest (`sha256:...`), and the platforms it is for, none if nobody says."""

    digest: str
    platforms: tuple[Platform, ...] = ()


async def resolve(
    reference: Reference,
    *,
    insecure: Collection[str] = (),
    auth: RegistryAuth | None = None,
    timeout_s: float = limits.image_query_timeout_s,
) -> Resolved:
    """Find the manifest, or list of manifests, that `reference` stands for right now.

    Raises what `explain` says: `NotFound`, `PermissionDenied`, `InvalidArgument` or `Unavailable`.
    """
    begun_s = time.monotonic()
    tls = f"--tls-verify={'false' if is_insecure(reference.registry, insecure) else 'true'}"
    with authfile(reference.registry, auth) as (options, fds):

        async def inspect(name: str, *more: str, most_s: float = timeout_s) -> Finished:
            argv = [skopeo(), "inspect", "--raw", "--no-tags", tls, *options, *more, f"docker://{name}"]
            return await run(argv, timeout_s=most_s, pass_fds=fds)

        done = await inspect(reference.pull_name)
        if done.code != 0:
            raise explain(reference, done)
        digest = "sha256:" + hashlib.sha256(done.stdout).hexdigest()
        if reference.digest and digest != reference.digest:
            raise Unavailable(
                f"image {reference}: the registry answered with another manifest, {digest}; try again"
            )
        found = platforms.of_manifest(done.stdout)
        if (
            found is None
        ):  # one image: its configuration says it, and must not cost the digest if it cannot be had
            left_s = max(timeout_s - (time.monotonic() - begun_s), 1.0)
            config = await inspect(f"{reference.name}@{digest}", "--config", most_s=left_s)
            found = platforms.of_config(config.stdout) if config.code == 0 else ()
    return Resolved(digest, found)


class _Cause(NamedTuple):
    """What skopeo and registries say in one kind of trouble, and what we call it."""

    phrases: tuple[str, ...]
    kind: type[CoveyError]
    remedy: str


# The first that fits counts: an error often quotes another one.
_CAUSES = (
    _Cause(
        ("no space left on device", "disk quota exceeded"),
        Unavailable,
        "the disk that holds images is full; free some space",
    ),
    _Cause(
        ("no image found in manifest list", "no image found in image index"),
        InvalidArgument,
        "it is not made for this node's architecture; build it for that, or constrain the service",
    ),
    _Cause(
        ("manifest unknown", "name unknown", "not known to registry", "status 404", "not found:"),
        NotFound,
        "the registry has no such image or tag; check the name",
    ),
    _Cause(
        ("unauthorized", "authentication required", "denied", "status 401", "status 403", "forbidden"),
        PermissionDenied,
        "the registry refuses: it is private or does not exist; give credentials that may pull it",
    ),
    _Cause(
        ("server gave http response to https client", "x509:", "tls:", "certificate"),
        Unavailable,
        "the registry's TLS cannot be verified; install its CA, or list it with --insecure-registry",
    ),
    _Cause(
        ("toomanyrequests", "too many requests"),
        Unavailable,
        "the registry limits how often we ask; log in, or wait",
    ),
    _Cause(
        ("no such host", "connection refused", "timeout", "unreachable", "no route to host"),
        Unavailable,
        "the registry does not answer; check its address and the network",
    ),
)


def explain(reference: Reference, done: Finished) -> CoveyError:
    """What a failed skopeo means, as one of our errors with the image's name, the cause and the remedy."""
    said = done.stderr.decode(errors="replace").lower()
    last = _message(done.complaint)
    for cause in _CAUSES:
        if any(phrase in said for phrase in cause.phrases):
            return cause.kind(f"image {reference}: {cause.remedy} ({last})")
    return Unavailable(f"image {reference}: skopeo failed with code {done.code}: {last}")


def _message(complaint: str) -> str:
    """The human part of skopeo's last log line (`time=... level=fatal msg="..."`)."""
    line = complaint.rpartition("\n")[2]
    _, found, message = line.partition('msg="')
    return message.removesuffix('"').replace('\\"', '"') if found else line
