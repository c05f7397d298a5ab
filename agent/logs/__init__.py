"""What containers wrote, from their log files to whoever reads them through a manager.

conmon writes each container's output to `STATE/containers/TASK/log`, a line per record: a timestamp, the
stream, `F` for a line's end or `P` for a part of a long one, and the text. Older files are `log.1`, `log.2`
and so on; the runtime rotates by renaming. A manager that has a reader asks over the session (`LogSubscription`), and
the agent opens a stream to it (`LogBroker.PublishLogs`): what is there, merged by time, and then, if the
reader follows, what comes, until the tasks have ended.

* `lines`: the format, long lines put together again, and which records are wanted. Pure.
* `files`: the history of a log, and what is appended to it, across rotations.
* `client`: the streams to managers.

Rules inside. No line is lost or told twice at a rotation. Nothing is read of a log that nobody asked for,
and memory is bounded however long the log or its lines are. A manager that takes long slows the reading,
never the container.
"""
