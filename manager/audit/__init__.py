"""Audits of the cluster: every node is asked to audit itself, and the managers audit what they keep.

`server` asks the agents over their sessions with the leader and hands on what they answer, in a bounded time; who does
not answer is named. `judging` compares, purely: the store with its own rules (`manager.leader.invariants`), the
allocator's cache and the dispatcher's tables with the store, tables in force with those sent, and the tasks that
nodes say they have with those they were given.

The leader audits what managers keep now and then, too, and `covey cluster status` has the counts.

Managers are never at rest either: they look before the nodes are asked and after, and what counts is what is found
both times. They repair nothing that planners would not do by themselves: the store is what everything else is
repaired from.
"""
