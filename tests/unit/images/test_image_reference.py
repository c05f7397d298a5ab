"""Image references mean what they mean to Docker."""

import pytest

from covey.errors import InvalidArgument
from covey.model.reference import Reference, parse

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("nginx", "docker.io", "library/nginx", "latest", ""),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27", ""),
        ("team/web", "docker.io", "team/web", "latest", ""),
        ("docker.io/nginx", "docker.io", "library/nginx", "latest", ""),
        ("localhost/web:2", "localhost", "web", "2", ""),
        ("10.77.0.1:5000/demo/web:1", "10.77.0.1:5000", "demo/web", "1", ""),
        (f"ghcr.io/a/b/c@{D}", "ghcr.io", "a/b/c", "", D),
        (f"ghcr.io/a/b:3@{D}", "ghcr.io", "a/b", "3", D),
        ("[::1]:5000/web", "[::1]:5000", "web", "latest", ""),
        ("a__b/c-d.e_f", "docker.io", "a__b/c-d.e_f", "latest", ""),
    ],
)
def test_parts(text: str, registry: str, repository: str, tag: str, digest: str) -> None:
    assert parse(text) == Reference(registry, repository, tag, digest)


@pytest.mark.parametrize("text", ["nginx:1", "team/web", f"ghcr.io/a/b:3@{D}", "h:1/x"])
def test_the_full_form_reads_back_as_itself(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)


def test_a_digest_is_pulled_rather_than_the_tag() -> None:
    assert parse(f"h:1/x:2@{D}").pull_name == f"h:1/x@{D}"
    assert parse("h:1/x:2").pull_name == "h:1/x:2"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "repository"),
        ("Nginx", "repository"),
        ("nginx:", "tag"),
        ("nginx:a b", "tag"),
        ("nginx:" + "a" * 129, "tag"),
        ("nginx@sha256:abc", "digest"),
        ("nginx@", "digest"),
        ("host:5000/", "repository"),
        ("ho$t:1/web", "registry"),
        ("a//b", "repository"),
        ("a/b/../c", "repository"),
        ("a/-b", "repository"),
        ("x/" + "a" * 300, "255"),
        ("--help", "repository"),
    ],
)
def test_a_malformed_one_is_refused_with_its_value_and_part(text: str, part: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse(text)
    assert repr(text) in str(refusal.value)
    assert part in str(refusal.value)
