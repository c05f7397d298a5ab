"""The small files a container finds: /etc/hosts; and what its name server needs to know."""

from collections.abc import Iterable
from ipaddress import ip_address

from msgspec import Struct

from agent.dns.feed import Resolver, ResolverNetwork, Upstream
from agent.dns.resolv import ndots_of
from agent.network.desired.task import has_way_out
from agent.network.firewall import Family, family_of
from agent.network.seam import Sandbox
from covey.errors import InvalidArgument
from covey.model.specs import ContainerSpec, DnsConfig

_LOCAL = "127.0.0.1\tlocalhost\n"
_LOCAL_IPV6 = """\
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_NO_ADDRESS = "127.0.1.1"  # Debian's place for the own name of a host without a fixed address


class NodeFacts(Struct, frozen=True):
    """What a container is told of its node: its id and name, its resolver settings, and whether it has IPv6."""

    node_id: str = ""
    name: str = ""
    upstreams: tuple[Upstream, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    ipv6: bool = True


def hostname_of(task_id: str, spec: ContainerSpec, node: NodeFacts | None = None) -> str:
    """The container's host name: the user's, or the first twelve characters of the task's id.

    With a `node`, whose network it shares, it is called as the node is, as with Docker.
    """
    return spec.hostname or (node.name if node is not None else "") or task_id[:12]


def hosts_file(hostname: str, sandbox: Sandbox, extra: Iterable[str], *, ipv6: bool = True) -> str:
    """The text of /etc/hosts: the loopback names, the user's lines, and the container's own name.

    Its own name stands for its address on its first network, as with Docker. An extra line is `IP NAME...`,
    as in Swarm's API, or `NAME:IP`, as on Docker's command line. Without `ipv6` on its host a container has none of
    those addresses, whatever the managers gave it.
    """
    overlays = [a for a in sandbox.attachments if not a.network.spec.ingress]
    given = overlays[0].endpoint.addresses if overlays else ()
    own = [each for each in given if ipv6 or family_of(each) is Family.IPV4]
    lines = [_extra_line(text) for text in extra]
    lines += [f"{address}\t{hostname}" for address in own or (_NO_ADDRESS,)]
    return _LOCAL + (_LOCAL_IPV6 if ipv6 else "") + "\n".join(lines) + "\n"


def _extra_line(text: str) -> str:
    words = text.split()
    if len(words) == 1:
        name, _, address = text.partition(":")
        words = [address, name]
    try:
        ip_address(words[0] if words else "")
    except ValueError:
        raise InvalidArgument(f"host {text!r} is neither NAME:IP nor 'IP NAME'; give an address") from None
    if not all(words[1:]) or len(words) < 2:
        raise InvalidArgument(f"host {text!r} has no name; write NAME:IP")
    return f"{words[0]}\t{' '.join(words[1:])}"


def own_resolv_conf(spec: ContainerSpec, node: NodeFacts, *, shared: bool) -> str:
    """The text of /etc/resolv.conf where we serve no names: the user's servers, or the node's if it `shared` is."""
    dns = spec.dns or DnsConfig()
    servers = dns.nameservers or tuple(each.address for each in node.upstreams)
    lines = [f"nameserver {server}" for server in servers] if shared else ["# this container has no network"]
    search = [domain for domain in dns.search or node.search if domain != "."]
    if shared and search:
        lines.append("search " + " ".join(search))
    if shared and (options := dns.options or node.options):
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def resolver_of(sandbox: Sandbox, netns: str, spec: ContainerSpec, node: NodeFacts) -> Resolver:
    """How names are answered in the container: its networks first, then the user's servers or the node's.

    Names of the ingress network are nobody's business, as with Docker. A container without a way out does not
    get one by way of the node's servers either: a question is a message too.
    """
    dns = spec.dns
    upstreams = node.upstreams if has_way_out(sandbox) else ()
    search = node.search
    options = node.options
    if dns is not None:
        if dns.nameservers:
            upstreams = tuple(Upstream(address, from_node=False) for address in dns.nameservers)
        search = dns.search or search
        options = dns.options or options
    overlays = [a.network for a in sandbox.attachments if not a.network.spec.ingress]
    return Resolver(
        task_id=sandbox.task_id,
        netns=netns,
        networks=tuple(ResolverNetwork(network.id, network.spec.name) for network in overlays),
        upstreams=upstreams,
        search=search,
        ndots=ndots_of(options),
        options=options,
    )
