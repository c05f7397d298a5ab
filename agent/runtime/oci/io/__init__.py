"""The waiting parts of the OCI runtime: starting conmon, noticing how a container ends, running commands in one.

The first two talk to conmon by its documented means: two pipes at the start, files afterwards, one fifo for orders.
"""
