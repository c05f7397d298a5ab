"""The image store behind the seam: find it here, or pull it once for all who ask."""

import asyncio
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from agent.images.seam import LocalImage, Unused
from covey import limits
from covey.errors import InvalidArgument, Unavailable
from covey.io.architecture import architecture
from covey.io.process import Finished, require_program, run
from covey.io.registry import authfile, explain, is_insecure, skopeo
from covey.model.reference import Reference, parse
from covey.model.specs import RegistryAuth

from .answers import StoredImage, configuration, images, lowerdirs, unused
from .commands import Store

_log = logging.getLogger(__name__)
_SYSTEM_POLICY = Path("/etc/containers/policy.json")
_NOTHING = (b"", b"[]", b"null")
_OPEN_POLICY = b'{"default":[{"type":"insecureAcceptAnything"}]}\n'


class SkopeoImages:
    """The image seam over skopeo and containers/storage.

    Images are kept in `root`, what ends with a reboot in `run_dir`. `insecure` lists registries that may
    speak plain HTTP (see `covey.io.registry.is_insecure`).
    """

    def __init__(self, root: Path, run_dir: Path, insecure: Collection[str] = ()) -> None:
        self._root = root
        self._run = run_dir / "images"
        self._store = Store(str(self._root), str(self._run))
        self._architecture = architecture()
        self._insecure = insecure
        self._known: dict[str, LocalImage] = {}
        self._flights: dict[str, asyncio.Task[LocalImage]] = {}
        self._places = asyncio.Semaphore(limits.image_pulls_at_once)
        self._policy: str | None = None
        self.pulls = 0  # how many were fetched from a registry

    async def close(self) -> None:
        """Stop pulls that are under way; what they have fetched is cleared up by the store itself."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def ensure(self, reference: str, auth: RegistryAuth | None = None) -> LocalImage:
        """See the seam. Whoever asks while a pull is under way waits for that one."""
        parsed = parse(reference)
        name = parsed.pull_name
        known = self._known.get(name)
        if known is not None and await asyncio.to_thread(_complete, known):
            return known
        flight = self._flights.get(name)
        if flight is None:
            flight = asyncio.create_task(self._find_or_pull(parsed, auth))
            self._flights[name] = flight
            flight.add_done_callback(lambda done: self._landed(name, done))
        # Shielded: one who gives up must not take the image from the others.
        return await asyncio.shield(flight)

    def _landed(self, name: str, flight: "asyncio.Task[LocalImage]") -> None:
        self._flights.pop(name, None)
        if not flight.cancelled() and flight.exception() is None:
            self._known[name] = flight.result()

    async def remove_unused(self, in_use: Sequence[str]) -> Sequence[str]:
        """See the seam."""
        done = await self._storage("images", "--json")
        gone = [image.id for image in images(done.stdout) if image.id not in in_use]
        for image_id in gone:
            await self._storage("delete-image", image_id)
        self._known = {name: image for name, image in self._known.items() if image.id not in gone}
        return sorted(gone)

    async def unused(self, in_use: Sequence[str]) -> Unused:
        """See the seam."""
        if not self._root.exists():
            return Unused()
        listed = await self._storage("images", "--json")
        layers = await self._storage("layers", "--json")
        return unused(listed.stdout, layers.stdout, in_use)

    async def _find_or_pull(self, reference: Reference, auth: RegistryAuth | None) -> LocalImage:
        if self._policy is None:
            self._policy = await asyncio.to_thread(self._make_ready)
        found = await self._find(reference)
        if found is not None:
            local = await self._local(reference, found)
            if await asyncio.to_thread(_complete, local):
                return local
            _log.warning("image %s has lost layers on disk; pulling it again", reference)
            await self._storage("delete-image", found.id)
        async with self._places:
            await self._pull(reference, auth)
        found = await self._find(reference)
        if found is None:
            raise Unavailable(
                f"image {reference} was pulled, but is not in the store {self._root}; try again"
            )
        return await self._local(reference, found)

    async def _find(self, reference: Reference) -> StoredImage | None:
        done = await self._answer("image", "--json", reference.pull_name)
        if done.code == 1 and done.stdout.strip() in _NOTHING:
            return None
        return next(iter(images(self._checked(done).stdout)), None)

    async def _pull(self, reference: Reference, auth: RegistryAuth | None) -> None:
        insecure = is_insecure(reference.registry, self._insecure)
        with authfile(reference.registry, auth) as (credentials, fds):
            argv = self._store.pull(
                skopeo(), reference, insecure=insecure, policy=self._policy or "", credentials=credentials
            )
            done = await run(argv, timeout_s=limits.image_pull_timeout_s, pass_fds=fds)
        if done.code != 0:
            raise explain(reference, done)
        self.pulls += 1

    async def _local(self, reference: Reference, image: StoredImage) -> LocalImage:
        config = await self._storage("get-image-data", image.id, image.config_name)
        system, architecture, settings = configuration(config.stdout)
        if (architecture and architecture != self._architecture) or system not in ("", "linux"):
            raise InvalidArgument(
                f"image {reference} is made for {system}/{architecture}, but this node is "
                f"linux/{self._architecture}; build it for that, or constrain the service to other nodes"
            )
        layers = await self._storage("layers", "--json")
        return LocalImage(image.id, lowerdirs(layers.stdout, image.layer, str(self._root)), settings)

    async def _storage(self, *arguments: str) -> Finished:
        return self._checked(await self._answer(*arguments))

    def _make_ready(self) -> str:
        """Make the directories; returns the signature policy to name to skopeo, empty for the host's own."""
        try:
            for folder in (self._root, self._run):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _SYSTEM_POLICY.exists():
                return ""
            _log.warning("%s is missing: images are taken without a signature policy", _SYSTEM_POLICY)
            policy = self._run / "policy.json"
            policy.write_bytes(_OPEN_POLICY)
            return str(policy)
        except OSError as error:
            raise Unavailable(f"the image store {self._root} cannot be made: {error}") from error

    async def _answer(self, *arguments: str) -> Finished:
        program = require_program("containers-storage", "containers-storage")
        return await run(self._store.storage(program, *arguments), timeout_s=limits.image_query_timeout_s)

    def _checked(self, done: Finished) -> Finished:
        if done.code != 0:
            raise Unavailable(f"the image store {self._root} fails: {done.complaint}; look at its disk")
        return done


def _complete(image: LocalImage) -> bool:
    """Tell whether all layers are still there: somebody may have cleared the store by hand."""
    return all(os.path.isdir(layer) for layer in image.layers)
