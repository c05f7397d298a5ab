"""Specs out of options: pure functions from what was asked for to what is sent.

`create` and `update` are one idea: a spec, changed by the options that were given. `create` starts from the
defaults. Options come as a dictionary by name (dashes as underscores), already read by `covey.cli.parse`;
an option that was not given is absent, so that an update leaves alone what it does not mention.

`fields` says which option means which field of the spec, `change` applies them, `refusals` are contradictions
between options, found before anything is sent.
"""
