"""The loop of one member: what happens goes into the core, and what the core wants is carried out.

Messages, proposals and ticks go straight into the core, even while the disk is busy; the loop carries out one
`Ready` after the other, so that all who came meanwhile share the next write. `proposals` knows who waits for
which entries, `stalls` how late time came. A full disk and a failed one are told apart here: the write that
found no room is tried again until there is some, and meanwhile the member refuses proposals and sees to it
that another one leads; after a failed write nothing is tried again, and the member has ended.
"""
