"""A way through which bytes go, until it freezes: like a cut cable, it says nothing to either end."""

import asyncio
import contextlib


class FreezingProxy:
    """Listens, and passes everything on to `target` (host:port)."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""
        self.connections = 0

    async def start(self) -> None:
        """Take a port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def freeze(self) -> None:
        """Pass nothing on, in neither direction, on old and new connections."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Pass on again, what was held back first, as retransmission would."""
        self._thawed.set()

    async def close(self) -> None:
        """End."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        host, _, port = self._target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    await self._thawed.wait()
                    sink.write(data)
                    await sink.drain()
            await self._thawed.wait()
        finally:
            sink.close()
            with contextlib.suppress(OSError):
                await sink.wait_closed()
