"""coveyd: one small daemon per host. It makes the host a node, and keeps the node's processes running.

The processes are three, each with an interpreter of its own: the agent, the DNS server, and the manager
while the node's role is manager. So a planning pass stalls no container and an agent's restart stalls no
name. They are told everything by one file, `RUN/node.json`.

* `settings`: the configuration file and the flags, checked.
* `addresses`, `founding`: pure. What `init` is asked for, checked, and the first content of a cluster.
* `membership`: what the host remembers of the cluster it is in, beside its identity (`covey.identity`).
* `supervisor`: the machine that decides when a process is started, stopped, started again. `driver` runs it.
* `orphans`: the processes a coveyd that was killed left behind, found and ended before new ones start.
* `client`: joining and renewing, as seen from the host that does so.
* `daemon`: init, join, leave, renewal; one at a time. `server` puts them on the local socket.
* `managing`: what concerns managers: following a change of roles, leaving their group, new addresses, going on
  alone, coming out of a backup (`restoring`). `local_manager` asks the one on this host.

The rules inside:

* `certificate.pem` is written last and removed first: a host is a member exactly if it is there. Every
  other step can be interrupted and done again. A join that was interrupted goes on with the same key, which
  is the same node id; a leave that was interrupted (`STATE/leaving`) is finished at the next start.
* The role in the certificate decides what runs. A node that is promoted fetches its certificate first and starts
  the manager then; one that is demoted stops it, and what the manager kept is removed, if need be at the next start.
* Locks on the run and the state directory (flock) keep a second coveyd away from both.
* SIGTERM ends the processes and leaves the containers, and the DNS process while there are any: the next coveyd
  starts a new one, which relieves it (`agent.dns.io.predecessor`). Only `leave` and `--stop-tasks` stop them.
* Children write to coveyd's own stderr, each line naming its process (`covey.io.logs`); there is no pipe
  that a dead coveyd could break.
"""
