"""Reading tunnels back and making them, deciding nothing.

`devices` carries steps out and reads what stands, with `links` for what rtnetlink knows of a device, `guarding` for the
firewall, and one of two makes of WireGuard: `kernel` (generic netlink) and `userspace` (wireguard-go and its socket;
`receiving` gives it room for packets).
`probe` finds out which of them works here. `keys` has the file of private keys.
"""
