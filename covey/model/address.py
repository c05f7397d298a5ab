"""Addresses as channels, listeners and people write them: `192.0.2.1:2377`, `[2001:db8::1]:2377`."""


def join_host_port(host: str, port: int) -> str:
    """Write a host and a port as one; an IPv6 address stands in brackets, or its end would be the port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
