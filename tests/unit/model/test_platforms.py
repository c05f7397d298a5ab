"""Which platforms an image is for, and whether a node is one of them."""

from collections.abc import Mapping

import msgspec
import pytest

from covey import limits
from covey.model.objects import Node, NodeDescription
from covey.model.platforms import made_for, of_config, of_manifest
from covey.model.specs import Platform

AMD, ARM = Platform("linux", "amd64"), Platform("linux", "arm64")


def listing(*platforms: Mapping[str, object] | None) -> bytes:
    return msgspec.json.encode(
        {"manifests": [{"digest": "sha256:0", "platform": each} for each in platforms]}
    )


def said(platform: Platform, **more: object) -> dict[str, object]:
    return {"os": platform.os, "architecture": platform.architecture, **more}


def on(os: str, architecture: str) -> Node:
    return Node(id="n", description=NodeDescription(platform=Platform(os, architecture)))


def test_a_list_says_each_of_its_platforms_once() -> None:
    attestation = {"os": "unknown", "architecture": "unknown"}
    raw = listing(said(AMD), said(ARM, variant="v8"), said(ARM), attestation)
    assert of_manifest(raw) == (AMD, ARM)


@pytest.mark.parametrize(
    "raw",
    [
        listing(said(AMD), None),
        listing(said(AMD), {"os": "linux"}),
        listing(said(AMD), {"os": "linux", "architecture": "two words"}),
        listing({"os": 5, "architecture": ["amd64"]}),
        listing(
            *({"os": "linux", "architecture": f"a{nth}"} for nth in range(limits.image_platforms_max + 1))
        ),
        listing(),
    ],
)
def test_a_list_that_does_not_say_it_of_all_is_for_any_node(raw: bytes) -> None:
    assert of_manifest(raw) == ()


def test_one_image_says_it_in_its_configuration() -> None:
    assert of_manifest(b'{"config": {"digest": "sha256:0"}, "layers": []}') is None
    assert of_config(msgspec.json.encode(said(ARM, rootfs={}))) == (ARM,)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"{}", b'{"os": "linux"}', b"\xff"])
def test_what_says_nothing_is_for_any_node(raw: bytes) -> None:
    assert of_config(raw) == ()
    assert of_manifest(raw) is None


def test_a_node_is_one_of_them_whatever_its_kernel_calls_it() -> None:
    assert made_for((), on("linux", "riscv64"))
    assert made_for((AMD, ARM), on("linux", "aarch64"))
    assert not made_for((AMD,), on("linux", "arm64"))
    assert not made_for((AMD,), on("windows", "amd64"))
    assert made_for((Platform("linux"),), on("Linux", "s390x"))
