"""Doing, shared: thin layers over the kernel that more than one process needs.

Nothing here decides. Each module says in its first lines what the kernel's rules are, and why the code
follows them the way it does.
"""
