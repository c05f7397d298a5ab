"""Carrying out a plan: operations to messages, in as few round trips as their order allows.

Operations that follow one another in the same namespace go as one batch. Removing what is already gone is
success. A failure raises `NetworkFault` with the operation and the kernel's words; what came before it
stays done, which is what plans are made for.
"""

import errno
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from covey import limits
from covey.io import netns

from .. import ops
from ..ops import Operation
from ..seam import NetworkFault
from ..state import NODE, Kind, Link
from . import rtnetlink as rt
from . import sysctl
from .claims import holder
from .nftables.transactions import commit
from .places import Places
from .wire import Failure, Message

_log = logging.getLogger(__name__)
_GONE = {
    ops.RemoveLink: {errno.ENODEV},
    ops.RemoveAddress: {errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO},
    ops.RemoveRoute: {errno.ESRCH, errno.ENODEV},
    ops.RemovePolicy: {errno.ENOENT},
    ops.RemoveStatic: {errno.ENOENT, errno.ENODEV},
    ops.RemoveForward: {errno.ENOENT, errno.ENODEV},
    ops.RemoveNeighbour: {errno.ENOENT, errno.ENODEV},
    ops.RemoveTable: {errno.ENOENT},
}
_SETTINGS = (ops.SetSysctl, ops.SetLinkSysctl)

# A closed connection whose last data nobody acknowledges keeps its namespace for a minute and more, and with it
# the other end of each link. Where everything has ended it may give up after one more try.
_LEAVING = {"net/ipv4/tcp_orphan_retries": "1"}


def carry_out(places: Places, steps: Iterable[Operation]) -> None:
    """Carry out `steps` in their order; raises `NetworkFault` at the first that fails."""
    for _, group in groupby(_numbered(steps), key=lambda each: each[0]):
        together = [step for _, step in group]
        if isinstance(together[0], ops.ALONE):
            _one(places, together[0])
        elif isinstance(together[0], _SETTINGS):
            _settings(places, together)
        else:
            _batch(places, together)


def _numbered(steps: Iterable[Operation]) -> Iterator[tuple[int, Operation]]:
    """Give operations that can go as one batch the same number."""
    number, last = 0, ("", False)
    for step in steps:
        this = step.netns, isinstance(step, _SETTINGS)
        if isinstance(step, ops.ALONE) or this != last:
            number += 1
        last = this
        yield number, step
        if isinstance(step, ops.ALONE):
            number += 1


def _settings(places: Places, steps: Sequence[Operation]) -> None:
    values = {step.path: step.value for step in steps if isinstance(step, _SETTINGS)}
    try:
        sysctl.write(places.path(steps[0].netns), values)
    except OSError as error:
        raise _fault(steps[0], str(error)) from error


def _one(places: Places, step: Operation) -> None:
    try:
        match step:
            case ops.CreateNetns(name):
                path = places.path(name)
                assert path is not None, "the node's own namespace is never made"
                netns.create(path)
            case ops.RemoveNetns(name):
                path = places.path(name)
                assert path is not None, "the node's own namespace is never removed"
                places.forget(name)
                _give_up_connections(path)
                netns.delete(path)
            case ops.CreateLink(name, link, other):
                _create_link(places, name, link, other)
            case ops.ReplaceTable() | ops.EditTable() | ops.RemoveTable():
                _check(commit(places.filtering(step.netns), step), [step])
            case _:
                raise AssertionError(f"{step} belongs in a batch")
    except OSError as error:
        raise _fault(step, str(error)) from error


def _give_up_connections(path: Path) -> None:
    try:
        if netns.exists(path):
            sysctl.write(path, _LEAVING)
    except OSError as error:  # then it only takes longer
        _log.warning("closed connections of %s may linger, and its links with them: %s", path.name, error)


def _create_link(places: Places, name: str, link: Link, other: Link | None) -> None:
    """Make a link. A name or VNI that is still taken belongs to what the kernel is about to end: wait."""
    for tries in range(limits.link_retries_max + 1):
        places.forget_link(name, link.name)
        failures = _try_link(places, name, link, other)
        if not failures:
            return
        failure = failures[0]
        if failure.number not in (errno.EEXIST, errno.EBUSY) or tries == limits.link_retries_max:
            detail, vni = str(failure), 0
            if failure.number == errno.EEXIST and link.vxlan is not None:
                vni = link.vxlan.vni
                detail = (
                    f"VNI {link.vxlan.vni} on UDP port {link.vxlan.port} is taken by another VXLAN device "
                    "of this host (Docker's?); remove it, or give the network another VNI"
                )
            if failure.number == errno.EADDRINUSE and link.vxlan is not None:
                vni, detail = link.vxlan.vni, _taken(link.vxlan.port)
            if failure.number == errno.EBUSY and link.macvlan is not None:
                detail = (
                    f"interface {link.macvlan.parent} is in other use (a bridge's port?); name another parent"
                )
            raise _fault(ops.CreateLink(name, link, other), detail, vni)
        places.routing(name).batch([rt.remove_link(link.name)])
        time.sleep(limits.link_retry_ms / 1000)


