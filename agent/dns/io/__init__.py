"""Sockets, files and rules of the DNS server. Nothing here decides what a name means."""
