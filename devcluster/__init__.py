"""`covey dev`: a whole cluster of real nodes on one machine, for trying, demos and tests.

    covey dev up --workers 2        # m1, w1, w2, a registry with sample images, a client that is no node
    eval "$(covey dev env)"         # `covey` now talks to m1
    covey dev kill w1               # power loss; `covey dev start w1` boots it again
    covey dev pause w1              # a machine that stalls; `covey dev resume w1`
    covey dev down                  # no trace is left

A *node* here is what a host is elsewhere: a network namespace with one IPv4 and one IPv6 address, a
hostname, a cgroup in every hierarchy, state, run and log folders, and a real `coveyd` started in it. All
else of the kernel is shared, so the rules below see to it that no shortcut hides in that. The cluster
itself speaks IPv4; IPv6 is there for what comes to published ports, and for tasks' way out.

* `place`: every name and path, derived from the checkout and the cluster's name. Two checkouts, or two
  clusters of one, never meet. Nothing else invents a name.
* `fabric`: the switch between the nodes, in a namespace of its own. It passes what a strict data centre
  would (control, bootstrap, VXLAN, published ports, the registry) and drops the rest.
* `namespaces`, `cgroups`, `mounts`: the three things of the kernel that a node is made of, and how each
  of them is taken away completely. Only the standard library, so that `sweep` works without .venv.
* `launch`: the few lines that run between us and `coveyd`: join, enter, name, start.
* `registry`, `images`: Debian's docker-registry on the fabric, and the sample images in it.
* `nodes`, `membership`, `cluster`: a node's life (boot, power loss), init and join, and the cluster as a whole.
* `members`: any program as a member of it. `record`: what it was asked to be. `look`: what its manager says.
* `cli`: the commands. `demo`: what `make demo` shows. `sweep`: what `make clean` does.

The rules. A cluster is made through the public `covey init` and `covey join` alone. Everything is found
again from disk and kernel, never from memory: a crashed `up` is cleaned by the next `up` or `down`. What
is removed is removed by name, and only names made here are. Every wait has a bound and says what it
waited for. This package is a tool around Covey and no part of it: manager, agent and node know nothing of
it.
"""
