"""Asking again, and what is said when the time is up."""

import asyncio

import pytest

from covey import limits
from covey.client.patience import NOT_DONE, patiently
from covey.errors import NotLeader, Unavailable


def test_what_managers_say_to_each_other_is_not_what_people_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "failover_patience_s", 0.0)

    async def ask() -> None:
        raise NotLeader("member 1674044368476120168 does not lead")

    with pytest.raises(
        Unavailable, match=r"no manager led .* nothing was done; `covey cluster status`"
    ) as told:
        asyncio.run(patiently(ask, NOT_DONE))
    assert "member" not in str(told.value)
    assert not isinstance(told.value, NotLeader)
