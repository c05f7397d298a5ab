"""What requests about the cluster as a whole change, as functions on a draft."""

from msgspec.structs import replace

from covey import limits
from covey.errors import Conflict, InvalidArgument, Unavailable
from covey.model.objects import Cluster
from covey.model.quantity import duration_text
from covey.model.specs import ClusterSpec
from manager.store.draft import Draft

from .refusal import refuse

_HOUR_NS = 3600 * 1_000_000_000
_FIXED = {
    "default-addr-pool": "address_pools",
    "default-addr-pool-mask-length": "subnet_prefix_length",
    "default-addr-pool (IPv6)": "address_pools_ipv6",
    "data-path-port": "vxlan_port",
}


def update_cluster(draft: Draft, version: int, spec: ClusterSpec) -> Cluster:
    """Change the settings of the cluster, but for those that are fixed when it is made."""
    present = next(iter(draft.all(Cluster)), None)
    if present is None:
        raise Unavailable("the cluster is still being set up; try again in a moment")
    if present.meta.version != version:
        raise Conflict("the cluster's settings changed since they were read; repeat the command")
    for field, name in _FIXED.items():
        if getattr(spec, name) != getattr(present.spec, name):
            raise InvalidArgument(f"{field}: is fixed when the cluster is made; leave it as it is")
    check_cluster(spec)
    changed = replace(present, spec=spec)
    draft.put(changed)
    return changed


def check_cluster(spec: ClusterSpec) -> None:
    """Check the settings that may change."""
    most = limits.task_history_max
    if not -1 <= spec.task_history_per_slot <= most:
        remedy = f"is not a number of tasks; use 0 to {most}, or -1 to keep all"
        raise refuse("task-history-limit", spec.task_history_per_slot, remedy)
    low, high = limits.heartbeat_period_ms_min, limits.heartbeat_period_ms_max
    if not low <= spec.heartbeat_period_ms <= high:
        remedy = f"is too short or too long; use {low / 1000:g}s to {high / 1000:g}s"
        raise refuse("dispatcher-heartbeat", duration_text(spec.heartbeat_period_ms * 1_000_000), remedy)
    shortest, longest = _HOUR_NS, limits.root_certificate_days * 24 * _HOUR_NS
    if not shortest <= spec.node_certificate_ns <= longest:
        remedy = f"is too short or too long; use 1h to {limits.root_certificate_days * 24}h"
        raise refuse("cert-expiry", duration_text(spec.node_certificate_ns), remedy)
    least_s, most_s = limits.tunnel_rotation_s_min, limits.root_certificate_days * 86_400
    if not least_s <= spec.tunnel_rotation_ns / 1e9 <= most_s:
        remedy = f"is too short or too long; use {least_s}s to {most_s // 3600}h"
        raise refuse("tunnel-rotation", duration_text(spec.tunnel_rotation_ns), remedy)
