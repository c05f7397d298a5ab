"""When tunnels get new keys. Pure: the time comes in."""

from msgspec.structs import replace

from covey.model import network_options
from covey.model.objects import Cluster, Network, TunnelTurn
from manager.store.view import View


def next_turn(view: View, cluster: Cluster, now_ns: int) -> Cluster | None:
    """The cluster with a new generation, if it is time for one; None if not.

    While no network is encrypted, nobody has a key. A clock that was set back makes a turn longer, not endless.
    """
    if not any(network_options.encrypted(each.spec.options) for each in view.all(Network)):
        return None
    turn = cluster.tunnels
    if not turn.since_ns or now_ns < turn.since_ns:
        return replace(cluster, tunnels=TunnelTurn(turn.generation, now_ns))  # counted from now
    if now_ns - turn.since_ns < cluster.spec.tunnel_rotation_ns:
        return None
    return replace(cluster, tunnels=TunnelTurn(turn.generation + 1, now_ns))
