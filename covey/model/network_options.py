"""The drivers of networks and their options: what these are called, here and by Docker's users, and what they say."""

from collections.abc import Mapping

OVERLAY, MACVLAN = "overlay", "macvlan"
DRIVERS = (OVERLAY, MACVLAN)

MTU = ("mtu", "com.docker.network.driver.mtu")
VNI = ("vni", "com.docker.network.driver.overlay.vxlanid_list")
ENCRYPTED = ("encrypted",)
PARENT = ("parent",)
MODE = ("mode", "macvlan_mode")

KNOWN = {OVERLAY: (MTU, VNI, ENCRYPTED), MACVLAN: (MTU, PARENT, MODE)}
"""By driver: what options it has, each under all its names."""

MODES = {"bridge": 4, "private": 1, "vepa": 2}
"""How tasks of one node on a macvlan network reach each other, with the kernel's numbers; the first is the default."""


def mtu(options: Mapping[str, str]) -> int:
    """Give the MTU that was asked for, 0 if none was."""
    return _number(options, MTU)


def vni(options: Mapping[str, str]) -> int:
    """Give the VNI that was asked for, 0 if none was."""
    return _number(options, VNI)


def encrypted(options: Mapping[str, str]) -> bool:
    """Tell whether what nodes send each other on the network is to be encrypted."""
    return any(options.get(name, "false") != "false" for name in ENCRYPTED)


def parent(options: Mapping[str, str]) -> str:
    """Give the interface of each node by which a macvlan network goes."""
    return _text(options, PARENT)


def mode(options: Mapping[str, str]) -> str:
    """Give the mode of a macvlan network."""
    return _text(options, MODE) or next(iter(MODES))


def _number(options: Mapping[str, str], names: tuple[str, ...]) -> int:
    text = _text(options, names)
    return int(text) if text.isascii() and text.isdecimal() else 0


def _text(options: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((options[name] for name in names if name in options), "")
