"""What becomes known of a task once an action for it has ended."""

from agent.images.seam import LocalImage
from covey import limits

from .events import Failure, Finished, Trouble
from .lifecycle import Act, Box
from .record import Record

_RISING = (Act.PULL, Act.ATTACH, Act.CREATE, Act.START)
_LEAVING = (Act.CLOSE, Act.DRAIN)


def succeeded(record: Record, event: Finished, now_ms: int) -> None:
    """Note in `record` what a successful action has brought about."""
    match event.act, event.result:
        case Act.PULL, LocalImage() as image:
            record.image = image
        case Act.ATTACH, str(netns):
            record.netns = netns
        case Act.CREATE, int(pid):
            record.box, record.pid = Box.CREATED, pid
            record.start_by_ms = now_ms + limits.task_table_wait_ms
        case Act.START, _:
            record.box = Box.RUNNING
        case (Act.CLOSE | Act.DRAIN) as act, _:
            _has_left(record, act)
        case Act.SIGNAL, _:
            record.kill_at_ms = now_ms + record.grace_ms
        case Act.KILL, _:
            record.killed = True
        case Act.RELEASE, _:
            record.attached = False
        case Act.DISCARD, _:
            record.box = Box.ABSENT
        case _:
            raise AssertionError(f"{event.act} does not end in {event.result!r}")


def failed(record: Record, act: Act, failure: Failure, *, may_wait: bool) -> bool:
    """Note in `record` that an action failed; returns whether it is to be tried again.

    If not, it has failed for good, and the lifecycle ends the task; or, for a task that ends anyway, it is done
    without. `may_wait`: what was denied may be granted once the managers send credentials again.
    """
    if act in _LEAVING:
        _has_left(record, act)
        return False
    again = failure.trouble is not Trouble.FATAL and (
        act is not Act.START or failure.trouble is Trouble.NOT_BEGUN
    )
    if act in _RISING and not (failure.denied and may_wait):
        record.attempts += failure.trouble is not Trouble.NOT_BEGUN
        if not again or record.attempts >= limits.task_attempts_max:
            record.failure = failure
            return False
    return True


def _has_left(record: Record, act: Act) -> None:
    if act is Act.CLOSE:
        record.leaving.has_ports = False
    else:
        record.leaving.empty = True
