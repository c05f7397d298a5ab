"""Images: from a reference to directories that a container's overlay can be mounted over.

`seam.py` is the interface: `Images.ensure(reference, auth)` gives a `LocalImage`, that is layer directories
and the image's own configuration. What is here already is answered without the network; what is not is
pulled once, however many tasks ask at the same time.

The makes: `store/`, skopeo into containers/storage under `STATE/images` (a root of our own: a user's
`podman system prune` must not reach it); `fake.py`, in memory.

Rules inside. A digest, once known, is what is pulled and what is looked up; a tag alone is only ever a name
for what was pulled last. Credentials travel in a file that only root reads, never in an argv. Every error
says which of four things is wrong: no such image, not allowed, registry unreachable, wrong architecture.
"""
