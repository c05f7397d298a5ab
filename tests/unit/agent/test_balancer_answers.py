"""What nodes tell balancers outside the cluster."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterable

from msgspec.structs import replace

from agent.balancers.answers import Answers, Counts
from agent.balancers.server import HealthPorts, reply
from covey import limits
from covey.model.specs import PortConfig
from covey.model.states import EndpointState, MeshMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

LOCAL = PortConfig(target_port=80, published_port=8080, mesh=MeshMode.LOCAL, health_port=8081)


def row(task_id: str, node_id: str = "here", **more: EndpointState) -> EndpointRow:
    state = more.get("state", EndpointState.ACTIVE)
    return EndpointRow(task_id, task_id=task_id, node_id=node_id, service_id="s", state=state)


def table(*rows: EndpointRow, ports: tuple[PortConfig, ...] = (LOCAL,)) -> NetworkTable:
    return NetworkTable("n", endpoints=rows, services=(ServiceRow("s", "shop", ports=ports),))


def answers(tables: Iterable[NetworkTable], node_id: str) -> dict[int, Counts]:
    return Answers(node_id).of(tables)


def test_active_tasks_of_this_node_count_once() -> None:
    draining = row("t3", state=EndpointState.DRAINING)
    seen = table(row("t1"), row("t2", "there"), draining)
    assert answers([seen], "here") == {8081: {"shop": 1}}
    assert answers([seen, replace(seen, network_id="m")], "here") == {8081: {"shop": 1}}
    assert answers([table(row("t2", "there"), draining)], "here") == {8081: {"shop": 0}}


def test_only_what_has_changed_is_read_anew_and_what_is_gone_is_forgotten() -> None:
    following = Answers("here")
    seen, other = table(row("t1")), replace(table(row("t2")), network_id="m")
    assert following.of([seen, other]) == {8081: {"shop": 2}}
    assert following.of([seen, replace(other, endpoints=())]) == {8081: {"shop": 1}}
    assert following.of([other]) == {8081: {"shop": 1}}
    assert following.of([]) == {}


def test_a_service_without_health_port_is_not_told_of() -> None:
    assert answers([table(row("t1"), ports=(PortConfig(target_port=80, published_port=8080),))], "here") == {}


def test_what_is_replied() -> None:
    said = reply(b"GET / HTTP/1.1\r\n\r\n", {"shop": 2})
    head, body = said.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body) == {"active_tasks": {"shop": 2}}
    assert f"Content-Length: {len(body)}".encode() in head
    assert reply(b"HEAD /x HTTP/1.0\r\n\r\n", {"shop": 0}).startswith(b"HTTP/1.1 503 ")
    assert reply(b"HEAD /x HTTP/1.0\r\n\r\n", {"shop": 0}).endswith(b"\r\n\r\n")
    assert reply(b"POST / HTTP/1.1\r\n\r\n", {"shop": 1}).startswith(b"HTTP/1.1 405 ")


def status(port: int, request: bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") -> bytes:
    """The first line of what is answered; nothing if nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as asking:
            asking.sendall(request)
            return asking.recv(1000).split(b"\r\n")[0]
    except ConnectionError:
        return b""


def test_a_port_is_held_while_it_is_asked_for_and_a_taken_one_is_remarked_upon() -> None:
    async def test() -> None:
        ports = HealthPorts(retry_s=0.05)
        running = asyncio.create_task(ports.run())
        with socket.create_server(("0.0.0.0", 0)) as taken:
            port = int(taken.getsockname()[1])
            ports.follow({port: {"shop": 1}})
            await until(lambda: bool(ports.remarks()))
            assert f"health port {port} is not answered: " in ports.remarks()[0]
        await until(lambda: not ports.remarks())
        assert await asyncio.to_thread(status, port) == b"HTTP/1.1 200 OK"
        ports.follow({port: {"shop": 0}})
        assert await asyncio.to_thread(status, port) == b"HTTP/1.1 503 Service Unavailable"
        too_long = b"GET /" + b"x" * (2 * limits.health_request_bytes_max)
        assert await asyncio.to_thread(status, port, too_long) == b""
        ports.follow({})
        await until(lambda: asyncio.to_thread(refused, port))
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(test())


def refused(port: int) -> bool:
    return status(port) == b""


async def until(seen: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            found = seen()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)
