"""Whose turn it is among the keys of encrypted networks' tunnels.

Keys are made by nodes, each for itself; managers only say when. That is a number in the store, the *generation*, and the
time since when it holds. The leader raises it once `ClusterSpec.tunnel_rotation_ns` has passed (`turn`, pure; `driver`
asks it now and then). The dispatcher puts it into the tables of encrypted networks, with the keys that nodes have
reported; what nodes do then is `agent.tunnels`' affair. While there is no leader, keys only live longer.

Nobody waits for a node that is away: it begins with the generation of now once it is back.
"""

from .driver import run_turns as run_turns
