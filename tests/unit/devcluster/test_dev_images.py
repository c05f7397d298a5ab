"""The sample images, looked at without a registry or a runtime."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from devcluster.images import demo, layout

needs_tools = pytest.mark.skipif(
    not all(shutil.which(name) for name in ("busybox", "ping", "curl", "nslookup")),
    reason="what the images are made of is not installed",
)


def unpacked(image: layout.Image, root: Path) -> Path:
    """The image's files below `root`, as far as a user who is not root may make them."""
    for layer in image.layers:
        for entry in layer:
            path = root / entry.path
            if entry.kind == layout.directory("x").kind:
                path.mkdir(parents=True, exist_ok=True)
            elif entry.link:
                path.symlink_to(entry.link)
            else:
                path.write_bytes(entry.data)
                path.chmod(entry.mode)
    return root


@needs_tools
def test_the_web_answer_says_who_answered(tmp_path: Path) -> None:
    root = unpacked(demo.web("2"), tmp_path)
    environment = {"COVEY_TASK_NAME": "web.1.x", "COVEY_NODE_NAME": "w1", "REMOTE_ADDR": "[::ffff:10.0.0.5]"}
    script = root / "www" / "cgi-bin" / "index.cgi"
    answer = subprocess.run(
        [str(root / "bin" / "busybox"), "sh", str(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert answer.split("\n\n", 1)[-1].strip() == "version=2 task=web.1.x node=w1 client=10.0.0.5"


@needs_tools
def test_two_versions_share_their_base_layer(tmp_path: Path) -> None:
    for version in ("1", "2"):
        layout.write(demo.web(version), tmp_path / version)
    blobs = [set(os.listdir(tmp_path / version / "blobs" / "sha256")) for version in ("1", "2")]
    assert len(blobs[0] & blobs[1]) == 1


@needs_tools
def test_every_path_of_the_tools_image_has_its_folders_first() -> None:
    seen = {""}
    for layer in demo.tools().layers:
        for entry in layer:
            assert entry.path.rpartition("/")[0] in seen, entry.path
            if entry.kind == layout.directory("x").kind:
                seen.add(entry.path)
    assert {"usr/bin"} <= seen
