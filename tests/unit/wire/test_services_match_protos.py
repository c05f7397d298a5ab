"""The table of RPCs is what the protos say, and every RPC says who may call it."""

import importlib

import pytest

from covey.wire import services
from covey.wire.service import Bidirectional, ClientStream, Role, ServerStream, Unary

KINDS = {
    (False, False): Unary,
    (False, True): ServerStream,
    (True, False): ClientStream,
    (True, True): Bidirectional,
}
FILES = ("control", "dispatcher", "logs", "ca", "bootstrap", "node", "raft")


def declared() -> dict[str, tuple[type, str, str]]:
    found = {}
    for name in FILES:
        file = importlib.import_module(f"covey.v1.{name}_pb2").DESCRIPTOR
        for service in file.services_by_name.values():
            for method in service.methods:
                kind = KINDS[method.client_streaming, method.server_streaming]
                path = f"/{service.full_name}/{method.name}"
                found[path] = (kind, method.input_type.full_name, method.output_type.full_name)
    return found


def test_the_table_is_what_the_protos_say() -> None:
    table = {
        method.path: (type(method), method.request.DESCRIPTOR.full_name, method.response.DESCRIPTOR.full_name)
        for method in services.methods()
    }
    assert table == declared()


@pytest.mark.parametrize("method", services.methods(), ids=lambda method: method.path)
def test_every_rpc_names_its_callers(method: Unary) -> None:
    assert method.roles
    on_bootstrap_port = method.service == "covey.v1.Bootstrap"
    assert (Role.ANYONE in method.roles) == on_bootstrap_port
