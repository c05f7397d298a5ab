"""A web server that keeps connections open, as the first process of a container. Standard library, few modules.

`GET /` says version, task, node and client; `GET /?ms=N` takes N milliseconds over it. Asked to end, it does what a
decent server does: it takes nothing new, ends what it has begun, and closes connections that nobody uses.
"""

import heapq
import os
import selectors
import signal
import socket
import time

BOUND_S = 2.0


class Client:
    """One connection."""

    def __init__(self, opened: socket.socket, address: str) -> None:
        self.opened, self.address = opened, address
        self.heard = b""
        self.busy = False
        self.last = False  # close after this answer


class Server:
    """All connections. `identity` is what it says of itself."""

    def __init__(self, port: int, identity: str) -> None:
        self.identity = identity
        self.listener = socket.create_server(("0.0.0.0", port), backlog=512)
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wake, self.signalled = socket.socketpair()
        self.wake.setblocking(False)
        self.signalled.setblocking(False)
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.clients: dict[socket.socket, Client] = {}
        self.due: list[tuple[float, int, Client]] = []
        self.number = 0
        self.end_by = 0.0

    def run(self) -> None:
        while not self.end_by or (self.clients and time.monotonic() < self.end_by):
            wait_s = max(0.0, self.due[0][0] - time.monotonic()) if self.due else 0.5
            for key, _ in self.selector.select(wait_s):
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj is self.wake:
                    self.end()
                elif key.fileobj in self.clients:
                    self.read(self.clients[key.fileobj])  # type: ignore[index]
            while self.due and self.due[0][0] <= time.monotonic():
                self.answer(heapq.heappop(self.due)[2])

    def end(self) -> None:
        if not self.end_by:
            self.end_by = time.monotonic() + BOUND_S
            self.selector.unregister(self.wake)
            self.selector.unregister(self.listener)
            self.listener.close()
            for client in list(self.clients.values()):
                if not client.busy:
                    self.close(client)

    def accept(self) -> None:
        while True:
            try:
                opened, (address, _) = self.listener.accept()
            except OSError:
                return
            opened.setblocking(False)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.clients[opened] = Client(opened, address)
            self.selector.register(opened, selectors.EVENT_READ)

    def close(self, client: Client) -> None:
        if client.opened in self.clients:
            del self.clients[client.opened]
            self.selector.unregister(client.opened)
            client.opened.close()

    def read(self, client: Client) -> None:
        try:
            data = client.opened.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close(client)
            return
        client.heard += data
        if not client.busy and b"\r\n\r\n" in client.heard:
            head, _, client.heard = client.heard.partition(b"\r\n\r\n")
            client.busy = True
            client.last = b"connection: close" in head.lower()
            target = head.split(b" ", 2)[1]
            _, _, ms = target.partition(b"?ms=")
            self.number += 1
            heapq.heappush(self.due, (time.monotonic() + int(ms or b"0") / 1000, self.number, client))

    def answer(self, client: Client) -> None:
        if client.opened not in self.clients:
            return
        last = client.last or bool(self.end_by)
        body = f"{self.identity} client={client.address}\n".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        head += "Connection: close\r\n\r\n" if last else "\r\n"
        client.busy = False
        try:
            client.opened.send(head.encode() + body)
        except OSError:
            last = True
        if last:
            self.close(client)


def main() -> None:
    task, node = os.environ.get("COVEY_TASK_NAME", "-"), os.environ.get("COVEY_NODE_NAME", "-")
    server = Server(
        int(os.environ.get("PORT", "80")), f"version={os.environ['VERSION']} task={task} node={node}"
    )
    signal.set_wakeup_fd(server.signalled.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()


if __name__ == "__main__":
    main()
