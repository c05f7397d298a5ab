"""The wire: how the processes of a cluster speak, with one rule for who may say what.

* `codec`: model structs to protobuf messages and back, by field name.
* `service` and `services`: every RPC as data, a typed `Method` with its request, its response and the roles
  that may call it, and which managers answer. A new RPC is a line in a proto and an entry in `services`;
  generated stubs, which carry no types, are not used.
* `server`: binds handlers to methods and serves them on a unix socket, on the control port (mTLS) or on
  the bootstrap port (the server's certificate only). A handler gets `(request, Caller)` and speaks in our
  own errors.
* `client`: a `Channel` to one address; calls take a `Method` and give its response, or raise our own errors.
* `callers`: who calls, by certificate or by the word of a manager that passes a call on.
* `gate`: the one place that decides whether a caller may do something.
* `metadata`: what travels beside messages.
* `status`: our errors as gRPC statuses, and back.
* `tls`: certificates on channels and ports.

TLS 1.3 only. grpcio has no setting for that, but it reads the list of TLS 1.2 suites from the environment
when it is first imported: with a suite that no TLS 1.2 client offers (it needs a pre-shared key), nothing
but 1.3 is left. So this package must be imported before grpc, and says so when it was not.
"""

import os
import sys

from covey.errors import Bug

_ONLY_TLS_1_3 = "ECDHE-PSK-CHACHA20-POLY1305"

if "grpc" in sys.modules and os.environ.get("GRPC_SSL_CIPHER_SUITES") != _ONLY_TLS_1_3:
    raise Bug("grpc was imported before covey.wire, so TLS 1.2 would be accepted: import covey.wire first")
os.environ["GRPC_SSL_CIPHER_SUITES"] = _ONLY_TLS_1_3