def _taken(port: int) -> str:
    """Who has the UDP port: a program, or a VXLAN device of a kind that shares it with no other."""
    program = holder("udp", port) or "a VXLAN device of another kind (Cilium's or Open vSwitch's?)"
    return (
        f"UDP port {port} of this host is taken by {program}, so no overlay can be built here; stop that, or make the "
        "cluster with another port (--data-path-port)"
    )


def _try_link(places: Places, name: str, link: Link, other: Link | None) -> list[Failure]:
    if link.kind is Kind.BRIDGE:
        return places.routing(name).batch([rt.bridge(link)])
    if link.kind is Kind.VXLAN:
        # made from the node's own namespace, where the UDP socket stays
        if name == NODE:
            failures = places.routing(NODE).batch([rt.vxlan(link, None)])
        else:
            with places.opened(name) as descriptor:
                failures = places.routing(NODE).batch([rt.vxlan(link, descriptor)])
        if failures:
            return failures
        return places.routing(name).batch([_set_link(places, name, link)])
    if link.macvlan is not None:
        places.forget_link(NODE, link.macvlan.parent)  # another may have its name by now
        parent = places.index(NODE, link.macvlan.parent)
        with places.opened(name) as descriptor:
            failures = places.routing(NODE).batch([rt.macvlan(link, parent, descriptor)])
        return failures or places.routing(name).batch([_set_link(places, name, link)])
    assert other is not None
    assert link.peer is not None, f"{link.name} is a veth without another end"
    places.forget_link(*link.peer)
    with places.opened(link.peer[0]) as descriptor:
        master = places.index(name, link.master)
        return places.routing(name).batch([rt.veth(link, other, descriptor, master)])


def _batch(places: Places, steps: Sequence[Operation]) -> None:
    messages: list[Message] = []
    meant: list[Operation] = []
    for step in steps:
        try:
            messages.append(_message(places, step))
            meant.append(step)
        except OSError as error:
            if error.errno not in _GONE.get(type(step), ()):
                raise _fault(step, str(error)) from error
    try:
        failures = places.routing(steps[0].netns).batch(messages)
    except OSError as error:
        raise _fault(steps[0], str(error)) from error
    for step in steps:
        if isinstance(step, ops.RemoveLink):
            places.forget_link(step.netns, step.name)
    _check(failures, meant)


def _check(failures: Sequence[Failure], meant: Sequence[Operation]) -> None:
    for failure in failures:
        step = meant[max(0, min(failure.place, len(meant) - 1))]
        if isinstance(step, ops.AddPolicy | ops.AddRoute) and failure.number == errno.EEXIST:
            continue
        if failure.number not in _GONE.get(type(step), ()):
            raise _fault(step, str(failure))


def _message(places: Places, step: Operation) -> Message:
    match step:
        case ops.RemoveLink(_, link_name):
            return rt.remove_link(link_name)
        case ops.SetLink(name, link):
            return _set_link(places, name, link)
        case ops.SetPort(name, link_name, port):
            return rt.set_port(places.index(name, link_name), port)
        case ops.AddAddress(name, address):
            return rt.address(address, places.index(name, address.link))
        case ops.RemoveAddress(name, address):
            return rt.address(address, places.index(name, address.link), remove=True)
        case ops.AddRoute(name, route):
            return rt.route(route, places.index(name, route.link))
        case ops.RemoveRoute(name, route):
            return rt.route(route, places.index(name, route.link), remove=True)
        case ops.AddPolicy(_, policy):
            return rt.policy(policy)
        case ops.RemovePolicy(_, policy):
            return rt.policy(policy, remove=True)
        case ops.AddStatic(name, link_name, mac):
            return rt.static(places.index(name, link_name), mac)
        case ops.RemoveStatic(name, link_name, mac):
            return rt.static(places.index(name, link_name), mac, remove=True)
        case ops.SetForward(name, link_name, mac, vtep):
            return rt.forward(places.index(name, link_name), mac, vtep)
        case ops.RemoveForward(name, link_name, mac):
            return rt.unforward(places.index(name, link_name), mac)
        case ops.SetNeighbour(name, link_name, ip, mac):
            return rt.neighbour(places.index(name, link_name), ip, mac)
        case ops.RemoveNeighbour(name, link_name, ip):
            return rt.unneighbour(places.index(name, link_name), ip)
        case _:
            raise AssertionError(f"{step} does not go in a batch")


def _set_link(places: Places, name: str, link: Link) -> Message:
    master = None
    if link.kind is not Kind.LOOPBACK:
        master = places.index(name, link.master) if link.master else 0
    return rt.set_link(link, places.index(name, link.name), master)


def _fault(step: Operation, words: str, vni: int = 0) -> NetworkFault:
    where = step.netns or "the node's namespace"
    whole = str(step)[: limits.program_complaint_chars_max]  # a table can have a thousand targets
    return NetworkFault(f"{type(step).__name__} in {where} failed: {words}; it was {whole}", vni)
