"""What goes wrong around the log in etcd: etcd itself, leases, leaders that are deposed, entries half written."""

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from covey import errors, limits
from covey.errors import FailedPrecondition, LogFailed, NotLeader, Unavailable
from covey.model.store_access import Credential, StoreAccess
from manager.store.log.etcd import EtcdLog, open_etcd, ping
from manager.store.log.etcd import layout as layouts
from manager.store.log.etcd.io.client import Etcd
from manager.store.log.etcd.io.tenure import Tenure
from manager.store.log.etcd.layout import BEGINS, Head, Layout, Part
from manager.store.log.etcd.sealing import Sealing
from manager.store.log.seam import Record, Snapshot
from tests.support.etcd_server import KEY, Server, Tls, keys_of, open_leading, running, until_leads
from tests.unit.store.test_log_contract import take

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with running() as server:
        yield server


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(90):
            await test

    asyncio.run(bounded())


async def second(access: StoreAccess, cluster_id: str, node: str = "n2") -> EtcdLog:
    return await open_etcd(access, cluster_id, node_id=node, address=f"{node}:2377")


async def until_lost(log: EtcdLog) -> None:
    standing = log.standing
    async with asyncio.timeout(30):
        while standing.leads:
            standing = await log.standing_after(standing)


# --- etcd itself ---


def test_a_killed_etcd_comes_back_and_nothing_acknowledged_is_lost() -> None:
    async def test() -> None:
        with running() as server:
            log = await open_leading(server.access())
            acknowledged: list[bytes] = []

            async def write(n: int) -> None:
                data = b"%d" % n
                try:
                    await log.append([data])
                except Unavailable:
                    return
                acknowledged.append(data)

            writing = [asyncio.create_task(write(n)) for n in range(300)]
            await asyncio.sleep(0.05)
            server.kill()
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.start)
            await asyncio.gather(*writing)
            await until_leads(log)
            await log.append([b"after"])
            acknowledged.append(b"after")
            count = await log.confirm()
            found = [record.data for record in await take(log, 0, count)]
            assert len(found) == len(set(found)), "one was written twice"
            assert [data for data in found if data in set(acknowledged)] == acknowledged
            await log.close()

    run(test())


def test_while_etcd_is_away_nobody_leads_and_writes_say_so() -> None:
    async def test() -> None:
        with running() as server:
            log = await open_leading(server.access())
            await log.append([b"one"])
            server.kill()
            with pytest.raises(Unavailable, match=r"etcd at .* does not answer"):
                await log.confirm()
            await until_lost(log)
            assert log.standing.leader == ""
            with pytest.raises(NotLeader, match="nobody does"):
                await log.append([b"two"])
            await asyncio.to_thread(server.start)
            await until_leads(log)
            await log.append([b"three"])
            assert [record.data for record in await take(log, 0, 2)] == [b"one", b"three"]
            await log.close()

    run(test())


def test_what_was_under_way_when_etcd_stalled_is_found_out() -> None:
    async def test() -> None:
        with running() as server:
            log = await open_leading(server.access())
            server.pause()
            writing = asyncio.create_task(log.append([b"stalled"]))
            await asyncio.sleep(limits.etcd_request_timeout_s / 4)
            server.resume()
            await writing
            assert await log.confirm() == 1
            server.pause()
            lost = asyncio.create_task(log.append([b"lost"]))
            with pytest.raises(Unavailable, match="nobody knows"):
                await lost
            assert not log.standing.leads
            server.resume()
            await until_leads(log)
            await log.append([b"after"])
            datas = [record.data for record in await take(log, 0, await log.confirm())]
            assert datas in ([b"stalled", b"after"], [b"stalled", b"lost", b"after"])
            await log.close()

    run(test())


def test_a_reader_goes_on_over_an_etcd_that_has_forgotten_its_history() -> None:
    async def test() -> None:
        with running() as server:
            access = server.access()
            log = await open_leading(access)
            await log.append([b"one"])
            reader = log.records(0)
            assert [record.data for record in await anext(reader)] == [b"one"]  # type: ignore[union-attr]
            server.pause()  # the watch hears nothing meanwhile
            server.resume()
            etcd = Etcd(access)
            await log.append([b"two"])
            await log.append([b"three"])
            revision = (await etcd.range(etcd.rpc.RangeRequest(key=b"x"))).header.revision
            await etcd.call("KV", "Compact", etcd.rpc.CompactionRequest(revision=revision, physical=True))
            server.kill()
            await asyncio.to_thread(server.start)
            found: list[bytes] = []
            while len(found) < 2:
                found += [record.data for record in await anext(reader)]  # type: ignore[union-attr]
            assert found == [b"two", b"three"]
            await reader.aclose()  # type: ignore[attr-defined]
            await etcd.close()
            await log.close()

    run(test())


