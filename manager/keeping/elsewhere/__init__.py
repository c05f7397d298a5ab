"""The log kept in etcd: what the rest of a manager needs to know beside it.

There is no group to be let into: the managers are the nodes whose role that is, and each names its address in etcd. One
whose node is no manager any more gives leadership up, even before its process is stopped.
"""

from .driver import Elsewhere as Elsewhere
from .driver import open_elsewhere as open_elsewhere
