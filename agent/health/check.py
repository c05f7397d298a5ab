"""What is asked of a container and how often: the service's spec over the image's HEALTHCHECK, field by field."""

from msgspec import Struct

from agent.images.seam import ImageConfig, ImageHealthcheck
from covey import limits
from covey.errors import InvalidArgument
from covey.model.specs import HealthCheck

DEFAULT_SHELL = ("/bin/sh", "-c")
_REMEDY = "give the service a health check of its own, or none (--no-healthcheck)"


class Check(Struct, frozen=True, gc=False):
    """A health check with nothing left to look up. It is kept on disk with its task."""

    argv: tuple[str, ...]
    interval_ms: int
    timeout_ms: int
    start_period_ms: int
    start_interval_ms: int
    retries: int


def check_of(spec: HealthCheck | None, image: ImageConfig) -> Check | None:
    """How a container of this spec and image is checked; None if it is not.

    Raises:
        InvalidArgument: the check cannot be run, as the spec or the image has it.
    """
    asked, has = spec or HealthCheck(), image.healthcheck or ImageHealthcheck()
    argv = _argv(asked.test or has.test, image)
    if argv is None:
        if has.problem and not asked.test:
            raise InvalidArgument(f"the image's health check {has.problem}; {_REMEDY}")
        return None
    for name in ("interval_ns", "timeout_ns", "start_period_ns", "start_interval_ns", "retries"):
        value = getattr(asked, name) or getattr(has, name)
        if value < 0:
            raise InvalidArgument(
                f"the health check's {name} is {value}, and must not be negative; {_REMEDY}"
            )
    return Check(
        argv,
        _pause_ms(asked.interval_ns or has.interval_ns or limits.health_interval_ns),
        max(1, _ms(asked.timeout_ns or has.timeout_ns or limits.health_timeout_ns)),
        _ms(asked.start_period_ns or has.start_period_ns),
        _pause_ms(asked.start_interval_ns or has.start_interval_ns or limits.health_start_interval_ns),
        asked.retries or has.retries or limits.health_retries,
    )


def _argv(test: tuple[str, ...], image: ImageConfig) -> tuple[str, ...] | None:
    """The command of a test as Docker writes it, or None if there is none."""
    if not test or test[0] in ("", "NONE"):
        return None
    kind, *words = test
    if kind == "CMD" and words:
        return tuple(words)
    if kind == "CMD-SHELL" and words and words[0].strip():
        return (*(image.shell or DEFAULT_SHELL), *words)
    raise InvalidArgument(
        f"the health check {list(test)} cannot be run: it must be NONE, CMD and a program with its arguments, or "
        f"CMD-SHELL and a command; {_REMEDY}"
    )


def _pause_ms(pause_ns: int) -> int:
    return max(limits.health_pause_ms_min, _ms(pause_ns))


def _ms(duration_ns: int) -> int:
    return min(limits.health_duration_ms_max, duration_ns // 1_000_000)
