"""The options of `covey init` that say where the cluster's state is kept, if not by its managers themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from covey.client.daemon import StoreOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)
_OPTIONS = {
    "url": click.option(
        "--store",
        "store_url",
        metavar="etcd://HOST[:PORT],...",
        help="Keep the cluster's state in this etcd cluster, instead of on the managers themselves.",
    ),
    "ca_file": click.option(
        "--store-ca",
        "store_ca_file",
        type=_FILE,
        help="Encrypt the way to etcd, whose certificate this vouches for.",
    ),
    "certificate_file": click.option(
        "--store-cert", "store_certificate_file", type=_FILE, help="The certificate to show to etcd."
    ),
    "key_file": click.option(
        "--store-key", "store_key_file", type=_FILE, help="The key of that certificate."
    ),
    "username": click.option(
        "--store-user", "store_username", metavar="NAME", help="The user to be in etcd."
    ),
    "password_file": click.option(
        "--store-password-file", "store_password_file", type=_FILE, help="A file with that user's password."
    ),
    "prefix": click.option(
        "--store-prefix",
        "store_prefix",
        metavar="KEY",
        help="What all keys in etcd begin with. [default: /covey]",
    ),
}


def kept_in_etcd(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS.values()):
        command = option(command)
    return command


def store_options(options: dict[str, Any]) -> StoreOptions | None:
    """Take these options out of a command's; none if the managers keep the state. Raises `click.UsageError`."""
    found = {name: options.pop(f"store_{name}") for name in _OPTIONS}
    given = {name: str(value) for name, value in found.items() if value}
    if not given:
        return None
    if "url" not in given:
        raise click.UsageError("--store-... says how to use an etcd cluster: add --store etcd://HOST:2379")
    return StoreOptions(**given)
