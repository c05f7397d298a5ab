"""Logs of tasks on their way from the agents that have them to the people who read them.

Managers store none. A reader's request becomes a subscription, sent to the agents of the tasks concerned
over their dispatcher sessions; each opens a stream (`LogBroker.PublishLogs`) and publishes under the
subscription's id; what comes is passed on as it comes. A reader that is slow slows the agents down: the
queue between them is bounded. What is missing (a node without a session, an agent that went away) is told
to the reader as a warning, never left out in silence.
"""
