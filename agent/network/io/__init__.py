"""Doing: netlink, nf_tables, conntrack and kernel settings, in bytes, behind plain functions.

`wire` is what all netlink families share: attributes, messages, and a channel that sends many messages at
once and tells which of them failed. `rtnetlink` and `nftables` turn operations into messages, `dump` and
`nftables.readback` turn the kernel's answers into `state`. `kernel` carries out a plan, `observe` reads a
whole node. Everything here blocks, for microseconds to some milliseconds, and runs on one thread of its
own (`driver`). Message layouts follow include/uapi/linux/{netlink,rtnetlink,if_link,neighbour}.h and
linux/netfilter/{nfnetlink,nf_tables,nfnetlink_conntrack}.h; constants keep the kernel's names.
"""
