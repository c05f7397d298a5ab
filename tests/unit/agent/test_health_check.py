"""What is asked of a container: the spec over the image, field by field, with Docker's defaults."""

import pytest

from agent.health.check import Check, check_of
from agent.images.seam import ImageConfig, ImageHealthcheck
from covey import limits
from covey.errors import InvalidArgument
from covey.model.specs import HealthCheck

S = 1_000_000_000
BARE = ImageConfig()
ASKS = ImageConfig(
    healthcheck=ImageHealthcheck(("CMD", "ask", "me"), 10 * S, 3 * S, 20 * S, 2 * S, 5),
    shell=("/bin/ash", "-ec"),
)


def test_what_neither_names_is_dockers() -> None:
    check = check_of(HealthCheck(test=("CMD-SHELL", "true || false")), BARE)
    assert check == Check(("/bin/sh", "-c", "true || false"), 30_000, 30_000, 0, 5_000, 3)


def test_the_image_alone() -> None:
    assert check_of(None, ASKS) == Check(("ask", "me"), 10_000, 3_000, 20_000, 2_000, 5)


def test_words_after_a_command_line_are_its_arguments() -> None:
    check = check_of(HealthCheck(test=("CMD-SHELL", 'test "$0"', "x")), BARE)
    assert check is not None
    assert check.argv == ("/bin/sh", "-c", 'test "$0"', "x")


def test_each_field_of_the_spec_wins_for_itself() -> None:
    assert check_of(HealthCheck(interval_ns=S, retries=1), ASKS) == Check(
        ("ask", "me"), 1_000, 3_000, 20_000, 2_000, 1
    )
    assert check_of(HealthCheck(test=("CMD-SHELL", "x")), ASKS) == Check(
        ("/bin/ash", "-ec", "x"), 10_000, 3_000, 20_000, 2_000, 5
    )


@pytest.mark.parametrize(
    ("spec", "image"),
    [
        (None, BARE),
        (HealthCheck(), BARE),
        (HealthCheck(interval_ns=S), BARE),
        (HealthCheck(test=("NONE",)), ASKS),
        (None, ImageConfig(healthcheck=ImageHealthcheck(("NONE",)))),
        (None, ImageConfig(healthcheck=ImageHealthcheck((), 5 * S))),
        (HealthCheck(test=("NONE",)), ImageConfig(healthcheck=ImageHealthcheck(problem="is garbage"))),
    ],
)
def test_no_check(spec: HealthCheck | None, image: ImageConfig) -> None:
    assert check_of(spec, image) is None


@pytest.mark.parametrize(
    ("health", "word"),
    [
        (ImageHealthcheck(("curl", "localhost")), "'curl'"),
        (ImageHealthcheck(("CMD",)), "CMD"),
        (ImageHealthcheck(("CMD-SHELL", "  ")), "CMD-SHELL"),
        (ImageHealthcheck(("CMD", "x"), interval_ns=-1), "interval_ns is -1"),
        (ImageHealthcheck(("CMD", "x"), retries=-3), "retries is -3"),
        (ImageHealthcheck(problem="cannot be read (odd)"), "cannot be read"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_remedy(health: ImageHealthcheck, word: str) -> None:
    with pytest.raises(InvalidArgument, match="--no-healthcheck") as refusal:
        check_of(None, ImageConfig(healthcheck=health))
    assert word in str(refusal.value)
    own = check_of(HealthCheck(("CMD", "mine"), S, S, S, S, 1), ImageConfig(healthcheck=health))
    assert own == Check(("mine",), 1_000, 1_000, 1_000, 1_000, 1)


def test_durations_are_kept_within_reason() -> None:
    spec = HealthCheck(("CMD", "x"), interval_ns=1, timeout_ns=1, start_period_ns=10**30, start_interval_ns=1)
    assert check_of(spec, BARE) == Check(
        ("x",), limits.health_pause_ms_min, 1, limits.health_duration_ms_max, limits.health_pause_ms_min, 3
    )
