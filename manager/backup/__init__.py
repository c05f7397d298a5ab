"""Backups: the whole of a cluster's desired state in one file, taken while everything goes on.

    COVEY-BACKUP 1\\n                 the format, readable by `head -1`
    length (4 bytes, big-endian), header as msgpack: cluster id, epoch, index, when, by which version
    length, chunk                    of objects, as the store's snapshots have them; as many as there are
    0 (4 bytes)                      the end: nothing was cut off
    SHA-256                          of everything before it

* `archive`: pure but for reading the file. Packs and unpacks, and refuses what is damaged, cut short or of another
  format with a sentence that says so.
* `server`: `Control.Backup`.

The rules inside: a backup is of one index, whatever is written meanwhile (objects are immutable: the rows are copied in
one breath, and encoded a chunk at a time); nothing of a file is used before its checksum has been found right. It holds
the cluster's root key, join tokens and registry credentials, and is written for root alone.
"""

from .archive import Archive, Header, open_archive, pack

__all__ = ["Archive", "Header", "open_archive", "pack"]
