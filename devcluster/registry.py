"""Debian's docker-registry on the fabric, plain HTTP, with the sample images in it."""

import http.client
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

from covey.errors import Unavailable
from covey.io import netns

from . import members, namespaces
from .fabric import Fabric
from .images import demo
from .place import CHECKOUT, REGISTRY, Place, address_of, registry_port

PROGRAM = "docker-registry"
image_cache = CHECKOUT / ".covey-dev" / "images"
_ready_bound_s = 20.0


def start(place: Place) -> None:
    """Start the registry and push the sample images; one that runs and has them stays as it is."""
    program = shutil.which(PROGRAM, path="/usr/bin:/usr/local/bin")
    if program is None:
        raise Unavailable(f"{PROGRAM} is not installed: run `make setup`")
    if not (members.is_running(place, REGISTRY) and netns.exists(place.netns(REGISTRY))):
        members.power_off(place, REGISTRY)
        Fabric(place).plug(REGISTRY)
        members.start(place, REGISTRY, [program, "serve", _write_config(place)])
    try:
        members.wait_until(
            lambda: catalogue(place) is not None,
            "the registry's first answer",
            _ready_bound_s,
            lambda: members.is_running(place, REGISTRY),
        )
    except Unavailable as error:
        raise Unavailable(f"{error}\n{members.last_words(place, REGISTRY)}") from error


def push_samples(place: Place) -> None:
    """Put the sample images into the registry, those that it has not yet."""
    demo.write_all(image_cache)
    enter = namespaces.command(place.netns(REGISTRY), [])
    with ThreadPoolExecutor(max_workers=len(demo.references)) as pushing:
        for pushed in [
            pushing.submit(demo.push, reference, image_cache, place.registry, enter)
            for reference in demo.references
        ]:
            pushed.result()


def catalogue(place: Place) -> list[str] | None:
    """The repositories that the registry has; None while it does not answer."""
    return netns.call_inside(place.netns(REGISTRY), _catalogue)


def _catalogue() -> list[str] | None:
    connection = http.client.HTTPConnection(address_of(REGISTRY), registry_port, timeout=2)
    try:
        connection.request("GET", "/v2/_catalog")
        answer = connection.getresponse()
        return list(json.loads(answer.read())["repositories"]) if answer.status == http.client.OK else None
    except OSError:
        return None
    finally:
        connection.close()


def _write_config(place: Place) -> str:
    """The registry's settings; JSON is YAML too."""
    home = place.home(REGISTRY)
    (home / "data").mkdir(parents=True, exist_ok=True)
    settings = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(home / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"{address_of(REGISTRY)}:{registry_port}"},
    }
    path = home / "config.yml"
    path.write_text(json.dumps(settings, indent=1))
    return str(path)
