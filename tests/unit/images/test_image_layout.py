"""The layout writer makes what the OCI image specification asks for, the same bytes each time."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from devcluster.images.layout import Image, directory, symlink, text, write

IMAGE = Image(
    layers=((directory("etc"), text("etc/a", "1\n")), (text("etc/.wh.a", ""), symlink("b", "etc"))),
    config={"Cmd": ["sh"]},
    architecture="amd64",
)


def test_every_blob_is_named_by_its_digest_and_the_manifest_is_the_one_returned(tmp_path: Path) -> None:
    digest = write(IMAGE, tmp_path, "1")
    blobs = {f"sha256:{p.name}": p.read_bytes() for p in (tmp_path / "blobs" / "sha256").iterdir()}
    assert all(name == "sha256:" + hashlib.sha256(data).hexdigest() for name, data in blobs.items())
    (entry,) = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert entry["digest"] == digest
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "1"
    manifest = json.loads(blobs[digest])
    config = json.loads(blobs[manifest["config"]["digest"]])
    assert config["config"] == {"Cmd": ["sh"]}
    tars = [gzip.decompress(blobs[layer["digest"]]) for layer in manifest["layers"]]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
    with tarfile.open(fileobj=io.BytesIO(tars[1])) as top:
        assert top.getnames() == ["etc/.wh.a", "b"]


def test_the_same_image_has_the_same_digest(tmp_path: Path) -> None:
    assert write(IMAGE, tmp_path / "a") == write(IMAGE, tmp_path / "b")
