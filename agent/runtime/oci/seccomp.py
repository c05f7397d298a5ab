"""Which system calls a container may make: the host's default profile, narrowed to one capability set.

The profile is the file podman, CRI-O and buildah share (containers-common's seccomp.json, Docker's format
with conditions); the OCI specification wants the conditions decided. That is done once per set of
capabilities and kept: most containers on a host have the same one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from covey.errors import Unavailable

PROFILE = Path("/usr/share/containers/seccomp.json")


class Condition(Struct, frozen=True):
    """When a rule counts; everything given must hold."""

    arches: tuple[str, ...] | None = None
    caps: tuple[str, ...] | None = None
    min_kernel: str | None = msgspec.field(default=None, name="minKernel")


class Rule(Struct, frozen=True):
    """System calls and what becomes of them."""

    action: str
    names: tuple[str, ...] | None = None
    name: str | None = None
    args: tuple[dict[str, int | str], ...] | None = None
    includes: Condition | None = None
    excludes: Condition | None = None
    errno_ret: int | None = msgspec.field(default=None, name="errnoRet")


class ArchitectureMap(Struct, frozen=True):
    """An architecture and those whose calls it can make too."""

    architecture: str
    sub: tuple[str, ...] | None = msgspec.field(default=None, name="subArchitectures")


class Profile(Struct, frozen=True):
    """The file's content."""

    default_action: str = msgspec.field(name="defaultAction")
    syscalls: tuple[Rule, ...]
    default_errno: int | None = msgspec.field(default=None, name="defaultErrnoRet")
    architectures: tuple[ArchitectureMap, ...] = msgspec.field(default=(), name="archMap")


_SCMP_NAMES = {
    "amd64": "SCMP_ARCH_X86_64",
    "arm64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "s390x": "SCMP_ARCH_S390X",
    "riscv64": "SCMP_ARCH_RISCV64",
}


def compile_profile(
    profile: Profile, capabilities: Sequence[str], architecture: str, kernel: tuple[int, int]
) -> dict[str, object]:
    """The `linux.seccomp` object of an OCI specification for a container with `capabilities`.

    x32, amd64 calls with 32-bit pointers, is left out and so refused: hardly a kernel still takes such calls,
    no image makes them, and every container would wait 5 ms longer for the larger filter.
    """
    main = _SCMP_NAMES.get(architecture, "")
    sub = next((a.sub or () for a in profile.architectures if a.architecture == main), ())
    sub = tuple(each for each in sub if each != "SCMP_ARCH_X32")
    names = {architecture} | ({"x86"} if architecture == "amd64" else set[str]())
    caps = frozenset(capabilities)
    out: dict[str, object] = {"defaultAction": profile.default_action}
    if profile.default_errno is not None:
        out["defaultErrnoRet"] = profile.default_errno
    if main:
        out["architectures"] = [main, *sub]
    out["syscalls"] = [
        _compiled(rule)
        for rule in profile.syscalls
        if _included(rule.includes, names, caps, kernel) and not _excluded(rule.excludes, architecture, caps)
    ]
    return out


def _included(when: Condition | None, names: set[str], caps: frozenset[str], kernel: tuple[int, int]) -> bool:
    if when is None:
        return True
    if when.min_kernel:
        major, minor = when.min_kernel.split(".")[:2]
        if kernel < (int(major), int(minor)):
            return False
    return not (when.arches and not names & set(when.arches)) and caps >= set(when.caps or ())


def _excluded(when: Condition | None, architecture: str, caps: frozenset[str]) -> bool:
    return when is not None and (architecture in (when.arches or ()) or bool(caps & set(when.caps or ())))


def _compiled(rule: Rule) -> dict[str, object]:
    out: dict[str, object] = {"names": rule.names or (rule.name,), "action": rule.action}
    if rule.args:
        out["args"] = rule.args
    if rule.errno_ret is not None:
        out["errnoRet"] = rule.errno_ret
    return out


def profiles(
    path: Path, architecture: str, kernel: tuple[int, int]
) -> Callable[[tuple[str, ...]], Mapping[str, object]]:
    """A function from a capability set to its compiled profile, which reads `path` once, when first asked."""

    @cache
    def parsed() -> Profile:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Profile)
        except (OSError, msgspec.DecodeError) as error:
            raise Unavailable(
                f"the seccomp profile {path} cannot be used ({error}); install the package "
                "golang-github-containers-common, or run the service without seccomp"
            ) from error

    @cache
    def compiled(capabilities: tuple[str, ...]) -> Mapping[str, object]:
        return compile_profile(parsed(), capabilities, architecture, kernel)

    return compiled
