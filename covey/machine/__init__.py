"""The seam between deciding and doing.

A machine takes an event, changes its own state and returns effects as data. It never awaits, reads a
clock or rolls dice: time arrives as `Tick(now_ms)`, randomness as a seeded `random.Random`. The order of
the returned effects is part of the contract (persist before send). A driver (`driver.py` of each
package) translates the world into events and effects into actions, and decides nothing.
"""

from covey.machine.machine import Machine, Tick

__all__ = ["Machine", "Tick"]
