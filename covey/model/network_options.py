"""The driver options of overlay networks: what they are called, here and by Docker's users, and what they say."""

from collections.abc import Mapping

MTU = ("mtu", "com.docker.network.driver.mtu")
VNI = ("vni", "com.docker.network.driver.overlay.vxlanid_list")
ENCRYPTED = ("encrypted",)

KNOWN = (*MTU, *VNI, *ENCRYPTED)


def mtu(options: Mapping[str, str]) -> int:
    """Give the MTU that was asked for, 0 if none was."""
    return _number(options, MTU)


def vni(options: Mapping[str, str]) -> int:
    """Give the VNI that was asked for, 0 if none was."""
    return _number(options, VNI)


def encrypted(options: Mapping[str, str]) -> bool:
    """Tell whether what nodes send each other on the network is to be encrypted."""
    return any(options.get(name, "false") != "false" for name in ENCRYPTED)


def _number(options: Mapping[str, str], names: tuple[str, ...]) -> int:
    text = next((options[name] for name in names if name in options), "")
    return int(text) if text.isascii() and text.isdecimal() else 0
