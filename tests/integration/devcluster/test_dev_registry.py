"""The registry answers on the fabric, and holds the sample images."""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import members, namespaces, record, registry, sweep
from devcluster.fabric import Fabric, default_publish
from devcluster.images import demo
from devcluster.place import REGISTRY, Place

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    place = Place(f"tr{os.getpid()}")
    with record.locked(place):
        sweep.clear(place)
        Fabric(place).build(default_publish)
        Fabric(place).plug("w1")
        registry.start(place)
        registry.push_samples(place)
    yield place
    with record.locked(place):
        sweep.remove(place)


def inspected(place: Place, reference: str) -> dict[str, object]:
    image = f"docker://{place.registry}/{reference}"
    argv = ["skopeo", "inspect", "--tls-verify=false", "--config", image]
    return dict(json.loads(namespaces.run(place.netns("w1"), argv))["config"])


def test_the_catalogue(place: Place) -> None:
    assert registry.catalogue(place) == ["demo/tools", "demo/web"]


def test_a_node_sees_the_images_over_the_fabric(place: Place) -> None:
    assert inspected(place, "demo/web:2")["Entrypoint"] == ["/bin/serve"]
    assert inspected(place, "demo/tools:1")["Cmd"] == ["/bin/idle"]


def test_starting_it_again_changes_nothing(place: Place) -> None:
    before = members.processes_of_member(place, REGISTRY)
    registry.start(place)
    registry.push_samples(place)
    assert members.processes_of_member(place, REGISTRY) == before


def test_of_two_who_write_images_at_once_one_waits(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "old").mkdir(parents=True)
    with (tmp_path / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other one is at work
        writing = threading.Thread(target=demo.write_all, args=(folder,))
        writing.start()
        writing.join(1.0)
        assert (folder / "old").exists()
        assert writing.is_alive()
    writing.join()
    assert {path.name for path in folder.iterdir()} == {"demo-web-1", "demo-web-2", "demo-tools-1", "stamp"}


def test_written_images_are_kept_while_current(tmp_path: Path) -> None:
    demo.write_all(tmp_path)
    before = (tmp_path / "demo-tools-1" / "index.json").stat().st_mtime_ns
    demo.write_all(tmp_path)
    assert (tmp_path / "demo-tools-1" / "index.json").stat().st_mtime_ns == before
    assert {path.name for path in tmp_path.iterdir()} == {"demo-web-1", "demo-web-2", "demo-tools-1", "stamp"}
