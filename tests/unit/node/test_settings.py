from pathlib import Path

import pytest

from covey.errors import InvalidArgument
from covey.model.specs import GenericResource
from node.settings import Settings, load, parse_size


def test_flags_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "coveyd.toml"
    file.write_text('state-dir = "/a"\nnode-name = "n1"\ncpus = 1\ninsecure-registry = ["r:5000"]\n')
    settings = load(file, {"state_dir": "/b", "node_name": None, "insecure_registry": ()})
    expected = Settings(state_dir="/b", node_name="n1", cpus=1, insecure_registry=("r:5000",))
    assert settings == expected
    assert settings.nano_cpus == 1_000_000_000


def test_without_a_name_the_node_is_called_like_its_host() -> None:
    assert load(None, {}).node_name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("state-dir = 5", "state-dir"),
        ("stat-dir = '/a'", "unknown field `stat-dir`"),
        ("not toml", "not TOML"),
        ("cpus = 'two'", "cpus"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "coveyd.toml"
    file.write_text(text)
    with pytest.raises(InvalidArgument, match=says) as caught:
        load(file, {})
    assert str(file) in str(caught.value)


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no such configuration file"):
        load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("state_dir", "relative"),
        ("run_dir", "/a/../b"),
        ("run_dir", "/" + "x" * 100),
        ("run_dir", "/var/lib/covey"),
        ("cgroup_parent", "covey"),
        ("node_name", "a b"),
        ("cpus", -1.0),
        ("cpus", 1e9),
        ("memory", "lots"),
        ("memory", "1k"),
        ("insecure_registry", ("http://r:5000",)),
        ("generic_resource", ("gpu",)),
        ("generic_resource", ("gpu=1", "gpu=UUID-1")),
        ("generic_resource", ("gpu=-1",)),
        ("label", ("=ssd",)),
        ("label", ("my disk=ssd",)),
        ("label", ("disk=ssd", "disk=hdd")),
        ("log_level", "loud"),
    ],
)
def test_a_bad_flag_is_named_with_its_value(flag: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=flag.replace("_", "-")) as caught:
        load(None, {flag: value})
    shown = value[0] if isinstance(value, tuple) else value
    assert f"{shown:g}" if isinstance(shown, float) else str(shown) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("512m", 512 * 1024**2), ("1.5G", 3 * 1024**3 // 2), ("2GiB", 2 * 1024**3)],
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_generic_resources_come_from_the_file_or_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "coveyd.toml"
    file.write_text('generic-resource = ["gpu=UUID-1", "gpu=UUID-2"]\n')
    named = (GenericResource("gpu", "UUID-1", 1), GenericResource("gpu", "UUID-2", 1))
    assert load(file, {}).generic_resources == named
    assert load(file, {"generic_resource": ("ssd=3",)}).generic_resources == (
        GenericResource("ssd", count=3),
    )


def test_labels_come_from_the_file_or_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "coveyd.toml"
    file.write_text('label = ["rack=r7", "note=a=b"]\n')
    assert load(file, {}).engine_labels == {"rack": "r7", "note": "a=b"}
    assert load(file, {"label": ("fast",)}).engine_labels == {"fast": ""}
    with pytest.raises(InvalidArgument, match="more than the 2048"):
        load(file, {"label": tuple(f"k{number}={'v' * 40}" for number in range(60))})
