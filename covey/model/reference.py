"""Image references as Docker writes them: `[registry/]repository[:tag][@digest]`.

The grammar is that of the distribution project's reference documentation. A first component counts as a
registry only if it has a dot, a colon or a capital letter, or is `localhost`; without one the registry is
Docker Hub, where single-word repositories live under `library/`. Without tag and digest the tag is
`latest`.
"""

import re

from msgspec import Struct

from covey.errors import InvalidArgument

DOCKER_HUB = "docker.io"

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_REGISTRY = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME_CHARS_MAX = 255
_TEXT_CHARS_MAX = _NAME_CHARS_MAX + 1 + 128 + 1 + 71  # name:tag@digest


class Reference(Struct, frozen=True, gc=False):
    """A parsed image reference: the registry and full repository, and what picks one image of it."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def pull_name(self) -> str:
        """What to ask a registry for: the digest if there is one, else the tag; never both."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.name + tag + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Read a reference; raises `InvalidArgument` naming `text` and the part that is wrong."""
    if len(text) > _TEXT_CHARS_MAX:
        raise InvalidArgument(f"image {text[:40]!r}...: {len(text)} characters are too many for a reference")
    rest, at, digest = text.partition("@")
    if at:
        _require(_DIGEST, digest, "digest", text)
    first, slash, remainder = rest.partition("/")
    registry = ""
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry, rest = first, remainder
    repository, colon, tag = rest.partition(":")
    if colon:
        _require(_TAG, tag, "tag", text)
    if registry:
        _require(_REGISTRY, registry, "registry", text)
    if registry in ("", "index.docker.io"):
        registry = DOCKER_HUB
    if not repository:
        raise InvalidArgument(f"image {text!r}: no repository; write it like nginx:1.27")
    for component in repository.split("/"):
        _require(_COMPONENT, component, "repository", text)
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if len(registry) + 1 + len(repository) > _NAME_CHARS_MAX:
        raise InvalidArgument(f"image {text!r}: the name is longer than {_NAME_CHARS_MAX} characters")
    return Reference(registry, repository, tag or ("" if digest else "latest"), digest)


_EXAMPLES = {
    "digest": "sha256: and 64 hexadecimal digits",
    "tag": "up to 128 letters, digits, '_', '.' and '-', e.g. 1.27",
    "registry": "a host with an optional port, e.g. registry.example.com:5000",
    "repository": "lower-case words joined by '/', '.', '_' or '-', e.g. team/web",
}


def _require(pattern: re.Pattern[str], value: str, part: str, text: str) -> None:
    if not pattern.fullmatch(value):
        raise InvalidArgument(f"image {text!r}: {value!r} is no {part}; it must be {_EXAMPLES[part]}")
