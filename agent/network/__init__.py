"""The networks of one node: overlays, virtual addresses, published ports and the way out.

What stands on a node
---------------------
- `RUN/netns/net-<network id>`: one *sandbox* namespace per overlay network with a task here. It holds a
  bridge and a VXLAN device. The device is made in the node's own namespace and moved in, so its UDP
  socket stays outside. It learns nothing and floods nothing: the managers know every endpoint and push
  tables, from which come a static FDB entry and a proxy neighbour per remote endpoint.
- `RUN/netns/<task id>`: one namespace per task: `eth0`... on the overlays in the order of the spec, then
  the ingress interface, last the interface to the gateway bridge with the default route. Its table
  `covey_vip` sends each new connection to a service's virtual address to one of the active endpoints:
  the choice is made where the connection starts, so the backend sees the real client, and a removed
  backend keeps the connections it has.
- The node's own namespace: the gateway bridge `covey_gw0` (addresses that overlap nothing, masqueraded on
  the way out), and the ingress network's bridge `covey_in0` with the routing mesh: published ports
  answered on every local address and sent to any active endpoint in the cluster.

Every MAC address is 02:42 and the endpoint's number, so tables carry no MAC addresses. An IPv6 address is its
subnet's base and the same number. What IPv6 needs beside IPv4 is made by the same functions: firewall tables with
a `6` behind the name, routes, neighbours and addresses in the same lists. A namespace on no network with IPv6 has none
of it (`disable_ipv6`), and where the host has no IPv6, nobody has.

How it is decided, and done
---------------------------
`desired/` computes from networks, tables and sandboxes what every namespace should hold, as data
(`state`, `firewall`). `plan` compares that with what is there and yields operations in an order that is
safe to interrupt anywhere. `io/` reads what is there and carries operations out, deciding nothing.
`driver` joins them; it remembers what it has done, and reads back only at the start and after a fault.
`denials` sets aside a network that this host refuses, `probe` names what of the host would break them all.

How a task leaves
-----------------
Its rows drain: no rule sends a new connection there, on any node, while those that are open go on, since the
kernel remembers per connection where it goes. The ways to the endpoint stay until its row has left the table.
Ports in host mode have no rows; `close_ports` takes their rules away. `quiet` tells when nobody is connected.

Rules inside: whatever is ours is recognised by its name (`names`), whatever is not is never touched, and
all state is derived from what the managers say and what the kernel holds: there is no file to go stale.
"""
