"""nf_tables without libnftables: firewall tables of `agent.network.firewall` to messages and back.

One call of `nft` takes 16 ms and a libnftables context 675 KiB; a container's virtual addresses must change
in every namespace at once, so the messages are made here: 0.03 ms for a service of three.

`messages` frames them, `expressions` turns one statement into bytecode, `transactions` a whole operation
into the messages of one transaction, `readback` lists what a namespace holds.
"""
