"""Which way a manager begins, from what is on its disk."""

from msgspec import Struct

from covey.errors import FailedPrecondition
from covey.model import bootstrap, recovery
from covey.model.bootstrap import Bootstrap
from covey.model.node_config import NodeConfig
from covey.model.recovery import RecoveryOrder


class Found(Struct, frozen=True):
    """Be a group of one, and write the first content if the store has none yet."""

    content: Bootstrap


class Recover(Struct, frozen=True):
    """Go on alone, with all the state there is."""

    order: RecoveryOrder


class Restart(Struct, frozen=True):
    """Take part again in the group the log tells of."""


class Join(Struct, frozen=True):
    """Ask the other managers to be let in."""

    managers: tuple[str, ...]


Mode = Found | Recover | Restart | Join


def start_mode(config: NodeConfig, has_log: bool) -> Mode:
    """Say how a manager begins.

    `has_log`: the disk holds more than nothing. Raises `Corrupt` for a damaged file, `FailedPrecondition` for one
    of another cluster, or if there is nobody to join.
    """
    order = recovery.load(recovery.path_in(config.state))
    content = bootstrap.load(bootstrap.path_in(config.state))
    if content is not None:
        if content.cluster.id != config.cluster_id:
            raise FailedPrecondition(
                f"{bootstrap.path_in(config.state)} is of cluster {content.cluster.id}, and this node is one of "
                f"{config.cluster_id}; `covey leave --force`, then init or restore again"
            )
        return Found(content)
    if order is not None:
        if (order.cluster_id, order.node_id) != (config.cluster_id, config.node_id) or not has_log:
            raise FailedPrecondition(
                f"{recovery.path_in(config.state)} orders node {order.node_id} of cluster {order.cluster_id} to go on "
                "alone, and there is no such state here; remove it, or restore a backup on another host"
            )
        return Recover(order)
    if has_log:
        return Restart()
    if not config.managers:
        raise FailedPrecondition(
            f"{config.state}/manager knows nothing of cluster {config.cluster_id}, and this node knows no other manager; "
            "restore a backup, or `covey leave --force` and join again"
        )
    return Join(config.managers)
