"""The `covey` command: what people type, in the habits of `docker swarm`, `node`, `service` and `network`.

A command has four steps, each with its place: options are read (`parse`, pure) and refused with exit code 2
before anything is sent; specs are made of them (`spec`, pure); `covey.client` is asked (`commands`, which
decide as little as they can); answers are written (`show`, pure but for drawing).

`app` holds the tree of commands, the exit codes, and the one place where errors become messages. Commands
of other packages (`covey dev`) are found by entry points of the group `covey.commands`; nothing of theirs is
imported here.

Rules: flags are Docker's and mean what they mean there. An error is one sentence with the value and the
remedy, on stderr. stdout is for results: tables, one JSON array with `--format json`, ids with `-q`. What
takes time shows progress, has a bound, and can be interrupted: the cluster goes on.
"""
