"""Sockets, files and rules of the DNS server; nothing here decides what a name means.

`sockets` opens a container's pair of sockets inside its namespace and `redirect` leads port 53 to them;
`container` serves one container on the loop, `upstream` drives the machine of forwarded queries, and
`books` keeps tables and resolvers in files for the next start. A failed socket costs one answer, never
the process: it is counted, and the asker asks again.
"""
