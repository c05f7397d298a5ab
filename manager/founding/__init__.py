"""How a manager begins: founding a group, going on, joining one, or going on alone.

    mode = start_mode(config, has_log)
    Found    bootstrap.msgpack is there: a group of one, whose store gets its first content (a new cluster's, or all
             of a backup), then the file goes
    Recover  recovery.msgpack is there: the disk's membership becomes this member alone, then the store's epoch rises
             and the other managers' nodes become workers, then the file goes
    Restart  the disk holds a log: take part again, at the address it has now
    Join     neither: serve, ask the managers to be let in, and follow

* `modes`: which of them it is.
* `content`: pure. What a restored or forced new cluster holds.
* `driver`: writes content through the store, keeps the address known, and stops a manager the cluster went on without.
* `outdated`: pure. Whether the cluster went on without this manager, from what another one answers.
* `aside`: puts away what a removed member kept.
* `client`: asks other managers to be let in, and of which epoch they are.

The rules inside: every step can be interrupted and done again; the epoch rises once per recovery; no planner runs
before the content is whole.
"""

from .modes import Found, Join, Mode, Recover, Restart, start_mode

__all__ = ["Found", "Join", "Mode", "Recover", "Restart", "start_mode"]