def test_a_manager_that_was_away_while_all_of_it_was_compacted_is_given_a_snapshot() -> None:
    async def test() -> None:
        with running() as server:
            log = await open_leading(server.access())
            await log.append([b"0"])
            follower = await second(server.access(), "c1")
            reader = follower.records(0)
            assert [record.data for record in await anext(reader)] == [b"0"]  # type: ignore[union-attr]
            # It alone does not reach etcd for a while.
            etcd, connection = follower._etcd, follower._etcd._connection
            assert connection is not None
            etcd._access, etcd._connection = replace(server.access(), endpoints=("127.0.0.1:1",)), None
            await connection.channel.close()
            for n in range(1, 30):
                await log.append([b"%d" % n])
            for count in (10, 20, 30):
                await log.save_snapshot(count, [b"up to %d" % count])
            await log.compact(kept=3)
            own = log._etcd
            revision = (await own.range(own.rpc.RangeRequest(key=b"x"))).header.revision
            await own.call("KV", "Compact", own.rpc.CompactionRequest(revision=revision))
            etcd._access = server.access()
            news: Any = await anext(reader)
            assert isinstance(news, Snapshot)
            assert (news.index, list(news.chunks)) == (30, [b"up to 30"])
            await log.append([b"last"])
            news = await anext(reader)
            assert [record.data for record in news] == [b"last"]
            await reader.aclose()  # type: ignore[attr-defined]
            await follower.close()
            await log.close()

    run(test())


# --- leaders ---


def test_of_many_that_would_lead_one_does_and_then_the_next(shared: Server) -> None:
    async def test() -> None:
        first = await open_leading(shared.access(), "race", "n0")
        others = [await second(shared.access(), "race", f"n{n}") for n in range(1, 5)]
        logs = {f"n{n}": log for n, log in enumerate([first, *others])}
        terms: list[int] = []
        while logs:
            async with asyncio.timeout(20):
                while not (leading := [node for node, log in logs.items() if log.standing.leads]):
                    await asyncio.sleep(0.01)
            assert len(leading) == 1
            leader = logs[leading[0]]
            terms.append(leader.standing.term)
            await leader.append([leading[0].encode()])
            for node, log in logs.items():
                standing = log.standing
                async with asyncio.timeout(20):
                    while standing.leader != leading[0]:
                        standing = await log.standing_after(standing)
                assert standing.leads is (node == leading[0])
                assert standing.address == f"{leading[0]}:2377"
                assert await log.confirm() == len(terms)
            await logs.pop(leading[0]).close()
        assert terms == sorted(set(terms))
        assert len(terms) == 5

    run(test())


def test_a_holder_that_cannot_renew_its_lease_stops_before_another_one_leads(shared: Server) -> None:
    """Its own clock tells it so; nobody else does."""

    async def test() -> None:
        first = await open_leading(shared.access(), "expiry", "n1")
        other = await second(shared.access(), "expiry")
        first._etcd.leave(first._etcd._connection)  # type: ignore[arg-type]
        first._etcd._access = replace(shared.access(), endpoints=("127.0.0.1:1",))
        both = False
        async with asyncio.timeout(20):
            while not other.standing.leads:
                both = both or (first.standing.leads and other.standing.leads)
                await asyncio.sleep(0.005)
        assert not both
        assert not first.standing.leads
        await other.append([b"by the other"])
        first._etcd._access = shared.access()
        async with asyncio.timeout(20):
            while first.standing.leader != "n2":
                await first.standing_after(first.standing)
        assert not first.standing.leads
        await first.close()
        await other.close()

    run(test())


def test_a_deposed_leader_can_write_nothing_however_late(shared: Server) -> None:
    async def test() -> None:
        first = await open_leading(shared.access(), "deposed", "n1")
        await first.append([b"one"])
        tenure = first._tenure
        assert tenure is not None
        won = tenure.won
        other = await second(shared.access(), "deposed")
        await first.close()
        await until_leads(other)
        await other.append([b"two"])
        # What the first one had sent arrives now, on whichever head it had in mind.
        etcd, keys = Etcd(shared.access()), Layout("/covey", "deposed")
        for head in (Head(1, 1, won.term), Head(2, 2, other.standing.term)):
            late = Tenure(
                etcd, keys, Sealing(KEY, keys), replace(won, head=head), lambda: True, lambda head: None
            )
            writing = asyncio.create_task(late.run())
            with pytest.raises(NotLeader, match="does not lead any more"):
                await late.append([b"late"])
            await writing
        await etcd.close()
        assert [record.data for record in await take(other, 0, 2)] == [b"one", b"two"]
        assert await other.confirm() == 2
        await other.close()

    run(test())


