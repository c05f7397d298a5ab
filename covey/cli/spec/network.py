"""What `covey network create` makes of its flags."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from msgspec.structs import replace

from covey.errors import InvalidArgument
from covey.model.specs import IpamConfig, NetworkSpec


def network_spec(
    name: str,
    *,
    driver: str,
    subnets: tuple[str, ...] = (),
    gateways: tuple[str, ...] = (),
    ip_ranges: tuple[str, ...] = (),
    aux_addresses: tuple[tuple[str, str], ...] = (),
    labels: tuple[tuple[str, str], ...] = (),
    options: tuple[tuple[str, str], ...] = (),
    attachable: bool = False,
    internal: bool = False,
    ingress: bool = False,
    ipv4: bool = True,
    ipv6: bool = False,
    config_only: bool = False,
    config_from: str = "",
) -> NetworkSpec:
    """Return the spec; gateways, ranges and kept addresses go to the subnet they lie in, as with Docker."""
    _once("opt", options)
    _once("label", labels)
    ipam = {subnet: IpamConfig(subnet=subnet) for subnet in subnets}
    for gateway in gateways:
        home = _home("gateway", gateway, ip_network(gateway), subnets)
        _free("gateway", gateway, home, ipam[home].gateway)
        ipam[home] = replace(ipam[home], gateway=gateway)
    for ip_range in ip_ranges:
        home = _home("ip-range", ip_range, ip_network(ip_range), subnets)
        _free("ip-range", ip_range, home, ipam[home].ip_range)
        ipam[home] = replace(ipam[home], ip_range=ip_range)
    for key, address in aux_addresses:
        home = _home("aux-address", f"{key}={address}", ip_network(ip_address(address)), subnets)
        _free("aux-address", f"{key}={address}", home, ipam[home].reserved.get(key, ""))
        ipam[home] = replace(ipam[home], reserved={**ipam[home].reserved, key: address})
    return NetworkSpec(
        name=name,
        labels=dict(labels),
        driver=driver,
        attachable=attachable,
        internal=internal,
        ingress=ingress,
        ipam=tuple(ipam.values()),
        options=dict(options),
        ipv4=ipv4,
        ipv6=ipv6,
        config_only=config_only,
        config_from=config_from,
    )


def _once(flag: str, pairs: Iterable[tuple[str, str]]) -> None:
    seen = set[str]()
    for key, value in pairs:
        if key in seen:
            raise InvalidArgument(f"--{flag} {key}={value}: {key} is given twice; give it once")
        seen.add(key)


def _home(flag: str, text: str, inner: IPv4Network | IPv6Network, subnets: tuple[str, ...]) -> str:
    """Find the subnet that holds what a flag names."""
    if not subnets:
        raise InvalidArgument(f"--{flag} {text}: it belongs to no subnet; give --subnet as well")
    for subnet in subnets:
        outer = ip_network(subnet)
        if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network) and inner.subnet_of(outer):
            return subnet
        if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network) and inner.subnet_of(outer):
            return subnet
    raise InvalidArgument(f"--{flag} {text}: it lies in none of the subnets {', '.join(subnets)}")


def _free(flag: str, text: str, subnet: str, before: str) -> None:
    if before:
        raise InvalidArgument(f"--{flag} {text}: {subnet} has {before} already; give one for each subnet")
