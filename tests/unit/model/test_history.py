"""Which revision is the one before."""

from covey.model.history import AUTOMATIC, goes_back_to
from covey.model.objects import Revision
from covey.model.specs import ContainerSpec, Placement, ServiceMode, ServiceSpec, TaskSpec


def revision(
    number: int, image: str, generation: int, *, replicas: int = 1, back: int = 0, who: str = "root on m1"
) -> Revision:
    spec = ServiceSpec(
        name="web", task=TaskSpec(container=ContainerSpec(image=image)), mode=ServiceMode(replicas=replicas)
    )
    return Revision(number=number, restart_generation=generation, spec=spec, restores=back, author=who)


GOOD, BETTER = revision(1, "web:1", 1), revision(2, "web:2", 2)
BAD, RESTORED = revision(3, "none", 3), revision(4, "web:2", 2, back=2, who=AUTOMATIC)


def test_it_is_the_newest_older_one_that_makes_a_difference() -> None:
    assert goes_back_to(BETTER, [GOOD, BETTER]) is GOOD
    scaled = revision(3, "web:2", 2, replicas=7)
    assert goes_back_to(scaled, [scaled, BETTER, GOOD]) is GOOD
    assert goes_back_to(GOOD, [GOOD, BETTER]) is None


def test_what_had_failed_is_not_brought_back_by_itself() -> None:
    assert goes_back_to(RESTORED, [GOOD, BETTER, BAD, RESTORED]) is GOOD
    assert goes_back_to(RESTORED, [BAD, RESTORED]) is BAD, "no more is known"


def test_a_rollback_that_was_asked_for_can_be_undone() -> None:
    asked = revision(3, "web:1", 1, back=1)
    assert goes_back_to(asked, [GOOD, BETTER, asked]) is BETTER


def test_tasks_that_may_run_elsewhere_are_a_difference() -> None:
    task = TaskSpec(container=ContainerSpec(image="web:1"), placement=Placement(("node.role==worker",)))
    moved = Revision(number=2, restart_generation=1, spec=ServiceSpec(name="web", task=task))
    assert goes_back_to(moved, [GOOD, moved]) is GOOD
