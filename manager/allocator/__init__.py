"""The allocator: numbers, subnets, addresses and ports, each given once.

It gives a network its VNI and subnets, a service its virtual addresses and published ports, a task its
endpoints (one on each network of its revision, then one on the ingress network if the service publishes
ingress ports), and every node an endpoint on the ingress network. A task whose endpoints are complete is
PENDING and free for the scheduler; one that cannot have them is PENDING too, says why, and is `blocked`
until something has changed that may help.

    allocator = Allocator(dice)
    allocator.observe(change)                 # of every commit, and of what a draft holds before planning
    allocator.plan(draft, now_ns, objects_max)

Each idea has a file: `pool` (the addresses of one subnet), `addresses` (who holds which), `subnets` (VNIs and
subnets), `ports` (published ports), `endpoints` (a task's places on its networks, from joining to gone).

The rules inside:

* What is taken is what objects in the store hold; nothing else is kept. The bitmaps here are a cache that
  `observe` builds and keeps, of commits and of drafts alike. Observing something twice changes nothing, and
  after a refused draft observing what the store has puts it right.
* A freed address or port is not given again until the rest of its range has been: packets and names of its
  last holder are still about.
* An endpoint is joining when made, active in the pass that sees its task running, draining once its task
  is meant to stop, and gone when the task has ended.
"""
