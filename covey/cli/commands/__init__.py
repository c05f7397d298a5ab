"""The commands themselves, one module per noun, and `membership` for those that stand at the root.

Each is: options, one conversation with the API, something printed. What can be worked out without asking
anybody is in `covey.cli.parse`, `covey.cli.spec` and `covey.cli.show`, which are tested without a cluster.
"""
