"""What containers-storage prints is read, and what is broken is named."""

import json

import pytest

from agent.images.seam import ImageConfig, ImageHealthcheck
from agent.images.store.answers import configuration, images, lowerdirs
from agent.images.store.commands import Store
from covey.errors import Corrupt
from covey.model.reference import parse

SECOND = 1_000_000_000


def test_layers_from_the_top_down() -> None:
    text = b'[{"id":"a"},{"id":"c","parent":"b"},{"id":"b","parent":"a","size":1}]'
    assert lowerdirs(text, "c", "/r") == ("/r/overlay/c/diff", "/r/overlay/b/diff", "/r/overlay/a/diff")


@pytest.mark.parametrize(
    "text", [b"[]", b"null", b'[{"id":"c","parent":"gone"}]', b'[{"id":"c","parent":"c"}]']
)
def test_a_broken_chain_of_layers_is_named(text: bytes) -> None:
    with pytest.raises(Corrupt, match="layer"):
        lowerdirs(text, "c", "/r")


def test_settings_with_nulls_and_unknown_fields() -> None:
    text = b"""{"architecture":"amd64","os":"linux","created":"x","config":{"Entrypoint":null,"Cmd":["a","b"],
        "Env":["A=1"],"User":"app","Volumes":{"/b":{},"/a":{}},"ExposedPorts":{"80/tcp":{}},"StopSignal":"SIGINT",
        "Healthcheck":{"Test":["CMD","true"],"Interval":5},"Labels":{"x":"y"},"OnBuild":null}}"""
    system, architecture, config = configuration(text)
    assert (system, architecture) == ("linux", "amd64")
    assert (config.entrypoint, config.cmd, config.env, config.user) == ((), ("a", "b"), ("A=1",), "app")
    assert (config.volumes, config.exposed_ports) == (("/a", "/b"), ("80/tcp",))
    assert (config.stop_signal, config.labels) == ("SIGINT", {"x": "y"})
    assert config.healthcheck is not None
    assert (config.healthcheck.test, config.healthcheck.interval_ns) == (("CMD", "true"), 5)


def test_an_image_without_settings() -> None:
    assert configuration(b'{"architecture":"arm64","os":"linux","config":null}')[2].cmd == ()


def test_an_image_list() -> None:
    (image,) = images(b'[{"id":"x","names":["n"],"layer":"l","big-data-names":["manifest"],"created":"t"}]')
    assert (image.id, image.names, image.layer, image.config_name) == ("x", ("n",), "l", "sha256:x")
    assert images(b"null") == ()


def test_garbage_is_named() -> None:
    with pytest.raises(Corrupt, match="image list"):
        images(b"{")


def test_the_pull_is_pinned_and_its_policy_and_tls_are_said() -> None:
    digest = "sha256:" + "a" * 64
    argv = Store("/s", "/r").pull(
        "skopeo",
        parse(f"h:1/web:2@{digest}"),
        insecure=False,
        policy="/p",
        credentials=["--authfile=/proc/self/fd/9"],
    )
    assert argv[-2:] == [
        f"docker://h:1/web@{digest}",
        f"containers-storage:[overlay@/s+/r:overlay.skip_mount_home=true]h:1/web@{digest}",
    ]
    assert {"--src-tls-verify=true", "--src-authfile=/proc/self/fd/9"} <= set(argv)
    assert argv[1:3] == ["--policy", "/p"]


def healthcheck_of(health: object, **more: object) -> ImageConfig:
    config = {"Cmd": ["serve"], "Healthcheck": health, **more}
    return configuration(json.dumps({"os": "linux", "architecture": "amd64", "config": config}).encode())[2]


def test_a_health_check_is_read_as_docker_writes_it() -> None:
    whole = {
        "Test": ["CMD-SHELL", "curl -f localhost"],
        "Interval": 10_000_000_000,
        "Timeout": 3_000_000_000,
        "StartPeriod": 20_000_000_000,
        "StartInterval": 2_000_000_000,
        "Retries": 5,
    }
    read = healthcheck_of(whole, Shell=["/bin/bash", "-c"])
    assert read.healthcheck == ImageHealthcheck(
        ("CMD-SHELL", "curl -f localhost"), 10 * SECOND, 3 * SECOND, 20 * SECOND, 2 * SECOND, 5
    )
    assert read.shell == ("/bin/bash", "-c")
    assert healthcheck_of(None).healthcheck is None
    assert healthcheck_of({"Test": ["NONE"], "Interval": None}).healthcheck == ImageHealthcheck(("NONE",))


@pytest.mark.parametrize(
    "garbage",
    [
        "curl",
        7,
        ["CMD"],
        {"Test": "curl"},
        {"Test": [1]},
        {"Test": ["CMD"], "Interval": "30s"},
        {"Retries": 1.5},
    ],
)
def test_a_health_check_that_is_garbage_is_a_problem_and_no_more(garbage: object) -> None:
    read = healthcheck_of(garbage)
    assert read.cmd == ("serve",)
    assert read.healthcheck is not None
    assert "cannot be read" in read.healthcheck.problem


def test_a_shell_that_is_garbage_matters_only_to_a_health_check() -> None:
    assert healthcheck_of(None, Shell="bash").healthcheck is None
    read = healthcheck_of({"Test": ["CMD-SHELL", "true"]}, Shell="bash")
    assert "cannot be read" in (read.healthcheck or ImageHealthcheck()).problem
