"""The API as Python functions: what the `covey` command uses, and what programs may import.

    host = Host.parse("unix:///run/covey/covey.sock")
    async with connect(host) as cluster:                 # a manager on this host
        detail = await cluster.get_service("web")
        async for progress in cluster.watch_service(detail.service.id): ...
    async with connect_daemon(host) as daemon:           # coveyd on this host
        info = await daemon.info()

`host` says where: a socket of coveyd, with the manager's socket beside it. `cluster` wraps the control and
log services of a manager, `daemon` those of coveyd, `views` are the answers that are no model object. All
take and give structs of `covey.model`, never protobuf messages, and raise the errors of `covey.errors`:
`Refused` kinds when the answer is no, `Unavailable` when there is no answer.

What is safe to be asked twice (reads, and changes that were certainly not made) is asked again for the few
seconds in which a new leader may be found (`patience`); a change that may or may not have been made is for
callers to judge. Nothing here caches or prints.
"""
