"""Images in containers/storage under `STATE/images`, brought there by skopeo.

`driver.py` is the make behind the seam: local lookup, pull, single flight. `commands.py` builds the command
lines and `answers.py` reads what the programs print, both pure.

Two programs are used because two trades are: skopeo knows registries (protocol, tokens, mirrors, signature
policy, platforms), the `containers-storage` command knows the store on disk (locks, shared layers,
garbage). The store holds images only; a container's overlay is mounted by the runtime over the layer
directories found here. The storage option `skip_mount_home` keeps the store from bind-mounting itself, so
nothing stays mounted.
"""
