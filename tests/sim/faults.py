"""What goes wrong, and how often: drawn from the seed before the run, and while it goes on."""

from random import Random
from typing import TYPE_CHECKING

from covey import errors
from tests.sim.profiles import ORCHESTRATION, strike_nodes

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.manager import Manager
    from tests.sim.world import World


class Faults:
    """The character of one run, and the hand that strikes."""

    def __init__(self, world: "World") -> None:
        self.world = world
        dice = self.dice = Random(f"{world.seed} faults")
        self.managers = dice.choice((3, 3, 3, 5))
        self.for_ms = dice.choice((6_000, 12_000, 20_000))
        self.pause_ms = dice.choice((200, 500, 1500))
        self.entries_between_snapshots = dice.choice((15, 40, 200))
        self.changes = dice.choice((0, 0, 1))  # how eager people are to promote and demote
        self.services_max, self.nodes, self.wish_pause_ms = 6, 3, (20.0, 250.0)
        self.agents = world.profile == "cluster" and dice.random() < 0.3  # theirs are struck too
        self.begun = False
        self.disks_sync = True
        self.torn = False
        self.kinds = [self.crash] * 4 + [self.isolate] * 2 + [self.cut_one_way] * 2 + [self.heal] * 3
        self.kinds += [self.slow_disk, self.stall, self.hand_over, self.rough_sea, self.lose_disk]
        self.kinds += [self.full_disk, self.turn_clock]
        if self.agents:
            self.kinds += [self.cut_agent] * 2
        else:  # or a word that is late by seconds makes a leader think an agent dead, and it is right to
            world.network.stream_delay_ms_max = 300.0
        self.calm_delay_ms = (0.3, 2.0)
        # Leaders that die before anybody has heard much of them, and entries that travel one by one: what it takes for
        # the entry of an old term to reach a majority, and be replaced all the same (figure 8).
        self.hasty = world.profile == "hasty"
        if self.hasty:
            self.managers, self.changes, self.pause_ms, self.for_ms = 5, 0, 3000, 40_000
            self.calm_delay_ms = (1.0, 60.0)
            self.kinds = [self.crash, self.heal, self.isolate]
        # People who promote and demote all the time, and leaders that die while they change who is a member.
        self.restless = world.profile == "members"
        if self.restless:
            self.managers, self.changes, self.pause_ms, self.for_ms = dice.choice((4, 5)), 10, 1500, 20_000
            self.kinds = [self.crash, self.heal, self.isolate, self.hand_over]

        if world.profile in ORCHESTRATION:
            strike_nodes(self)

    def elected(self, manager: "Manager") -> None:
        """Somebody leads: in a hasty run, not for long."""
        if self.hasty and self.dice.random() < 0.8:
            self._cut_short(manager)

    def changed(self, manager: "Manager") -> None:
        """A leader has changed who is a member: in a restless run, it may not have time to tell."""
        if self.restless and self.dice.random() < 0.3:
            self._cut_short(manager)

    def _cut_short(self, manager: "Manager") -> None:
        if not self.begun or self.world.calm:
            return
        others = [name for name in self.world.managers if name != manager.name]
        for deaf in self.dice.sample(others, min(self.dice.choice((0, 2, 3, 3, 4)), len(others))):
            self.world.network.cut |= {(manager.name, deaf), (deaf, manager.name)}
        self.world.clock.after(self.dice.uniform(10, 250), lambda: self._strike(manager))

    def _strike(self, manager: "Manager") -> None:
        if manager.core is not None and not self.world.calm:
            self.heal()
            manager.power_off()
            self.world.clock.after(self.dice.choice((20, 500, 1500)), lambda: self._boot(manager))

    def begin(self) -> None:
        """Strike from now on."""
        self.begun = True
        if not self.world.calm:
            self.dice.choice(self.kinds)()
            self.world.clock.after(self.dice.uniform(0.2, 1.8) * self.pause_ms, self.begin)

    def end(self) -> None:
        """Mend everything."""
        self.heal()
        for manager in self.world.managers.values():
            manager.disk_ms, manager.full_until_ms = 1.0, 0.0
            if manager.core is None:
                manager.boot()
        for agent in self.world.agents:
            if not agent.on:
                agent.boot()

    def _victim(self) -> "Manager":
        leader = self.world.leader()
        if leader is not None and self.dice.random() < 0.5:
            return leader
        return self.dice.choice(list(self.world.managers.values()))

    # --- one by one ---

    def crash(self) -> None:
        """Take a manager's power, for a while."""
        manager = self._victim()
        if manager.core is not None:
            manager.power_off()
            self.world.clock.after(self.dice.choice((5, 300, 2000, 5000)), lambda: self._boot(manager))

    def _boot(self, manager: "Manager") -> None:
        if manager.core is None:
            manager.boot()

    def lose_disk(self) -> None:
        """Replace a manager's disk, while all others are well: more than that loses what a majority held.

        So does the loss of one of two while the third is leaving, which nobody can foresee.
        """
        if self.changes and self.managers < 5:
            return
        others = [m for m in self.world.managers.values() if m.core is not None and not m.disk.unsynced]
        manager = self._victim()
        leader = self.world.leader()
        if (
            leader is None
            or leader.core is None
            or manager is leader
            or len(others) < len(self.world.managers)
        ):
            return
        members = [m for m in others if leader.core.membership.get(m.id) is not None]
        full = all(m.applied >= leader.applied for m in members)
        if (
            not full
            or len(members) < (5 if self.changes else 3)
            or len(leader.core.membership.members) != len(members)
        ):
            return
        manager.power_off()
        manager.lose_disk()
        self.world.clock.after(200, lambda: self._boot(manager))

    def isolate(self) -> None:
        """Cut a manager off from all other managers."""
        name = self._victim().name
        for other in self.world.managers:
            self.world.network.cut |= {(name, other), (other, name)}
        if self.dice.random() < 0.5:
            self._tell_broken(name)

    def _tell_broken(self, name: str) -> None:
        gone = self.world.managers[name]
        for other in self.world.managers.values():
            if other is not gone:
                other.lost(gone.id)
                gone.lost(other.id)

    def cut_one_way(self) -> None:
        """Let what one says to another get lost."""
        one, other = self.dice.sample(list(self.world.managers), 2)
        self.world.network.cut.add((one, other))

    def cut_agent(self) -> None:
        """Cut an agent off, from one manager or from all."""
        agent = self.dice.choice(self.world.agents).name
        for manager in self.dice.choice((list(self.world.managers), [self._victim().name])):
            self.world.network.cut |= {(agent, manager), (manager, agent)}

    def lose_node(self) -> None:
        """Take the power of a node that runs tasks, for a while."""
        agent = self.dice.choice(self.world.agents)
        if agent.on:
            agent.power_off()
            self._back_after((500, 2000, 6000, 12000), agent)

    def restart_agent(self) -> None:
        """End an agent's process; its containers go on."""
        agent = self.dice.choice(self.world.agents)
        if agent.on:
            agent.crash()
            self._back_after((10, 300, 5000), agent)

    def _back_after(self, pauses_ms: tuple[int, ...], agent: "Agent") -> None:
        self.world.clock.after(self.dice.choice(pauses_ms), lambda: agent.boot() if not agent.on else None)

    def heal(self) -> None:
        """Join all cables again, and calm the sea."""
        self.world.network.cut.clear()
        self.world.network.loss = self.world.network.duplication = 0.0
        self.world.network.delay_ms = self.calm_delay_ms

    def rough_sea(self) -> None:
        """Lose, repeat and delay."""
        self.world.network.loss = self.dice.choice((0.02, 0.2))
        self.world.network.duplication = self.dice.choice((0.0, 0.1))
        self.world.network.delay_ms = self.dice.choice(((0.3, 2.0), (1.0, 80.0)))

    def slow_disk(self) -> None:
        """Let a disk take its time."""
        self._victim().disk_ms = self.dice.choice((1.0, 50.0, 400.0))

    def full_disk(self) -> None:
        """Let a disk have no room for a while."""
        self._victim().full_until_ms = self.world.clock.now_ms + self.dice.choice((200, 2000, 8000))

    def turn_clock(self) -> None:
        """Set a clock on the wall to another time: an hour, or years, ahead or back."""
        days = self.dice.choice((0.04, 0.04, 1000))
        self._victim().wall_ahead_ms = self.dice.choice((-1, 0, 1)) * days * 86_400_000

    def stall(self) -> None:
        """Let a process stand still: no tick, nothing heard, until it goes on where it was."""
        manager = self._victim()
        manager.stalled_until_ms = self.world.clock.now_ms + self.dice.choice((300, 1500, 4000))

    def hand_over(self) -> None:
        """Ask a leader to hand over."""
        leader = self.world.leader()
        if leader is not None and leader.core is not None:
            try:
                leader.core.transfer(self.dice.choice(list(self.world.managers.values())).id)
                leader.work()
            except errors.FailedPrecondition:
                pass
