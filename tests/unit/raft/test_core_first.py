from tests.support.raft_network import RaftNetwork, members


def test_three_members_elect_one_and_apply_what_it_is_given() -> None:
    network = RaftNetwork(3)
    network.wait_for_leader()
    id = network.leader.id
    network.propose(id, b"a", b"b")
    network.propose(id, b"c")
    assert [member.applied for member in network.members.values()] == [[b"a", b"b", b"c"]] * 3


def test_a_founder_leads_at_once_and_others_join_as_learners_then_vote() -> None:
    network = RaftNetwork(0)
    network.found(1)
    network.settle()
    assert network.leader.id == 1
    network.propose(1, b"a")
    network.add_empty(2)
    network.change(1, members(1, learners=[2]))
    network.tick(3)
    assert network[2].applied == [b"a"]
    assert network[2].core.membership == members(1, learners=[2])
    network.change(1, members(1, 2))
    network.propose(1, b"b")
    network.tick(3)
    assert network[2].applied == [b"a", b"b"]
    network.restart(1, 2)
    network.wait_for_leader()
    assert network[1].applied == [b"a", b"b"]
