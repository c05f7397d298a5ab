"""The log in an etcd of three members, each of which dies once."""

import asyncio

import pytest
from msgspec.structs import replace

from covey.errors import Unavailable
from tests.support.etcd_server import open_leading, three, until_leads
from tests.unit.store.test_log_contract import run, take

pytestmark = pytest.mark.root


def test_no_members_death_loses_anything() -> None:
    """Its leader's too: another member is asked, and writing goes on, if need be after a new lease."""

    async def test() -> None:
        with three() as members:
            access = replace(members[0].access(), endpoints=tuple(member.endpoint for member in members))
            log = await open_leading(access)
            acknowledged: list[bytes] = []
            for member in members:
                member.kill()
                for n in range(20):
                    data = f"{member.name} {n}".encode()
                    while data not in acknowledged:
                        try:
                            await until_leads(log)
                            await log.append([data])
                            acknowledged.append(data)
                        except Unavailable:
                            data += b"'"  # nobody may know of the first
                await asyncio.to_thread(member.start)
            index = await log.confirm()
            found = [record.data for record in await take(log, 0, index)]
            assert [data for data in found if data in set(acknowledged)] == acknowledged
            assert len(found) == len(set(found))
            await log.close()

    run(test())
