"""Settings that networks share: a config-only network is nothing else, and others take them over when they are made.

What is taken over is written into the new network, which then stands by itself; so agents and the allocator need not know
where its settings are from. A set of settings is not removed while a network says that it has them from there.
"""

from msgspec.structs import replace

from covey.errors import FailedPrecondition, InvalidArgument
from covey.model.network_options import OVERLAY
from covey.model.specs import NetworkSpec
from manager.control.lookup import find_network
from manager.control.refusal import refuse
from manager.store.draft import Draft

from .validate import check_network


def check_settings(spec: NetworkSpec) -> None:
    """Refuse what a set of settings, or a network that takes over such a set, cannot be given."""
    if spec.config_only:
        own = (("attachable", spec.attachable), ("ingress", spec.ingress), ("driver", spec.driver != OVERLAY))
        for field, given in own:
            if given:
                remedy = "is of no set of settings, which nothing joins; give it to the network that takes them over"
                raise refuse(field, spec.name, remedy)
        if spec.config_from:
            remedy = "cannot be taken over by a set of settings itself; leave config-only or config-from out"
            raise refuse("config-from", spec.config_from, remedy)
    if spec.config_from and settings_of(spec) != settings_of(NetworkSpec()):
        remedy = "has all settings (subnets, families, internal, opt); leave those out, or config-from"
        raise refuse("config-from", spec.config_from, remedy)


def settings_of(spec: NetworkSpec) -> NetworkSpec:
    """Give the part of a spec that is taken over."""
    return NetworkSpec(
        internal=spec.internal, ipam=spec.ipam, options=spec.options, ipv4=spec.ipv4, ipv6=spec.ipv6
    )


def with_settings(draft: Draft, spec: NetworkSpec) -> NetworkSpec:
    """Give the spec with the settings of the network it names, and check the two together."""
    if not spec.config_from:
        return spec
    source = find_network(draft, spec.config_from)
    if not source.spec.config_only:
        remedy = "is a network of its own; name one that was made with config-only"
        raise InvalidArgument(f"config-from: {source.spec.name!r} {remedy}")
    if source.pending_delete:
        raise FailedPrecondition(f"config-from: {source.spec.name!r} is being removed; name another one")
    draft.require(source)  # lest it is removed at the same moment
    of = source.spec
    whole = replace(
        spec,
        internal=of.internal,
        ipam=of.ipam,
        options=of.options,
        ipv4=of.ipv4,
        ipv6=of.ipv6,
        config_from="",
    )
    check_network(whole)
    return replace(whole, config_from=of.name)
