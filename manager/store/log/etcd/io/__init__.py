"""What of the log in etcd waits for the network.

`client` speaks to one of etcd's members at a time; `watching` follows a range of keys; `session` holds the lease and
leads; `tenure` writes for as long as one leadership lasts; `reading` gives the entries; `snapshots` keeps snapshots;
`log` puts them together.
"""

import covey.wire  # noqa: F401  before grpc is imported by anything: it sets what TLS versions grpc takes
