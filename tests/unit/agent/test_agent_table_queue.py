from agent.tasks.tables import Applied, Apply, Complain, InForce, TableQueue, Wish, Wished
from covey import limits
from covey.machine import Tick
from covey.model.objects import ClusterVersion, Network
from covey.model.tables import NetworkTable

NET = Network(id="net")


def table(index: int) -> NetworkTable:
    return NetworkTable("net", ClusterVersion(1, index))


def test_while_one_table_is_applied_only_the_newest_other_waits() -> None:
    queue = TableQueue()
    assert queue.step(Wished("net", Wish(table=table(1)))) == (Apply("net", Wish(table=table(1))),)
    assert queue.step(Wished("net", Wish(table=table(2)))) == ()
    assert queue.step(Wished("net", Wish(table=table(3)))) == ()
    assert queue.step(Applied("net")) == (
        InForce("net", ClusterVersion(1, 1)),
        Apply("net", Wish(table=table(3))),
    )
    assert queue.step(Applied("net")) == (InForce("net", ClusterVersion(1, 3)),)


def test_networks_do_not_wait_for_each_other() -> None:
    queue = TableQueue()
    queue.step(Wished("net", Wish(table=table(1))))
    assert queue.step(Wished("other", Wish(network=NET))) == (Apply("other", Wish(network=NET)),)


def test_leaving_swallows_what_was_wanted_before_and_precedes_what_is_wanted_after() -> None:
    queue = TableQueue()
    queue.step(Wished("net", Wish(table=table(1))))
    queue.step(Wished("net", Wish(table=table(2))))
    queue.step(Wished("net", Wish(gone=True)))
    queue.step(Wished("net", Wish(network=NET)))
    queue.step(Wished("net", Wish(table=table(3))))
    assert queue.step(Applied("net"))[-1] == Apply("net", Wish(True, NET, table(3)))


def test_a_failure_is_told_and_tried_again_without_losing_anything() -> None:
    queue = TableQueue()
    queue.step(Wished("net", Wish(network=NET)))
    queue.step(Wished("net", Wish(table=table(1))))
    assert queue.step(Applied("net", "no such device")) == (
        Complain("net", "no such device"),
        Apply("net", Wish(network=NET, table=table(1))),
    )
    assert queue.step(Applied("net", "no such device")) == (Complain("net", "no such device"),)
    assert queue.wake_ms == limits.task_retry_delay_ms
    assert queue.step(Tick(limits.task_retry_delay_ms)) == [Apply("net", Wish(network=NET, table=table(1)))]
    assert queue.wake_ms is None
