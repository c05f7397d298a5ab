"""The waiting parts of the OCI runtime: starting conmon, and noticing how a container ends.

Both talk to conmon by its documented means: two pipes at the start, files afterwards, one fifo for orders.
"""
