"""Images from a real registry into a real store."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.images.seam import Unused
from agent.images.store.driver import SkopeoImages
from covey.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from covey.io.architecture import architecture
from covey.io.registry import resolve
from covey.model.reference import parse
from covey.model.specs import Platform, RegistryAuth
from devcluster.images.layout import Image, directory, text
from tests.support.images_contract import SCENES, Scene
from tests.support.registry import Registry, registry

pytestmark = pytest.mark.root

WEB = Image(
    layers=((directory("etc"), text("etc/a", "1\n")), (text("etc/b", "2\n"), text("etc/.wh.a", ""))),
    config={"Cmd": ["sh"], "Env": ["A=1"], "WorkingDir": "/etc"},
)
ME = RegistryAuth("covey", "secret")


class Bed:
    def __init__(self, path: Path, server: Registry, stop: Callable[[], None]) -> None:
        self.path = path
        self.server = server
        self.stop_registry = stop
        self.digest = server.push(WEB, "web:1")
        self.web = self.named("web:1")
        self.images = self.new_images()
        self._pulled = 0

    def new_images(self) -> SkopeoImages:
        return SkopeoImages(self.path / "images", self.path / "run")

    def named(self, name: str) -> str:
        return f"{self.server.address}/{name}"

    def pulls(self) -> int:
        return self.images.pulls


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with ExitStack() as stack:
        server = stack.enter_context(registry(tmp_path / "registry"))
        yield Bed(tmp_path, server, stack.close)
    mine = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(tmp_path) in line]
    assert mine == []


def play(bed: Bed, scene: Callable[[Bed], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene(bed)
        await bed.images.close()

    asyncio.run(main())


@pytest.mark.parametrize("scene", SCENES, ids=lambda each: each.__name__)
def test_contract(scene: Scene, bed: Bed) -> None:
    play(bed, scene)


def test_layers_are_directories_from_the_top_down_with_whiteouts(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        image = await bed.images.ensure(bed.web)
        top, bottom = map(Path, image.layers)
        assert (bottom / "etc/a").read_text() == "1\n"
        assert (top / "etc/b").read_text() == "2\n"
        assert (top / "etc/a").is_char_device(), "overlayfs's sign for a removed file"
        assert (image.config.env, image.config.workdir) == (("A=1",), "/etc")

    play(bed, scene)


def test_a_digest_stays_what_it_is_when_the_tag_moves(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        pinned = f"{bed.web}@{bed.digest}"
        assert (await resolve(parse(bed.web))).digest == bed.digest
        newer = bed.server.push(Image(layers=((text("x", "new"),),)), "web:1")
        assert (await resolve(parse(bed.web))).digest == newer
        assert (await resolve(parse(pinned))).digest == bed.digest
        old, new = await bed.images.ensure(pinned), await bed.images.ensure(bed.web)
        assert old.id != new.id
        assert old.config.cmd == ("sh",)

    play(bed, scene)


def test_a_new_agent_finds_what_was_pulled(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        image = await bed.images.ensure(f"{bed.web}@{bed.digest}")
        bed.stop_registry()
        again = bed.new_images()
        assert await again.ensure(f"{bed.web}@{bed.digest}") == image
        await again.close()

    play(bed, scene)


def test_an_image_whose_layers_were_deleted_is_pulled_again(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        image = await bed.images.ensure(bed.web)
        shutil.rmtree(image.layers[0])
        again = await bed.images.ensure(bed.web)
        assert again == image

    play(bed, scene)
    assert len(list((bed.path / "images/overlay").glob("*/diff"))) == len(WEB.layers)


def test_of_an_image_list_the_one_for_this_machine_is_taken(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        other = Image(layers=((text("other", ""),),), architecture="s390x")
        bed.server.push_list({"s390x": other, architecture(): WEB}, "multi:1")
        digest, platforms = await resolve(parse(bed.named("multi:1")))
        assert set(platforms) == {Platform("linux", "s390x"), Platform("linux", architecture())}
        bed.server.push(other, "other:1")
        assert (await resolve(parse(bed.named("other:1")))).platforms == (Platform("linux", "s390x"),)
        assert digest != bed.digest
        image = await bed.images.ensure(f"{bed.named('multi:1')}@{digest}")
        assert image.config.cmd == ("sh",)
        before = bed.pulls()
        again = bed.new_images()
        assert await again.ensure(f"{bed.named('multi:1')}@{digest}") == image
        assert (again.pulls, bed.pulls()) == (0, before)
        await again.close()

    play(bed, scene)


def test_another_architecture_is_refused_with_both_names(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        other = Image(layers=((text("other", ""),),), architecture="s390x")
        bed.server.push(other, "single:1")
        bed.server.push_list({"s390x": other}, "listed:1")
        for name in ("single:1", "listed:1"):
            with pytest.raises(InvalidArgument, match=r"architecture|made for linux/s390x"):
                await bed.images.ensure(bed.named(name))

    play(bed, scene)


def test_credentials(tmp_path: Path) -> None:
    async def main(server: Registry) -> None:
        store = SkopeoImages(tmp_path / "images", tmp_path / "run")
        reference = f"{server.address}/private/web:1"
        for wrong in (None, RegistryAuth("covey", "wrong")):
            with pytest.raises(PermissionDenied, match="private/web:1"):
                await store.ensure(reference, wrong)
            with pytest.raises(PermissionDenied, match="private/web:1"):
                await resolve(parse(reference), auth=wrong)
        assert (await resolve(parse(reference), auth=ME)).digest.startswith("sha256:")
        assert (await store.ensure(reference, ME)).config.cmd == ("sh",)
        await store.close()

    with registry(tmp_path / "registry", password=True) as server:
        server.push(WEB, "private/web:1")
        asyncio.run(main(server))
    kept = [p for p in tmp_path.rglob("*") if p.is_file() and b"secret" in p.read_bytes()]
    assert kept == [], "credentials are on no disk"


def test_digests_of_what_is_not_there(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        with pytest.raises(NotFound, match="none:1"):
            await resolve(parse(bed.named("none:1")))
        bed.stop_registry()
        with pytest.raises(Unavailable, match="does not answer"):
            await resolve(parse(bed.web))

    play(bed, scene)


def test_one_who_gives_up_leaves_the_pull_to_the_others(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        impatient = asyncio.create_task(bed.images.ensure(bed.web))
        patient = asyncio.create_task(bed.images.ensure(bed.web))
        await asyncio.sleep(0.01)
        impatient.cancel()
        assert (await patient).id
        assert bed.pulls() == 1

    play(bed, scene)


def test_images_are_in_use_by_their_ids_and_by_what_they_were_asked_for_as(bed: Bed) -> None:
    async def scene(bed: Bed) -> None:
        assert await bed.images.unused(()) == Unused()
        pinned = f"{bed.web}@{bed.digest}"
        image = await bed.images.ensure(pinned)
        for known_as in (image.id, pinned):
            assert await bed.images.unused((known_as, "another")) == Unused()
        await bed.images.ensure(bed.web)
        assert await bed.images.unused((bed.web,)) == Unused()
        nobodys = await bed.images.unused(())
        assert nobodys.images == 1
        assert nobodys.bytes > 0
        await bed.images.remove_unused(())
        assert await bed.images.unused(()) == Unused()

    play(bed, scene)
