"""Audits on the session between an agent and the managers: who is asked, who answers, and what is kept of it."""

from random import Random

from agent.session.events import Audit, Audited, AuditedItself, Connected, Heard, Send
from agent.session.machine import Session
from agent.session.messages import AuditAnswer, AuditQuestion, SessionStarted
from covey.machine import Tick
from covey.model.audit import AuditReport
from covey.model.objects import AuditCount, AuditSummary, ClusterVersion, NodeDescription

ME = NodeDescription(hostname="host1")
QUESTION = AuditQuestion("a1", repair=True)
ANSWER = AuditAnswer("a1", AuditReport(compared=3))
SUMMARY = AuditSummary(at_ns=5, compared=3, counts=(AuditCount("FDB", 1),))


def session(*, opened: bool = True) -> Session:
    made = Session(ME, ("m1:2377",), Random(1))
    made.step(Tick(0))
    if opened:
        made.step(Connected(made.number))
        made.step(Heard(made.number, SessionStarted("s1", 1000, ClusterVersion(1, 10))))
    return made


def test_a_question_has_the_node_audited_and_the_answer_goes_up() -> None:
    asked = session()
    assert asked.step(Heard(asked.number, QUESTION)) == (Audit(QUESTION),)
    assert asked.step(Audited(ANSWER)) == (Send(asked.number, ANSWER),)


def test_a_question_before_the_session_has_started_ends_it() -> None:
    asked = session(opened=False)
    asked.step(Connected(asked.number))
    effects = asked.step(Heard(asked.number, QUESTION))
    assert not any(isinstance(each, Audit) for each in effects)


def test_an_answer_without_a_session_goes_nowhere() -> None:
    assert session(opened=False).step(Audited(ANSWER)) == ()


def test_what_the_node_found_by_itself_is_part_of_its_description() -> None:
    told = session()
    (effect,) = told.step(AuditedItself(SUMMARY))
    assert effect == Send(told.number, told.description)
    assert told.description.audit == SUMMARY
    assert told.description.hostname == "host1"

    away = session(opened=False)
    assert away.step(AuditedItself(SUMMARY)) == ()
    assert away.description.audit == SUMMARY, "it is told when the node registers"
