"""The agent: one process per node that runs the containers it is assigned and builds their networks.

What it is told, and by whom: it holds a session with one manager (`session`), over which come the tasks of
its node and the tables of their networks. What it does with them: `tasks` decides each task's next step;
`images` gets images, `network` builds namespaces, addresses and forwarding, `runtime` runs containers,
`dns` (a process of its own) answers names. `logs` hands out what containers wrote, and `balancers` tells those
outside whether a task is here. `audit` compares what should be with what is, for managers, and for root on this host.

    manager -- session --> tasks --> images, network, runtime, dns
            <-- statuses, tables in force --

`driver` is the one loop: events in, machines stepped (`machines` wires them to each other), effects performed. `__main__`
puts the parts together: `python -m agent --config RUN/node.json`; with `--stop-tasks` it instead stops and removes every
container and network of the node, and ends.

Rules inside. The agent may be killed at any moment: containers, networks and names go on without it, and
the next agent takes over from `STATE/agent/tasks.db` and from what it finds on the host. It works on while
no manager answers. SIGTERM leaves containers running. One agent per node (`STATE/agent/lock`).
"""
