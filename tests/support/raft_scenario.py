"""Scenario scripts for the Raft core: what happens to members, line by line, and what they say and do.

A file is a list of blocks, as in `tests/support/scenario.py`. After each line all messages are delivered and
all disks are quick, unless told otherwise. Heartbeats are left out of what came of it, but for reads.

    members 1 2 3 [learners 4]       founder 1                    joiner 4
    elect 1                          tick 20 [1 2]                propose 1 a b
    add 1 4 [voter]                  promote 1 4                  remove 1 3
    transfer 1 2                     read 3                       snapshot 1 [keep 2]
    crash 1 | restart 1              cut 1 2 | heal               lost 2 1
    slow 1 | done 1                  lose append 3 | lose nothing show
"""

from collections.abc import Callable

from msgspec.structs import replace

from covey import errors
from manager.raft.entry import NOBODY, Entry, EntryKind, Member
from manager.raft.membership import decode_membership
from manager.raft.messages import (
    AnyMessage,
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Install,
    ReadReply,
    ReadRequest,
    TimeoutNow,
    Vote,
    VoteReply,
)
from manager.raft.ready import Ready, Role
from tests.support.raft_network import MemberOfNetwork, MemoryDisk, RaftNetwork, members

RULE = "----"
KINDS = {"append": Append, "vote": Vote, "heartbeat": Heartbeat, "install": Install, "answer": AppendReply}


def rewritten(text: str) -> str:
    """The same scenario with the transcript that the code of today gives."""
    world = World()
    blocks = []
    for block in text.strip().split("\n\n"):
        script = block.split(f"\n{RULE}", 1)[0]
        outcome = world.play(script)
        blocks.append("\n".join([script, RULE, *outcome]) if RULE in block or outcome else script)
    return "\n\n".join(blocks) + "\n"


class World(RaftNetwork):
    """A network that notes what is said and done."""

    def __init__(self) -> None:
        super().__init__(0)
        self.notes: list[str] = []
        self.keys = 0

    def play(self, script: str) -> list[str]:
        self.notes.clear()
        for line in script.splitlines():
            words = line.partition("#")[0].split()
            if words:
                try:
                    self._do(words[0], words[1:])
                except (errors.Refused, errors.Unavailable) as error:
                    self.notes.append(f"refused: {error}")
                self.settle()
        return list(self.notes)

    def _do(self, verb: str, rest: list[str]) -> None:
        match verb, rest:
            case "members", names:
                voters, _, learners = " ".join(names).partition("learners")
                everyone = members(*map(int, voters.split()), learners=map(int, learners.split()))
                for member in everyone.members:
                    self.members[member.id] = MemberOfNetwork(self, MemoryDisk(member.id, everyone))
            case "founder", [id]:
                self.found(int(id))
            case "joiner", [id]:
                self.add_empty(int(id))
            case "elect", [id]:
                self.elect(int(id))
            case "tick", [ticks, *ids]:
                self.tick(int(ticks), *map(int, ids))
            case "propose", [id, *datas]:
                self[int(id)].core.propose([data.encode() for data in datas])
            case "add" | "promote" | "remove", [id, who, *how]:
                self._change(self[int(id)], verb, int(who), "voter" in how)
            case "transfer", [id, to]:
                self[int(id)].core.transfer(int(to))
            case "read", [id]:
                self.keys += 1
                self[int(id)].core.read(self.keys)
            case "snapshot", [id, *keep]:
                mark = self[int(id)].snapshot(int(keep[1]) if keep else 0)
                self.notes.append(
                    f"{id} has a snapshot of {mark.index}, and entries after {self[int(id)].core.log.base_index}"
                )
            case _:
                self._trouble(verb, rest)

    def _trouble(self, verb: str, rest: list[str]) -> None:
        match verb, rest:
            case "crash", ids:
                self.crash(*map(int, ids))
            case "restart", ids:
                self.restart(*map(int, ids))
            case "cut", ids:
                self.isolate(*map(int, ids))
            case "heal", []:
                self.heal()
            case "lost", [id, peer]:
                self[int(id)].core.lost(int(peer))
            case "slow", [id]:
                self[int(id)].slow_disk = True
            case "done", [id]:
                self[int(id)].disk_done()
            case "lose", ["nothing"]:
                self.drop = lambda message: False
            case "lose", [kind, to]:
                self.drop = dropping(KINDS[kind], int(to))
            case "show", []:
                self.notes += [self._shown(member) for member in self.members.values()]
            case _:
                raise AssertionError(f"no such command: {verb} {' '.join(rest)}")

    def _change(self, leader: MemberOfNetwork, verb: str, who: int, voter: bool) -> None:
        now = leader.core.membership
        others = tuple(member for member in now.members if member.id != who)
        if verb != "remove":
            others += (Member(who, f"node-{who}", f"10.0.0.{who}:2377", voter or verb == "promote"),)
        leader.core.change(replace(now, members=others))

    # --- what is noted ---

    def said(self, message: AnyMessage) -> None:
        text = message_text(message)
        if text:
            lost = "" if self.arrives(message) else "  (lost)"
            self.notes.append(f"{message.sender}→{message.to} {text}{lost}")

    def deliver(self, message: AnyMessage) -> None:
        self.said(message)
        super().deliver(message)

    def done(self, member: MemberOfNetwork, ready: Ready) -> None:
        id = member.id
        if ready.standing is not None:
            standing = ready.standing
            whom = f" of {standing.leader}" if standing.role is Role.FOLLOWER and standing.leader else ""
            self.notes.append(f"{id} is {standing.role.value}{whom}, term {standing.term}")
        if ready.snapshot is not None:
            self.notes.append(f"{id} installs the snapshot of {ready.snapshot.index}")
        if ready.entries:
            self.notes.append(f"{id} writes {', '.join(map(entry_text, ready.entries))}")
        applied = [entry_text(entry) for entry in ready.committed]
        if applied:
            self.notes.append(f"{id} applies {', '.join(applied)}")
        for read in ready.reads:
            answer = f"may read at {read.index}" if read.index is not None else "cannot read: nobody can tell"
            self.notes.append(f"{id} {answer}")

    def _shown(self, member: MemberOfNetwork) -> str:
        if not member.alive:
            return f"{member.id} is dead"
        status, log = member.core.status(), member.core.log
        entries = " ".join(f"{e.index}/{e.term}" for e in log.between(log.base_index, log.last_index))
        leader = f" of {status.standing.leader}" if status.standing.leader not in (NOBODY, member.id) else ""
        who = f"{member.id} is {status.standing.role.value}{leader}, term {status.standing.term}"
        base = f"[{log.base_index}] " if log.base_index else ""
        return f"{who}; log {base}{entries or '-'}; committed {status.commit}; {members_text(member)}"


