"""Certificates on ports and channels.

Servers are checked against the cluster's root and a fixed name that only managers' certificates carry, so
that no worker can pose as a manager, whatever address it answers on.
"""

from collections.abc import Callable
from typing import Any

import grpc

from covey import limits
from covey.identity import MANAGER_NAME, NodeIdentity

LoadIdentity = Callable[[], NodeIdentity]


def control_server(load: LoadIdentity) -> Any:
    """Credentials of the control port: both sides show certificates of this cluster.

    `load` is asked at every handshake, so that a renewed certificate is used without a restart. It runs on
    grpc's threads.
    """
    return _server(load, demand_client=True)


def bootstrap_server(load: LoadIdentity) -> Any:
    """Credentials of the bootstrap port: only the server shows a certificate."""
    return _server(load, demand_client=False)


def _server(load: LoadIdentity, *, demand_client: bool) -> Any:
    def configuration() -> Any:
        identity = load()
        chain = [(identity.key_pem, identity.certificate_pem)]
        return grpc.ssl_server_certificate_configuration(chain, identity.root_pem)

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=demand_client
    )


def control_channel(identity: NodeIdentity) -> Any:
    """Credentials of a channel to a manager's control port."""
    return grpc.ssl_channel_credentials(identity.root_pem, identity.key_pem, identity.certificate_pem)


def bootstrap_channel(trusted_pem: bytes) -> Any:
    """Credentials of a channel to a manager's bootstrap port.

    `trusted_pem` is the cluster's root certificate; or, before it is known, the very certificate the server
    has shown, which proves nothing and must not be trusted with a secret.
    """
    return grpc.ssl_channel_credentials(trusted_pem)


def server_options() -> list[tuple[str, int]]:
    """Options of every server: bounds, keepalive, and no port shared with another process in silence."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.request_bytes_max),
        ("grpc.max_send_message_length", limits.message_bytes_max),
        ("grpc.max_metadata_size", limits.metadata_bytes_max),
        ("grpc.server_handshake_timeout_ms", limits.handshake_timeout_ms),
        ("grpc.keepalive_time_ms", limits.keepalive_period_ms),
        ("grpc.keepalive_timeout_ms", limits.keepalive_timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", limits.keepalive_period_ms // 2),
        ("grpc.http2.max_ping_strikes", 0),
    ]


def bootstrap_server_options() -> list[tuple[str, int]]:
    """Options of the bootstrap port, where anybody may knock: little is taken, and nobody stays."""
    bounds = {
        "grpc.max_receive_message_length": limits.bootstrap_request_bytes_max,
        "grpc.max_connection_idle_ms": limits.bootstrap_idle_ms,
        "grpc.max_connection_age_ms": limits.bootstrap_connection_ms,
        "grpc.max_connection_age_grace_ms": limits.bootstrap_idle_ms,
        "grpc.max_concurrent_streams": limits.bootstrap_streams_max,
    }
    return list({**dict(server_options()), **bounds}.items())


def channel_options(*, verified: bool) -> list[tuple[str, int | str]]:
    """Options of every channel. With TLS (`verified`), the server must be a manager of the cluster."""
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", limits.message_bytes_max),
        ("grpc.max_send_message_length", limits.request_bytes_max),
        ("grpc.max_metadata_size", limits.metadata_bytes_max),
        ("grpc.keepalive_time_ms", limits.keepalive_period_ms),
        ("grpc.keepalive_timeout_ms", limits.keepalive_timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", limits.reconnect_backoff_ms_min),
        ("grpc.min_reconnect_backoff_ms", limits.connect_timeout_ms),
        ("grpc.max_reconnect_backoff_ms", limits.reconnect_backoff_ms_max),
        ("grpc.enable_http_proxy", 0),  # a proxy variable in the environment must not capture cluster traffic
        ("grpc.use_local_subchannel_pool", 1),  # a closed channel's connection is gone, as its owner expects
    ]
    if verified:
        options.append(("grpc.ssl_target_name_override", MANAGER_NAME))
    return options
