"""Explanations: why a service's tasks are where they are, or are not, and what would help.

    explanation = await explanations.explain("web")      # or a task: its id, the beginning of one, or web.3

Nothing is decided here. The scheduler's own filters (`manager.scheduler.judging`) say where one more task could
go; the rest is read off the tasks, whose statuses carry what planners and agents said of them.

* `target`: what is meant by a text.
* `story`: one task in words: where it runs, what it waits for, how it ended, and what was before it.
* `summary`: a service in one sentence, and what to do about it.
* `driver`: takes a copy of the store and explains beside all that the manager does.
"""
