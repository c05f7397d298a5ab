"""What people type, read into values: ports, mounts, sizes, durations and the like.

Every function takes the text as typed and returns the model's value, or raises `InvalidArgument` with the
value and the remedy. They are pure: what depends on the surroundings (environment variables, the present
time, a file's content) is an argument. The forms are Docker's; where Docker guesses, these refuse.

What only the managers can know (is the port free, does the network exist) is theirs to refuse.
"""
