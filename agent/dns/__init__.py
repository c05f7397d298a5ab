"""Names for containers: the server behind every container's 127.0.0.11.

It is a process of its own (`python -m agent.dns --config RUN/node.json`), so that an agent restart stalls
no name and a busy planning pass in some manager is nobody's slow lookup. The agent feeds it over
`RUN/dns.sock`; it keeps what it was told on `RUN/dns/`, and after its own restart serves from there until
the agent has called again.

The way of one query::

    container's libc -> 127.0.0.11:53 -(nftables in the container's namespace)-> 127.0.0.11:random port,
    a socket of this process -> codec.quick_answer    A and AAAA of names we know, about 2 us
                             -> answer.answer         reverse names, odd questions, all refusals
                             -> forward.Forwarder     everybody else's names, to the upstream servers

Port 53 itself stays free in the container, which may run a name server of its own.

What decides is plain code: `zone` makes names of a network's table, `view` looks through a
container's networks in their order, `forward` keeps the books of forwarded queries, `outbox` and `feed`
are the two ends of the agent's feed. `client`, `server` and `io/` move bytes.

Rules: an answer comes from tables alone and never waits for anything; a name that is ours is never asked
elsewhere; every queue, message and wait has a bound in `covey/limits.py`; whatever a container sends, the
worst it can get is silence.

For the agent: `seam.Names` is the interface, `client.DnsFeed` the real make, `fake.FakeNames` the one for
tests, `resolv.resolv_conf` the text for a container's /etc/resolv.conf.
"""
