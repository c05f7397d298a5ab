"""Sample images, made without a compiler, a container engine or an outside registry.

`layout.py` writes an OCI image layout (a directory that skopeo pushes anywhere) from files given as data.
The same input gives the same bytes, so an image that did not change keeps its digest.
"""
