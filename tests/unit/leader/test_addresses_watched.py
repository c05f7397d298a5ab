"""The eye that campaigns keep on the history of commits sees an address that two hold."""

from covey.model.objects import Endpoint, Service, VirtualIp
from manager.store.tables import Tables
from manager.store.transaction import Commit, Expect, Key, Transaction
from tests.support.commits import Addresses

NETWORK = "n" * 25


def endpoint(id: str, task: str, address: str = "10.0.0.5") -> Endpoint:
    return Endpoint(id=id, network_id=NETWORK, task_id=task, addresses=(address,))


class Story:
    def __init__(self) -> None:
        self.tables, self.held = Tables(), Addresses()

    def commit(self, *put: Endpoint | Service, delete: tuple[str, ...] = ()) -> None:
        versions = {each.id: each.meta.version for each in self.tables.all(Endpoint)}
        expect = [Expect(type(each), each.id, versions.get(each.id, 0)) for each in put]
        expect += [Expect(Endpoint, each, versions[each]) for each in delete]
        gone = tuple(Key(Endpoint, each) for each in delete)
        commit = self.tables.commit(Transaction(tuple(expect), put, gone))
        assert isinstance(commit, Commit)
        self.held.observe(commit)


def test_an_address_may_change_hands_even_within_one_commit() -> None:
    story = Story()
    story.commit(endpoint("e1", "t1"))
    story.commit(endpoint("e1", "t1"))
    story.commit(endpoint("e2", "t2"), delete=("e1",))
    story.commit(endpoint("e3", "t3", "10.0.0.6"), delete=("e2",))
    assert story.held.twice == []
    assert story.held.network_of["t2", "10.0.0.5"] == NETWORK


def test_an_address_of_two_is_seen() -> None:
    story = Story()
    story.commit(endpoint("e1", "t1"))
    story.commit(endpoint("e2", "t2"))
    story.commit(Service(id="s1", virtual_ips=(VirtualIp(NETWORK, "10.0.0.5"),)))
    assert story.held.twice == ["10.0.0.5 by t1 and t2 at 2", "10.0.0.5 by t1 and s1 at 3"]
