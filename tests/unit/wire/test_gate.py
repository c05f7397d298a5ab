import itertools

import pytest

from covey.errors import PermissionDenied, Unauthenticated
from covey.wire.gate import authorize
from covey.wire.service import Caller, Role
from covey.wire.services import Bootstrap, Control, Dispatcher, NodeDaemon

ALLOWED = {
    Control.create_service: {Role.MANAGER, Role.LOCAL},
    Dispatcher.session: {Role.WORKER, Role.MANAGER},
    NodeDaemon.join: {Role.LOCAL},
    Bootstrap.get_root_certificate: set(Role),
}


@pytest.mark.parametrize(("method", "role"), list(itertools.product(ALLOWED, Role)))
def test_a_role_passes_where_it_is_named(method: object, role: Role) -> None:
    caller = Caller(role, "n1", "c1", "10.0.0.9")
    if role in ALLOWED[method]:
        authorize(caller, method, None)
        return
    expected = Unauthenticated if role is Role.ANYONE else PermissionDenied
    with pytest.raises(expected, match=method.name) as caught:
        authorize(caller, method, None)
    assert str(caller) in str(caught.value)
