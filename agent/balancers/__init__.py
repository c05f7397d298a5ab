"""Answers for load balancers outside the cluster: would this node answer a port of mesh LOCAL?

Such a port is answered only by nodes with an active task, so a balancer must know which these are. Where a port
has a `health_port`, each node answers HTTP there: 200 while a task of the service is active on it, 503 otherwise.
`answers` tells from the tables of networks what is true; `server` says it.

Rules inside. The answer follows the same table as the forwarding does. A task that drains does not count: the
balancer takes the node off while its open connections go on. A health port that something else on the host holds is
tried again, and remarked upon in the node's description until then.
"""
