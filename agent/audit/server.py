"""The agent's own socket, where root on this host asks for audits: no manager need answer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from agent.session.messages import AuditAnswer, AuditQuestion
from covey.errors import Unavailable
from covey.v1 import dispatcher_pb2
from covey.wire.codec import from_message, to_message
from covey.wire.server import serve_unix
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import NodeAgent

Answer = Callable[[AuditQuestion], Awaitable[AuditAnswer]]


class AuditServer:
    """Serves `NodeAgent`. Nothing is known of the node until its agent has taken over and set `answer`."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [bind(NodeAgent.audit, self.audit)]

    async def audit(
        self, request: dispatcher_pb2.AuditQuestion, caller: Caller
    ) -> dispatcher_pb2.AuditAnswer:
        """Audit this node."""
        if self.answer is None:
            raise Unavailable(
                "its agent is just taking over what it found on this host; ask again in a moment"
            )
        return to_message(await self.answer(from_message(request, AuditQuestion)), dispatcher_pb2.AuditAnswer)

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Serve on a socket that is root's alone, while the block runs."""
        server = await serve_unix(path, self.bindings())
        try:
            yield
        finally:
            await server.stop()