def members_text(member: MemberOfNetwork) -> str:
    names = [f"{m.id}{'' if m.voter else ' (learner)'}" for m in member.core.membership.members]
    return f"members {', '.join(names)}" if names else "no members known"


def dropping(kind: type[AnyMessage], to: int) -> Callable[[AnyMessage], bool]:
    return lambda message: isinstance(message, kind) and message.to == to


def entry_text(entry: Entry) -> str:
    what = entry.data.decode(errors="replace")
    if entry.kind is EntryKind.NOTHING:
        what = "nothing"
    elif entry.kind is EntryKind.MEMBERSHIP:
        now = decode_membership(entry.data).members
        what = "members " + "+".join(f"{m.id}{'' if m.voter else 'L'}" for m in now)
    return f"{entry.index}/{entry.term} {what}"


def message_text(message: AnyMessage) -> str:
    match message:
        case Vote():
            kind = "would you elect me" if message.pre else "elect me"
            return f"{kind} in term {message.term}? my log ends at {message.last_index}/{message.last_term}"
        case VoteReply():
            return f"{'yes' if message.granted else 'no'}, term {message.term}"
        case Append(entries=()):
            return f"committed {message.commit}; you hold {message.previous_index}/{message.previous_term}?"
        case Append():
            entries = ", ".join(map(entry_text, message.entries))
            return f"after {message.previous_index}/{message.previous_term}: {entries}"
        case AppendReply(rejected=True):
            return f"not after {message.index}; look at {message.hint_index}/{message.hint_term}"
        case AppendReply():
            return f"hold {message.index}, term {message.term}"
        case Heartbeat():
            return f"heartbeat for read round {message.read}" if message.read else ""
        case HeartbeatReply():
            return f"confirms read round {message.read}" if message.read else ""
        case Install():
            return f"snapshot of {message.mark.index}/{message.mark.term}"
        case TimeoutNow():
            return "take over"
        case ReadRequest():
            return "may I read?"
        case ReadReply():
            return f"read at {message.index}" if message.index is not None else "I cannot tell"