def test_an_answer_that_was_lost_is_found_out_and_nothing_is_written_twice(shared: Server) -> None:
    class Forgetful(Etcd):
        """Every other answer to a transaction is lost on its way."""

        count = 0

        async def txn(self, *arguments: Any) -> Any:
            answer = await super().txn(*arguments)
            self.count += 1
            if self.count % 2:
                raise errors.Interrupted("the answer was lost (injected)")
            return answer

    async def test() -> None:
        log = await open_leading(shared.access(), "lost", "n1")
        forgetful, keys = Forgetful(shared.access()), Layout("/covey", "lost")
        won = log.session.leading
        assert won is not None
        tenure = Tenure(forgetful, keys, Sealing(KEY, keys), won, lambda: True, lambda head: None)
        writing = asyncio.create_task(tenure.run())
        for n in range(5):
            await tenure.append([b"%d" % n])
        assert [record.data for record in await take(log, 0, 5)] == [b"%d" % n for n in range(5)]
        assert await log.confirm() == 5
        tenure.end(LogFailed("closed"))
        await writing
        await forgetful.close()
        await log.close()

    run(test())


# --- long entries ---


def test_long_entries_and_many_at_once_come_back_whole(shared: Server) -> None:
    async def test() -> None:
        log = await open_leading(shared.access(), "long")
        long = bytes(range(256)) * (limits.entry_bytes_max // 256)
        batch = [b"a", long, b"", b"b", long[:-1], *(b"%d" % n for n in range(300))]
        await log.append(batch)
        await log.append([b"end"])
        records = await take(log, 0, len(batch) + 1)
        assert [record.data for record in records] == [*batch, b"end"]
        assert await log.confirm() == records[-1].index
        await log.save_snapshot(records[-1].index, [long, long])
        await log.close()
        again = await open_leading(shared.access(), "long")
        found = await again.newest_snapshot()
        assert found is not None
        assert list(found.chunks) == [long, long]
        await again.close()

    run(test())


def test_an_entry_torn_half_way_is_never_seen(shared: Server) -> None:
    async def test() -> None:
        log = await open_leading(shared.access(), "torn", "n1")
        await log.append([b"one"])
        won = log.session.leading
        assert won is not None
        await log.close()
        # Its leader died after the first part of three.
        etcd, keys = Etcd(shared.access()), Layout("/covey", "torn")
        part = Sealing(KEY, keys).close(keys.entry(2), Part(BEGINS, b"half"))
        head = layouts.encode(Head(2, 1, won.term))
        await etcd.txn([], [etcd.put(keys.entry(2), part), etcd.put(keys.head, head)])
        await etcd.close()
        log = await open_leading(shared.access(), "torn", "n2")
        assert (log.last_index, log.standing.since, await log.confirm()) == (1, 1, 1)
        await log.append([b"two"])
        assert await take(log, 0, 2) == [Record(1, b"one"), Record(3, b"two")]
        await log.close()

    run(test())


# --- damage, foreign keys, TLS, users ---


def test_changed_or_swapped_values_are_named(shared: Server) -> None:
    async def test() -> None:
        access = shared.access()
        log = await open_leading(access, "damage")
        await log.append([b"one"])
        await log.append([b"two"])
        etcd, keys = Etcd(access), Layout("/covey", "damage")
        value = await etcd.value(keys.entry(1))
        assert value is not None
        for wrong in (value[:-1] + bytes((value[-1] ^ 1,)), b"", await etcd.value(keys.entry(2))):
            assert wrong is not None
            await etcd.txn([], [etcd.put(keys.entry(1), wrong)])
            with pytest.raises(errors.Corrupt, match=r"entry/0+1 in etcd is not what was written"):
                await take(log, 0, 2)
        await etcd.close()
        await log.close()

    run(test())


def test_a_corrupt_snapshot_is_passed_over(shared: Server) -> None:
    async def test() -> None:
        access = shared.access()
        log = await open_leading(access, "rotten")
        await log.append([b"one"])
        await log.append([b"two"])
        await log.save_snapshot(1, [b"first"])
        await log.save_snapshot(2, [b"second"])
        etcd, keys = Etcd(access), Layout("/covey", "rotten")
        await etcd.txn([], [etcd.delete(keys.chunk(2, log.standing.term, 0))])
        found = await log.newest_snapshot()
        assert found is not None
        assert (found.index, list(found.chunks)) == (1, [b"first"])
        await etcd.close()
        await log.close()

    run(test())


def test_another_key_or_nothing_there_is_refused(shared: Server) -> None:
    async def test() -> None:
        log = await open_leading(shared.access(), "keyed")
        await log.close()
        with pytest.raises(FailedPrecondition, match="encrypted with another key"):
            await second(replace(shared.access(), data_key=b"x" * 32), "keyed")
        with pytest.raises(FailedPrecondition, match="there is no /covey/nobody/format"):
            await second(shared.access(), "nobody")

    run(test())


def test_tls_and_a_password_are_asked_for(tmp_path: Path) -> None:
    async def test() -> None:
        tls = Tls(tmp_path)
        with running(tls=tls) as server:
            plain = server.access()
            safe = replace(
                plain,
                ca=Credential(str(tls.ca)),
                certificate=Credential("", tls.client[0].read_bytes()),
                key=Credential("", tls.client[1].read_bytes()),
            )
            await make_users(safe)
            known = replace(safe, username="covey", password=Credential("", b"pass word\n"))
            await ping(known)
            log = await open_leading(known)
            await log.append([b"one"])
            assert [record.data for record in await take(log, 0, 1)] == [b"one"]
            server.kill()  # its tokens die with it
            await asyncio.to_thread(server.start)
            await until_leads(log)
            await log.append([b"two"])
            assert [record.data for record in await take(log, 0, 2)] == [b"one", b"two"]
            await log.close()
            with pytest.raises(Unavailable, match="does not answer"):
                await ping(plain)
            with pytest.raises(Unavailable, match="does not answer"):
                await ping(replace(known, certificate=None, key=None))
            wrong = replace(known, password=Credential("", b"wrong"))
            with pytest.raises(FailedPrecondition, match="does not let user covey in"):
                await ping(wrong)
            with pytest.raises(FailedPrecondition, match="give the user that Covey uses read and write"):
                await ping(replace(known, prefix="/other"))

    run(test())


async def make_users(access: StoreAccess) -> None:
    etcd = Etcd(access)
    rpc = etcd.rpc

    async def call(method: str, request: Any) -> None:
        await etcd.call("Auth", method, request)

    for user, password in (("root", "r"), ("covey", "pass word")):
        await call("UserAdd", rpc.AuthUserAddRequest(name=user, password=password))
    for role in ("root", "covey"):
        await call("RoleAdd", rpc.AuthRoleAddRequest(name=role))
        await call("UserGrantRole", rpc.AuthUserGrantRoleRequest(user=role, role=role))
    permission = rpc.Permission(permType=rpc.Permission.READWRITE, key=b"/covey/", range_end=b"/covey0")
    await call("RoleGrantPermission", rpc.AuthRoleGrantPermissionRequest(name="covey", perm=permission))
    await call("AuthEnable", rpc.AuthEnableRequest())
    await etcd.close()


def test_an_etcd_out_of_space_refuses_and_still_reads() -> None:
    async def test() -> None:
        with running("--quota-backend-bytes", "4000000") as server:
            log = await open_leading(server.access())

            async def fill() -> None:
                for _ in range(20):
                    await log.append([b"x" * 900_000])

            with pytest.raises(errors.ResourceExhausted, match="quota-backend-bytes"):
                await fill()
            assert (await take(log, 0, 1))[0].data == b"x" * 900_000
            await log.close()

    run(test())


def test_nothing_is_left_by_a_ping(shared: Server) -> None:
    async def test() -> None:
        await ping(shared.access("/pinged"))
        assert not [key for key in await keys_of(shared.access()) if key.startswith(b"/pinged")]
        with pytest.raises(Unavailable, match="does not answer"):
            await ping(replace(shared.access(), endpoints=("127.0.0.1:1",)))

    run(test())


def test_the_next_endpoint_is_asked_when_one_does_not_answer(shared: Server) -> None:
    async def test() -> None:
        access = replace(shared.access(), endpoints=("127.0.0.1:1", shared.endpoint))
        log = await open_leading(access, "turns")
        await log.append([b"one"])
        assert await log.confirm() == 1
        await log.close()

    run(test())
