"""Where a new cluster's state is to be kept, if not by its managers themselves."""

import secrets

from covey.errors import InvalidArgument
from covey.model.store_access import StoreAccess, check, credential, parse_url
from covey.v1 import node_pb2

_KEY_BYTES = 32  # for AES-256; drawn once, on the first manager


def made_access(options: node_pb2.StoreOptions) -> StoreAccess:
    """Check what `init` was told, read the files, and draw the key of what will lie in etcd."""
    prefix = options.prefix or "/covey"
    if not prefix.startswith("/") or len(prefix) > 256:
        raise InvalidArgument(
            f"--store-prefix {prefix!r} does not begin with a slash, or is longer than 256 characters"
        )
    return check(
        StoreAccess(
            endpoints=parse_url(options.url),
            prefix=prefix.rstrip("/"),
            ca=credential(options.ca_file, "--store-ca"),
            certificate=credential(options.certificate_file, "--store-cert"),
            key=credential(options.key_file, "--store-key"),
            username=options.username,
            password=credential(options.password_file, "--store-password-file"),
            data_key=secrets.token_bytes(_KEY_BYTES),
        )
    )
