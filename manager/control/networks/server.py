"""The gRPC side of networks: requests are read, checked, and turned into transactions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from random import Random

from covey import limits
from covey.client.pages import paged
from covey.errors import NotLeader
from covey.model.objects import Endpoint, Network
from covey.model.specs import NetworkSpec
from covey.v1 import control_pb2 as pb
from covey.v1 import objects_pb2
from covey.wire.codec import from_message, to_message
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control
from manager.control.lookup import find_network
from manager.control.paging import pages
from manager.dispatcher.followed import Followed
from manager.store.driver import Store
from manager.store.io.aside import Aside, GivenUp
from manager.store.view import BY_NETWORK, View

from .changes import create_network, end_removal, remove_network
from .settings import check_settings
from .truth import truth
from .validate import check_network

log = logging.getLogger(__name__)

FollowedBy = Callable[[str], Followed | None]
"""What is heard of a network's nodes, by its id; None while this manager does not lead."""


class NetworkServer:
    """Serves what `covey.v1.Control` has on networks."""

    def __init__(self, store: Store, dice: Random, followed: FollowedBy) -> None:
        self._store = store
        self._dice = dice
        self._followed = followed
        self._aside = Aside(store)

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [
            bind(Control.create_network, self._create_network),
            bind(Control.list_networks, self._list_networks),
            bind(Control.get_network, self._get_network),
            bind(Control.remove_network, self._remove_network),
            bind(Control.inspect_network, self._inspect_network),
        ]

    async def _create_network(
        self, request: pb.CreateNetworkRequest, caller: Caller
    ) -> pb.CreateNetworkResponse:
        spec = from_message(request.spec, NetworkSpec)
        check_network(spec)
        check_settings(spec)
        network = await self._store.update(lambda draft: create_network(draft, spec, self._dice))
        log.info("%s created network %s (%s)", caller, spec.name, network.id)
        return pb.CreateNetworkResponse(network_id=network.id)

    async def _list_networks(
        self, request: pb.ListNetworksRequest, caller: Caller
    ) -> AsyncIterator[pb.ListNetworksResponse]:
        for page in pages([to_message(network, objects_pb2.Network) for network in self._store.all(Network)]):
            yield pb.ListNetworksResponse(networks=page)

    async def _get_network(
        self, request: pb.GetNetworkRequest, caller: Caller
    ) -> AsyncIterator[pb.GetNetworkResponse]:
        network = find_network(self._store, request.network)
        endpoints = list(self._store.find(Endpoint, BY_NETWORK, network.id))
        first: objects_pb2.Network | None = to_message(network, objects_pb2.Network)
        for page in pages(endpoints):
            written = [to_message(endpoint, objects_pb2.Endpoint) for endpoint in page]
            yield pb.GetNetworkResponse(network=first, endpoints=written)
            first = None
            await asyncio.sleep(0)  # thousands of endpoints must not hold up heartbeats

    async def _remove_network(
        self, request: pb.RemoveNetworkRequest, caller: Caller
    ) -> pb.RemoveNetworkResponse:
        await self._store.update(lambda draft: remove_network(draft, request.network_id))
        refusal = await self._store.update(lambda draft: end_removal(draft, request.network_id))
        if refusal is not None:
            raise refusal
        log.info("%s removed network %s", caller, request.network_id)
        return pb.RemoveNetworkResponse()

    async def _inspect_network(
        self, request: pb.InspectNetworkRequest, caller: Caller
    ) -> AsyncIterator[pb.InspectNetworkResponse]:
        network_id = find_network(self._store, request.network).id
        followed = self._followed(network_id)
        if followed is None:
            raise NotLeader("this manager does not lead (any more)")

        def look(view: View, given_up: GivenUp) -> list[pb.InspectNetworkResponse]:
            told = truth(view, find_network(view, network_id), followed, given_up)
            return [
                to_message(page, pb.InspectNetworkResponse) for page in paged(told, limits.page_items_max)
            ]

        for page in await self._aside.work(look):
            yield page
