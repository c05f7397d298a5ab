"""The agent of one host, asked on the host itself: no manager need answer."""

from covey import limits
from covey.errors import CoveyError, FailedPrecondition, Interrupted, Unreachable
from covey.model.audit import AuditReport
from covey.v1 import dispatcher_pb2
from covey.wire.client import connect_unix
from covey.wire.codec import from_message
from covey.wire.services import NodeAgent

from .daemon import DaemonInfo, ProcessInfo, connect_daemon
from .host import Host
from .views import AuditedNode

_AGAIN = "ask again in a moment"


async def audit_node(host: Host, *, repair: bool = False) -> AuditedNode:
    """Have this host's node audited; with `repair`, it puts right what it may.

    Like a node that a manager asks, one whose agent cannot answer is a node with the reason in `unanswered`. Raises
    `Unavailable` if no coveyd runs, `PermissionDenied` if we are not root, `FailedPrecondition` if this is no node.
    """
    async with connect_daemon(host) as daemon:
        info = await daemon.info()
    if not info.node_id:
        raise FailedPrecondition(_no_node(info))
    question = dispatcher_pb2.AuditQuestion(repair=repair)
    report, unanswered = AuditReport(), ""
    try:
        async with connect_unix(host.agent_socket) as channel:
            answer = await channel.call(NodeAgent.audit, question, limits.audit_wait_s)
        report, unanswered = from_message(answer.report, AuditReport), answer.refusal
    except CoveyError as error:
        unanswered = _why(host, info, error)
    return AuditedNode(info.node_id, info.node_name, report, unanswered)


def _no_node(info: DaemonInfo) -> str:
    if info.under_way:
        return f"{info.under_way} is under way on this host; wait for it to end"
    return "this host is in no cluster, so there is nothing to audit: `covey init` or `covey join` makes it a node"


def _why(host: Host, info: DaemonInfo, error: CoveyError) -> str:
    """Say why the agent gave no answer, and what helps."""
    agent = next((each for each in info.processes if each.name == "agent"), ProcessInfo())
    if not agent.running:
        if info.under_way:
            return f"{info.under_way} is under way on this host, and its agent does not run; {_AGAIN}"
        died = f" ({agent.last_error})" if agent.last_error else ""
        return f"its agent does not run{died}; coveyd starts it again by itself, and its log says more"
    if isinstance(error, Unreachable):
        return f"its agent does not listen at {host.agent_socket} (yet): it has just been started; {_AGAIN}"
    if isinstance(error, Interrupted):
        return f"{error}; {_AGAIN}, and look at its agent's log"
    return str(error)
