"""What is wrong with a cluster's managers, and what to do: a sentence each, the most urgent first. Pure."""

from collections.abc import Iterator, Sequence

from .facts import ClusterFacts, Manager, Reachability


def advise(facts: ClusterFacts, kept_out_by: str = "") -> tuple[str, ...]:
    """Say what is wrong; empty while all is well. `kept_out_by`: why the others have not let this manager in."""
    if kept_out_by:
        return (f"the other managers have not let this one in yet, and it goes on asking: {kept_out_by}",)
    if facts.store != "raft":
        return tuple(_on_foreign_store(facts))
    return (*_on_quorum(facts), *_on_members(facts), *_on_numbers(facts))


def _on_quorum(facts: ClusterFacts) -> Iterator[str]:
    voters, needed = facts.voters, len(facts.voters) // 2 + 1
    missing = [manager for manager in voters if manager.reachability is not Reachability.REACHABLE]
    if not voters:
        yield "this manager knows of no group of managers yet: it is waiting to be let in, or to hear from the others"
    elif not facts.has_quorum:
        back = needed - (len(voters) - len(missing))
        yield (
            f"{len(missing)} of {len(voters)} managers {_do(missing)} not answer: {_list(missing)}. "
            "Containers run on, but nothing can be changed, and nothing that dies is replaced. "
            f"Bring {_count(back)} of them back; or, if they are lost for good, run "
            "`covey init --force-new-cluster` on this host and never start the lost ones again"
        )
    elif facts.leader is None:
        yield "no manager leads at the moment, though a majority answers: an election is under way; ask again shortly"
    elif missing:
        spare = len(voters) - len(missing) - needed
        yield (
            f"{_list(missing)} {_do(missing)} not answer; "
            + (f"{_count(spare)} more may fail" if spare else "no other manager may fail now")
            + ". If lost for good: `covey node demote` and `covey node rm` it, and make another node a manager"
        )


def _on_members(facts: ClusterFacts) -> Iterator[str]:
    if facts.voters and facts.answered_by not in {manager.node_id for manager in facts.managers}:
        yield "the manager that answers is itself no member of the group: it is joining, or was removed from it"
    for manager in facts.managers:
        if manager.departs:
            yield f"{manager} is being demoted"
        elif not manager.raft_id:
            yield f"{manager} is to be a manager and has not joined the others yet; `covey cluster status` there says why"
        elif not manager.voter:
            behind = f", {manager.behind_entries} entries behind," if manager.behind_entries > 0 else ""
            yield f"{manager} is catching up{behind} and does not count until it has"


def _on_numbers(facts: ClusterFacts) -> Iterator[str]:
    staying = [manager for manager in facts.managers if not manager.departs]
    number = len(staying)
    if number and number % 2 == 0:
        borne = (number - 1) // 2
        yield (
            f"{number} managers bear the loss of {borne or 'none'}, no more than {number - 1} would; "
            "make one more node a manager, or one fewer"
        )


def _on_foreign_store(facts: ClusterFacts) -> Iterator[str]:
    if facts.leader is None:
        yield (
            "no manager leads: etcd does not answer, or none of the managers reaches it; "
            "see to the endpoints given with --store"
        )


def _list(managers: Sequence[Manager]) -> str:
    return ", ".join(f"{manager}{_since(manager)}" for manager in managers)


def _since(manager: Manager) -> str:
    seconds = manager.silent_ms // 1000
    return f" for {seconds} s" if seconds > 0 else ""


def _do(managers: Sequence[Manager]) -> str:
    return "does" if len(managers) == 1 else "do"


def _count(number: int) -> str:
    return {1: "one", 2: "two", 3: "three", 4: "four"}.get(number, str(number))
