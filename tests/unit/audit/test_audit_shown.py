"""An audit as people read it."""

from covey.cli.show.audit import audit_text, is_clean, is_complete
from covey.client.views import AuditedNode, ClusterAudit
from covey.model.audit import AuditReport, Finding
from covey.model.objects import AuditCount

CLEAN = ClusterAudit(
    (
        AuditedNode("n1", "host1", AuditReport(compared=40)),
        AuditedNode("n2", "host2", AuditReport(compared=2)),
    ),
    AuditReport(compared=3),
)
MISSING = Finding("FDB", "net-1", "02:42 is missing on vx0")
DIRTY = ClusterAudit(
    (
        AuditedNode(
            "n1",
            "host1",
            AuditReport(compared=40, findings=(MISSING,), counts=(AuditCount("FDB", 3),), omitted=2),
        ),
        AuditedNode("n2", "host2", unanswered="it is down"),
    ),
    AuditReport(
        compared=3,
        findings=(Finding("store", "the managers", "VNI 5 is given 2 times"),),
        counts=(AuditCount("store", 1),),
    ),
)


def test_nothing_amiss() -> None:
    assert audit_text(CLEAN, repair=False) == "Nothing amiss on 2 nodes (45 things compared)"
    assert is_clean(CLEAN)
    assert is_complete(CLEAN)


def test_a_table_of_each_kind_and_who_did_not_answer() -> None:
    assert audit_text(DIRTY, repair=False) == (
        "FDB (1)\n"
        "NODE    WHERE   WHAT\n"
        "host1   net-1   02:42 is missing on vx0\n"
        "\n"
        "store (1)\n"
        "NODE       WHERE          WHAT\n"
        "managers   the managers   VNI 5 is given 2 times\n"
        "\n"
        "host1 has 2 more that are not listed; in all: 3 FDB\n"
        "Not answered: host2: it is down\n"
        "4 amiss on 1 node (43 things compared)"
    )
    assert not is_clean(DIRTY)
    assert not is_complete(DIRTY)


def test_what_was_repaired_and_what_remains() -> None:
    mended = Finding("FDB", "net-1", "02:42 is missing on vx0", repaired=True)
    left = Finding("rule", "the node", "table covey_foo is nothing that this version makes")
    report = AuditReport(compared=40, findings=(mended, left), counts=(AuditCount("rule", 1),))
    text = audit_text(ClusterAudit((AuditedNode("n1", "host1", report),), AuditReport()), repair=True)
    assert "FDB (1, 1 of them repaired)" in text
    assert "repaired" in text.splitlines()[2]
    assert text.splitlines()[-1] == "1 repaired, 1 amiss on 1 node (40 things compared)"


def test_what_is_unused_is_told_and_no_fault() -> None:
    report = AuditReport(compared=1, unused_images=2, unused_image_bytes=3 * 1024 * 1024)
    told = ClusterAudit((AuditedNode("n1", "host1", report),), AuditReport())
    assert "Unused: 2 images that no task refers to (3m)" in audit_text(told, repair=False)
    assert is_clean(told)


def test_what_is_worth_knowing_is_told_and_nothing_is_missing_for_it() -> None:
    report = AuditReport(compared=1, notes=("3 packets were dropped",))
    told = ClusterAudit((AuditedNode("n1", "host1", report),), AuditReport())
    assert "Note of host1: 3 packets were dropped" in audit_text(told, repair=False)
    assert is_clean(told)
    assert is_complete(told)
    unseen = AuditReport(compared=1, remarks=("names cannot be looked at: the server does not answer",))
    assert not is_complete(ClusterAudit((AuditedNode("n1", "host1", unseen),), AuditReport()))


def test_managers_that_do_not_come_to_an_end_are_missing() -> None:
    told = ClusterAudit(CLEAN.nodes)
    assert "the managers did not come to say" in audit_text(told, repair=False)
    assert is_clean(told)
    assert not is_complete(told)


def test_one_that_was_asked_at_its_own_host_misses_no_managers() -> None:
    told = ClusterAudit(CLEAN.nodes[:1], local=True)
    assert audit_text(told, repair=False) == "Nothing amiss on 1 node (40 things compared)"
    assert is_clean(told)
    assert is_complete(told)
    silent = ClusterAudit((AuditedNode("n1", "host1", unanswered="its agent does not run"),), local=True)
    assert audit_text(silent, repair=False) == (
        "Not answered: host1: its agent does not run\nNothing amiss on 0 nodes (0 things compared)"
    )
    assert not is_complete(silent)
