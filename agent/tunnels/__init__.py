"""The tunnels of one node: WireGuard to every other node that it shares an encrypted network with.

What stands on a node
---------------------
For each *generation* of keys that is in use, a device in the node's own namespace (`covey_t0...` for even ones,
`covey_t1...` for odd ones) with a UDP port of its own. Each peer has there its public key, its underlay address, and
one address that may come from it: its tunnel address (`covey.model.tunnels`). That is what encrypted networks have for
VTEP, so VXLAN goes through the tunnel by plain routing: one route to each peer's address, over one of the devices.
A table in the node's firewall, the *guard*, lets nothing else happen: what would leave for a tunnel address by another
link is dropped, as is what comes from one, and VXLAN of an encrypted network that did not come through a tunnel.

The devices are the kernel's (WireGuard, configured over generic netlink), or TUN devices of wireguard-go: one process
per device, which outlives the agent and is found again by its socket. Which, a probe decides by really passing a
packet (`io/probe`).

How keys change
---------------
Managers raise the generation (`manager.tunnels`); peers' rows say which it is. A node then makes a key, writes it to
STATE/agent/tunnels.json (root's alone), opens the new generation's device, and only then reports the public key. The
devices of one generation are a mesh of their own, beside that of the generation before: so two nodes' routes to each
other may move at different times. A node moves its route to a peer once both have shaken hands in the new mesh, and
nothing that is under way is lost, for the old device still takes it. The old key goes once nobody has used it for a
while. Nobody needs to know what the others have done so far; a node that was away for some generations begins with
the one of now.

How it is decided, and done
---------------------------
`keeping` decides which keys there are, `clock` whether they must be others, `calling` who begins to shake hands; `wish`
computes what should stand, from keys, peers and who has answered; `plan` compares it with what stands. `io/` reads and
carries out. `driver` does this at each change, and every second: so the end of a wireguard-go is seen, and mended.
`io/networks` puts the tunnels under `agent.network`.

The rule inside: what cannot be encrypted is not sent. Each failure leaves the guard standing.
"""
