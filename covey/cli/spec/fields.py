"""Which option means which field of a service's spec: the tables `change` works from.

A path names a field through nested structs. A listed field has a key, which tells an entry that is added
from one that it replaces, and which `--...-rm` names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from covey.model import constraint

SCALARS: dict[str, str] = {
    "name": "name",
    "replicas": "mode.replicas",
    "mode": "mode.kind",
    "max_concurrent": "mode.max_concurrent",
    "endpoint_mode": "endpoint.mode",
    "affinity": "endpoint.affinity",
    "drain_time": "endpoint.drain_ns",
    "image": "task.container.image",
    "args": "task.container.args",
    "entrypoint": "task.container.command",
    "user": "task.container.user",
    "workdir": "task.container.workdir",
    "hostname": "task.container.hostname",
    "stop_signal": "task.container.stop_signal",
    "stop_grace_period": "task.container.stop_grace_ns",
    "read_only": "task.container.read_only",
    "init": "task.container.init",
    "no_new_privileges": "task.container.no_new_privileges",
    "oom_score_adj": "task.container.oom_score_adj",
    "registry_auth": "task.container.registry_auth",
    "health_cmd": "task.container.health.test",
    "health_interval": "task.container.health.interval_ns",
    "health_timeout": "task.container.health.timeout_ns",
    "health_retries": "task.container.health.retries",
    "health_start_period": "task.container.health.start_period_ns",
    "health_start_interval": "task.container.health.start_interval_ns",
    "limit_cpu": "task.resources.limits.nano_cpus",
    "limit_memory": "task.resources.limits.memory_bytes",
    "limit_pids": "task.resources.limits.pids",
    "reserve_cpu": "task.resources.reservations.nano_cpus",
    "reserve_memory": "task.resources.reservations.memory_bytes",
    "restart_condition": "task.restart.condition",
    "restart_delay": "task.restart.delay_ns",
    "restart_max_attempts": "task.restart.max_attempts",
    "restart_window": "task.restart.window_ns",
    "replicas_max_per_node": "task.placement.max_replicas_per_node",
    "update_parallelism": "update.parallelism",
    "update_delay": "update.delay_ns",
    "update_failure_action": "update.failure_action",
    "update_monitor": "update.monitor_ns",
    "update_max_failure_ratio": "update.max_failure_ratio",
    "update_order": "update.order",
    "update_start_deadline": "update.start_deadline_ns",
    "rollback_parallelism": "rollback.parallelism",
    "rollback_delay": "rollback.delay_ns",
    "rollback_failure_action": "rollback.failure_action",
    "rollback_monitor": "rollback.monitor_ns",
    "rollback_max_failure_ratio": "rollback.max_failure_ratio",
    "rollback_order": "rollback.order",
    "rollback_start_deadline": "rollback.start_deadline_ns",
}

MAPS: dict[str, str] = {
    "label": "labels",
    "container_label": "task.container.labels",
    "sysctl": "task.container.sysctls",
}


def _itself(entry: Any) -> Any:
    return entry


def _plainest(text: str) -> str:
    return str(constraint.parse(text))


@dataclass(frozen=True, slots=True)
class Listed:
    """A field that holds entries. `key` is of an entry, `named` of what `--...-rm` was given, `said` of a key."""

    path: str
    key: Callable[[Any], Any] = _itself
    named: Callable[[Any], Any] = _itself
    said: Callable[[Any], str] = str


LISTS: dict[str, Listed] = {
    "env": Listed("task.container.env", lambda entry: entry.partition("=")[0]),
    "mount": Listed("task.container.mounts", lambda entry: entry.target),
    "group": Listed("task.container.groups"),
    "host": Listed("task.container.hosts"),
    "dns": Listed("task.container.dns.nameservers"),
    "dns_search": Listed("task.container.dns.search"),
    "dns_option": Listed("task.container.dns.options"),
    "ulimit": Listed("task.container.ulimits", lambda entry: entry.name),
    "constraint": Listed("task.placement.constraints", _plainest, _plainest),
    "placement_pref": Listed(
        "task.placement.preferences", lambda entry: entry.spread, lambda pref: pref.spread
    ),
    "generic_resource": Listed("task.resources.reservations.generic", lambda entry: entry.kind),
    "network": Listed("task.networks", lambda entry: entry.target),
    "publish": Listed(
        "endpoint.ports",
        lambda entry: (entry.target_port, entry.protocol),
        lambda port: (port.target_port, port.protocol),
        lambda key: f"{key[0]}/{key[1].name.lower()}",
    ),
}

CAPABILITIES = ("task.container.capability_add", "task.container.capability_drop")
"""What `--cap-add` adds, `--cap-drop` takes away: naming one in either list strikes it from the other."""
